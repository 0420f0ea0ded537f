"""Operators that ask a model: an edit of the parent, or its regions written anew."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import ClassVar

from evolver import diffs, prompts
from evolver.edits import violation
from evolver.errors import EditError, ProposalError, UsageError
from evolver.types import Completion, Context, Files, Prompt, Proposal

_Edit = Callable[[str, Files, Collection[str]], dict[str, bytes]]


@dataclass(frozen=True)
class Diff:
    """Asks for SEARCH/REPLACE blocks and applies them inside the editable regions.

    Attributes:
        repairs: how often an answer that cannot be applied is sent back with the reason.
        folders: searched for prompt templates before evolver's own.
    """

    repairs: int = 1
    folders: tuple[str, ...] = ()
    needs_model: ClassVar[bool] = True

    def prompt(self, context: Context) -> Prompt:
        """Return what the model is asked first."""
        return prompts.render("diff", context, self.folders)

    async def propose(self, context: Context) -> Proposal:
        """Return the parent with the model's edit.

        Raises:
            EditError: neither the answer nor its repairs could be applied.
            ProposalError: the answer changes nothing.
            ModelError: the model did not answer.
            UsageError: there is no model, or a template is faulty.
        """
        return await _propose(context, self.prompt(context), _edited, self.repairs, self.folders)


@dataclass(frozen=True)
class Rewrite:
    """Asks for whole regions, or files, and puts them in place of the parent's.

    Attributes:
        repairs: how often an answer that cannot be applied is sent back with the reason.
        folders: searched for prompt templates before evolver's own.
    """

    repairs: int = 1
    folders: tuple[str, ...] = ()
    needs_model: ClassVar[bool] = True

    def prompt(self, context: Context) -> Prompt:
        """Return what the model is asked first."""
        return prompts.render("rewrite", context, self.folders)

    async def propose(self, context: Context) -> Proposal:
        """Return the parent with the regions that the model wrote.

        Raises:
            EditError: neither the answer nor its repairs could be applied.
            ProposalError: the answer changes nothing.
            ModelError: the model did not answer.
            UsageError: there is no model, or a template is faulty.
        """
        prompt = self.prompt(context)
        return await _propose(context, prompt, _rewritten, self.repairs, self.folders)


def _edited(answer: str, files: Files, readonly: Collection[str]) -> dict[str, bytes]:
    """Apply the blocks; a model that wrote whole regions with their markers is understood too."""
    try:
        edits = diffs.parse(answer, {*files, *readonly})
    except EditError:
        if "EVOLVE-BLOCK-END" not in answer:
            raise  # code without markers may be a fragment
        return diffs.rewrite(answer, files, readonly)
    return diffs.apply(edits, files, readonly)


def _rewritten(answer: str, files: Files, readonly: Collection[str]) -> dict[str, bytes]:
    """Put the code in place; a model that wrote SEARCH/REPLACE blocks is understood too."""
    try:
        edits = diffs.parse(answer, {*files, *readonly})
    except EditError:
        return diffs.rewrite(answer, files, readonly)
    return diffs.apply(edits, files, readonly)


async def _propose(
    context: Context, prompt: Prompt, edit: _Edit, repairs: int, folders: tuple[str, ...]
) -> Proposal:
    if context.model is None:
        raise UsageError("this operator needs a model: give one with --model NAME")
    parent = context.parent.program.files
    asked = prompt
    for repair in range(repairs + 1):
        completion = (await context.model.complete(asked))[0]
        try:
            child = _child(completion, context, edit)
        except EditError as error:
            if repair == repairs:
                raise
            asked = prompts.repair(prompt, completion.text, error, folders)
        else:
            break
    if child == parent:
        raise ProposalError("the model's answer leaves the program as it is")
    return Proposal(child, summary=diffs.summary(completion.text))


def _child(completion: Completion, context: Context, edit: _Edit) -> dict[str, bytes]:
    brief = context.brief
    try:
        child = edit(completion.text, context.parent.program.files, tuple(brief.readonly))
        reason = violation(brief.seed, child)
        if reason is not None:
            raise EditError(reason)
    except EditError as error:
        if completion.finish_reason != "length":
            raise
        limit = f"the answer was cut off after {completion.completion_tokens} tokens"
        raise EditError(f"{error} ({limit})", f"{error.report}\n({limit}: be brief)") from error
    return child
