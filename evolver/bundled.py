"""Finds the folders that are beside the package in a checkout and inside it in a wheel."""

from __future__ import annotations

from pathlib import Path


def bundled(folder: str) -> Path:
    """Return the path of `evaluators`, `prompts`, `sandbox` or `examples`.

    Raises:
        FileNotFoundError: neither the checkout nor the installed package has it.
    """
    package = Path(__file__).resolve().parent
    for root in (package / "_bundled", package.parent):
        if (root / folder).is_dir():
            return root / folder
    raise FileNotFoundError(f"evolver's folder {folder}/ is missing; install evolver again")
