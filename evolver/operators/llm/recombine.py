"""Ask for one program that unites several: crossover by a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import Field

from evolver import prompts
from evolver.operators.llm.asking import Asking, Form
from evolver.types import Context, Elite, Prompt, Proposal


@dataclass(frozen=True)
class Recombine(Asking):
    """Asks for a program that has what is best in the parent and in others of its island.

    While the island holds no other program, it asks for the parent written anew.

    Attributes:
        parents: how many programs to unite, the parent among them.
    """

    parents: Annotated[int, Field(ge=2)] = 2
    form: ClassVar[Form] = "rewrite"
    templates: ClassVar[tuple[str, ...]] = ("rewrite.system", "recombine.user", "rewrite.user")

    def prompt(self, context: Context) -> Prompt:
        """Return the prompt."""
        mates = self._mates(context)
        if not mates:
            return prompts.render("rewrite", context)
        others = tuple(elite for elite in context.inspirations if elite not in mates)
        shown = tuple(prompts.shown.program(elite, context.brief) for elite in mates)
        return prompts.render(
            "recombine",
            replace(context, inspirations=others),
            system=self.form,
            extra={"mates": shown},
        )

    async def propose(self, context: Context) -> Proposal:
        """Return the union; its parents are all the programs that were shown to be united.

        Raises:
            EditError: neither the answer nor its repairs could be applied.
            ProposalError: the answer changes nothing.
            ModelError: the model did not answer.
            UsageError: there is no model, or a template is faulty.
        """
        child, completion = await self.ask(context, self.prompt(context))
        united = (context.parent, *self._mates(context))
        parents = tuple(elite.program.id for elite in united)
        return replace(self.proposal(child, completion), parents=parents)

    def _mates(self, context: Context) -> Sequence[Elite]:
        """Return the best inspirations that are not the parent once more."""
        own = context.parent.program.files
        others = [elite for elite in context.inspirations if elite.program.files != own]
        return others[-(self.parents - 1) :]
