"""Ask for a plan, then for the code that follows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from evolver import prompts
from evolver.errors import EditError, ProposalError
from evolver.operators.llm.asking import Asking, applied, complete
from evolver.programs.diffs.answers import answer_lines
from evolver.types import Context, Prompt, Proposal

_PLAN_LENGTH = 6000  # characters


@dataclass(frozen=True)
class Plan(Asking):
    """Asks what to do, in words, and then for the edit that does it.

    The plan is the program's thought, which later prompts show.
    """

    templates: ClassVar[tuple[str, ...]] = (
        "plan.system",
        "plan.user",
        "diff.system",
        "follow.user",
    )

    def prompt(self, context: Context) -> Prompt:
        """Return the request for the plan."""
        return prompts.render("plan", context)

    async def propose(self, context: Context) -> Proposal:
        """Return the parent with the planned edit.

        A model that answers with an edit at once is taken at its word.

        Raises:
            EditError: neither the answer nor its repairs could be applied.
            ProposalError: there is no plan, or the answer changes nothing.
            ModelError: the model did not answer.
            UsageError: there is no model, or a template is faulty.
        """
        completion = await complete(context, self.prompt(context))
        plan = prompts.shown.clip("\n".join(answer_lines(completion.text)), _PLAN_LENGTH, 0)
        if not plan:
            raise ProposalError("the model's plan is empty")
        parent = context.parent.program.files
        try:
            child = applied(completion, self.form, parent, context)
        except EditError:
            follow = prompts.render("follow", context, system=self.form, extra={"plan": plan})
            child, completion = await self.ask(context, follow)
        else:
            if child == parent:
                raise ProposalError("the model's answer leaves the program as it is")
        return replace(self.proposal(child, completion), thought=plan)
