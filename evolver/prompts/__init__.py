"""Render prompts from Jinja2 templates and an operator's context.

A prompt has two parts. The system part, ``NAME.system.md.j2``, holds the task and the format of the
answer. Its template sees the task alone, so it is the same for a whole run, and a provider's prompt
cache can hold it. The user part, ``NAME.user.md.j2``, holds the programs. It may have several
phrasings of its instructions (``one_of``); one is drawn for each attempt, as Novikov 2025
(AlphaEvolve, https://arxiv.org/abs/2506.13131) does for diversity.

`evolver.prompts.budget` shortens a prompt that is too long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

from evolver.errors import EditError
from evolver.prompts import shown
from evolver.prompts.budget import (
    Material,
    cuts,
    files_of,
    first_that_fits,
    shortened,
    tokens,
)
from evolver.prompts.shown import ShownTask, clip
from evolver.prompts.templates import fenced, fill, path
from evolver.types import Brief, Context, Files, Prompt

__all__ = ["again", "fenced", "path", "render", "repair", "shown", "tokens"]

_SMALLEST_ANSWER = 1000  # characters of the answer in `again`, at least


def render(
    name: str, context: Context, *, system: str = "", extra: Mapping[str, Any] | None = None
) -> Prompt:
    """Return the prompt of that name for this context.

    Templates of the system part see the fields of `shown.ShownTask`; those of the user part see
    `parent`, `inspirations` (best last), `tried` (oldest first) and `time` as well.

    Args:
        name: of the user part: "diff", "rewrite", or what a folder has a template for.
        context: the operator's; one number is drawn from its `rng`.
        system: name of the system part; default: the same.
        extra: more values for the user part's template, which are never cut.

    Raises:
        UsageError: a template is missing or faulty.
    """
    seed = context.rng.getrandbits(64)

    def rendered(limit: int) -> Prompt:
        made = _rendered(name, context, limit, seed, system or name, extra or {})
        return replace(made, shorter=rendered)

    return rendered(context.brief.prompts.tokens)


def _rendered(
    name: str, context: Context, limit: int, seed: int, system: str, extra: Mapping[str, Any]
) -> Prompt:
    """Return the prompt in about `limit` tokens; `seed` draws its phrasings."""
    brief = context.brief

    def user(task: ShownTask, material: Material) -> str:
        values = {**vars(task), **vars(material), **extra}
        rng = Random(seed) if brief.prompts.vary else None
        return fill(f"{name}.user", brief.prompts.folder, values, rng)

    task, first = _shared(system, brief, limit // 2)
    whole = Material(
        shown.program(context.parent, brief),
        tuple(shown.program(elite, brief) for elite in context.inspirations),
        shown.trials(context),
        shown.time(context),
    )
    room = limit - tokens(first)
    material = first_that_fits(list(cuts(whole)), lambda cut: tokens(user(task, cut)) <= room)
    said = user(task, material)
    if tokens(said) > room:  # last, because the provider's cache does not hold this system part
        task, first = _shared(system, brief, limit - tokens(said))
        said = user(task, material)
    return Prompt(first, said, {**brief.readonly, **context.parent.program.files})


def again(prompt: Prompt, answer: str, error: EditError, brief: Brief) -> Prompt:
    """Return the prompt with the answer that could not be applied, and the reason.

    Raises:
        UsageError: the template is missing or faulty.
    """
    left = brief.prompts.tokens - tokens(prompt.system) - tokens(prompt.user + error.report)
    size = max(_SMALLEST_ANSWER, 4 * left)
    values = {"answer": clip(answer, size // 2, size // 2), "report": error.report}
    added = f"\n{fill('again', brief.prompts.folder, values)}"
    cut = prompt.shorter

    def shorter(limit: int) -> Prompt:
        assert cut is not None
        first = cut(max(1, limit - tokens(added)))
        return replace(first, user=first.user + added, shorter=shorter)

    return replace(prompt, user=prompt.user + added, shorter=cut and shorter)


def repair(context: Context, child: Files, complaint: str, *, system: str) -> Prompt:
    """Return the request to repair a child that does not run.

    Args:
        context: the one from which the operator proposed the child.
        child: the program.
        complaint: what went wrong: a traceback, or a sentence.
        system: name of the system part, which says how to answer.

    Raises:
        UsageError: the template is missing or faulty.
    """
    brief = context.brief
    files = tuple(shown.code(name, shown.decode(source)) for name, source in child.items())
    task, first = _shared(system, brief, brief.prompts.tokens // 2)
    values = {**vars(task), "files": files, "complaint": clip(complaint)}
    said = fill("repair.user", brief.prompts.folder, values)
    if tokens(first) + tokens(said) > brief.prompts.tokens:
        _, first = _shared(system, brief, brief.prompts.tokens - tokens(said))
    return Prompt(first, said, {**brief.readonly, **child})


def _shared(name: str, brief: Brief, room: int) -> tuple[ShownTask, str]:
    """Return the task and its system part, cut to `room` tokens where possible."""
    whole = shown.task(brief)

    def text(task: ShownTask) -> str:
        return fill(f"{name}.system", brief.prompts.folder, vars(task))

    steps = range(files_of(whole) + 1)
    step = first_that_fits(steps, lambda step: tokens(text(shortened(whole, step))) <= room)
    task = shortened(whole, step)
    return task, text(task)
