"""What all operators that ask a model share: the request, its repairs, and the child."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from evolver import prompts
from evolver.errors import EditError, ProposalError, UsageError
from evolver.programs import diffs
from evolver.programs.diffs.answers import answer_lines
from evolver.programs.diffs.fences import fences
from evolver.programs.edits import violation
from evolver.programs.markers import is_marker
from evolver.types import Completion, Context, Files, Prompt, Proposal, Tune

Form = Literal["diff", "rewrite"]

_SUMMARY_LENGTH = 300  # characters
_CODE = re.compile(r"^[ \t]*(?:`{3,}|~{3,}|<{5,}[ \t]*SEARCH\b|--- \S)", re.MULTILINE)
_CHANGE = re.compile(
    r"^(?:\d+\.)?[\W_]*change[\s*_`]*:[\s*_`]*(\S.*)$", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True)
class Asking:
    """An operator that asks a model for code; a subclass says what it asks.

    An answer in another form than the requested one is applied where possible.

    Attributes:
        repairs: how often an answer that cannot be applied is sent back with the reason.
        tune: ask for the child's float literals to be fitted?
        limit: see `Tune.limit`.
        form: of the answer: SEARCH/REPLACE blocks, or whole regions; also the name of the system
            part of the prompts.
        templates: what its prompts are made from, beside "again" and "repair.user".
    """

    repairs: int = 1
    tune: bool = False
    limit: int = Tune.limit
    form: ClassVar[Form] = "diff"
    templates: ClassVar[tuple[str, ...]] = ()
    needs_model: ClassVar[bool] = True

    def prompt(self, context: Context) -> Prompt:
        """Return the first prompt.

        Raises:
            UsageError: a template is missing or faulty.
        """
        raise NotImplementedError

    async def propose(self, context: Context) -> Proposal:
        """Return the parent with the model's edit.

        Raises:
            EditError: neither the answer nor its repairs could be applied.
            ProposalError: the answer changes nothing.
            ModelError: the model did not answer.
            UsageError: there is no model, or a template is faulty.
        """
        child, completion = await self.ask(context, self.prompt(context))
        return self.proposal(child, completion)

    def proposal(self, child: Files, completion: Completion) -> Proposal:
        """Return a child as a proposal, with the summary of its answer."""
        tune = Tune(self.limit) if self.tune else None
        return Proposal(child, summary=summary(completion.text), tune=tune)

    async def repair(self, context: Context, proposal: Proposal, complaint: str) -> Proposal:
        """Return the child as the model repairs it: one request, for an edit of the child.

        Raises:
            EditError: the answer could not be applied.
            ProposalError: it changes nothing.
            ModelError: the model did not answer.
            UsageError: there is no model, or a template is faulty.
        """
        prompt = prompts.repair(context, proposal.files, complaint, system="diff")
        completion = await complete(context, prompt)
        mended = applied(completion, "diff", proposal.files, context)
        if mended == proposal.files:
            raise ProposalError("the model's repair leaves the program as it is")
        return replace(proposal, files=mended)

    async def ask(self, context: Context, prompt: Prompt) -> tuple[Files, Completion]:
        """Return the parent with the model's edit, and the answer that was applied.

        Raises:
            EditError: neither the answer nor its repairs could be applied.
            ProposalError: the answer changes nothing.
            ModelError: the model did not answer.
            UsageError: there is no model, or a template is faulty.
        """
        parent = context.parent.program.files
        asked = prompt
        for repair in range(self.repairs + 1):
            completion = await complete(context, asked)
            try:
                child = applied(completion, self.form, parent, context)
            except EditError as error:
                if repair == self.repairs:
                    raise
                asked = prompts.again(prompt, completion.text, error, context.brief)
            else:
                break
        if child == parent:
            raise ProposalError("the model's answer leaves the program as it is")
        return child, completion


async def complete(context: Context, prompt: Prompt) -> Completion:
    """Ask for one answer.

    Raises:
        ModelError: the model did not answer.
        UsageError: there is no model.
    """
    if context.model is None:
        raise UsageError("this operator needs a model: give one with --model NAME")
    return (await context.model.complete(prompt))[0]


def applied(
    completion: Completion, form: Form, files: Files, context: Context
) -> Mapping[str, bytes]:
    """Return the files with an answer's edit, inside the seed's regions.

    Raises:
        EditError: the answer has no edit that can be applied.
    """
    brief = context.brief
    readonly = tuple(brief.readonly)
    try:
        if _are_edits(completion.text, form):
            edits = diffs.parse(completion.text, {*files, *readonly})
            child = diffs.apply(edits, files, readonly)
        else:
            child = diffs.rewrite(completion.text, files, readonly)
        reason = violation(brief.seed, child)
        if reason is not None:
            raise EditError(reason)
    except EditError as error:
        if completion.finish_reason != "length":
            raise
        limit = f"the answer was cut off after {completion.completion_tokens} tokens"
        raise EditError(f"{error} ({limit})", f"{error.report}\n({limit}: be brief)") from error
    return child


def _are_edits(answer: str, form: Form) -> bool:
    """Tell whether to read an answer as edits, or else as code.

    Requested code may itself hold lines like an edit. In answer to a request for edits, a fenced
    block without markers may be a fragment, so it does not count as the whole code.
    """
    if form == "rewrite":
        return diffs.holds_edits_beside_code(answer)
    return diffs.holds_edits(answer) or not any(
        is_marker(line) for block in fences(answer_lines(answer)) for line in block.lines
    )


def summary(answer: str) -> str:
    """Return an answer's line that begins with "Change:", else its first paragraph."""
    said = _CHANGE.search(prose(answer))
    if said is None:
        return diffs.summary(answer)
    words = " ".join(said[1].strip("*_ ").split())
    return words if len(words) <= _SUMMARY_LENGTH else words[: _SUMMARY_LENGTH - 1] + "…"


def prose(answer: str) -> str:
    """Return the prose before an answer's first block of code."""
    text = "\n".join(answer_lines(answer))
    code = _CODE.search(text)
    return (text if code is None else text[: code.start()]).strip()


def thought(answer: str) -> str:
    """Return the reasoning of an answer: its prose without the line "Change:"."""
    words = prose(answer)
    said = _CHANGE.search(words)
    return words if said is None else words[: said.start()].strip() or words[said.end() :].strip()
