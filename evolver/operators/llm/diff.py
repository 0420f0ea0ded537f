"""Ask for an edit of the parent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evolver import prompts
from evolver.operators.llm.asking import Asking
from evolver.types import Context, Prompt


@dataclass(frozen=True)
class Diff(Asking):
    """Asks for SEARCH/REPLACE blocks and applies them inside the editable regions."""

    templates: ClassVar[tuple[str, ...]] = ("diff.system", "diff.user")

    def prompt(self, context: Context) -> Prompt:
        """Return the prompt."""
        return prompts.render("diff", context)
