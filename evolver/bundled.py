"""Finds the package, and the folders beside it in a checkout and inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent  # the folder of this library


def bundled(folder: str) -> Path:
    """Return the path of `evaluators`, `prompts`, `sandbox` or `examples`.

    Raises:
        FileNotFoundError: neither the checkout nor the installed package has it.
    """
    for root in (PACKAGE / "_bundled", PACKAGE.parent):
        if (root / folder).is_dir():
            return root / folder
    raise FileNotFoundError(f"evolver's folder {folder}/ is missing; install evolver again")
