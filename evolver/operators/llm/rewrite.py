"""Ask for the parent's regions, written anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evolver import prompts
from evolver.operators.llm.asking import Asking, Form
from evolver.types import Context, Prompt


@dataclass(frozen=True)
class Rewrite(Asking):
    """Asks for whole regions, or files, and puts them in place of the parent's."""

    form: ClassVar[Form] = "rewrite"
    templates: ClassVar[tuple[str, ...]] = ("rewrite.system", "rewrite.user")

    def prompt(self, context: Context) -> Prompt:
        """Return the prompt."""
        return prompts.render("rewrite", context)
