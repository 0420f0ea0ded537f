"""Ask a model in a role for one kind of change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from evolver import prompts
from evolver.operators.llm.asking import Asking
from evolver.types import Context, Prompt

Role = Literal["authority", "inventor", "wanderer"]
Change = Literal["constants", "odd-constants", "elaborate", "simplify", "significant", "unorthodox"]


@dataclass(frozen=True)
class Persona(Asking):
    """Asks a model in a role for one kind of change to one region, all three drawn by chance.

    The roles and the six kinds of change are those of Morris 2024 (LLM Guided Evolution,
    https://arxiv.org/abs/2403.11446), in words that fit any program.

    Attributes:
        roles: to draw from.
        changes: to draw from.
    """

    roles: Annotated[tuple[Role, ...], Field(min_length=1)] = ("authority", "inventor", "wanderer")
    changes: Annotated[tuple[Change, ...], Field(min_length=1)] = (
        "constants",
        "odd-constants",
        "elaborate",
        "simplify",
        "significant",
        "unorthodox",
    )
    templates: ClassVar[tuple[str, ...]] = ("diff.system", "persona.user")

    def prompt(self, context: Context) -> Prompt:
        """Return the prompt."""
        rng = context.rng
        regions = prompts.shown.program(context.parent, context.brief).regions
        extra = {
            "role": rng.choice(self.roles),
            "change": rng.choice(self.changes),
            "target": rng.choice(regions).label,
        }
        return prompts.render("persona", context, system=self.form, extra=extra)
