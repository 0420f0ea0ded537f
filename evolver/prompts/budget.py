"""What a prompt leaves out where it would be too long, and in which order.

Never cut are the task's description, objectives and requirements, the parent's code and metrics,
and what an operator's request is about (a second parent, a plan). Everything else goes in this
order, only as far as it must:

1. files beside the program, then context files, the last named first: shortened to their
   beginning, then left out; until the part that all prompts of a run share takes no more than half
   of the budget. That much is the same for a whole run, so that providers can cache it.
2. the thoughts behind the inspirations
3. the inspirations, the worst first, down to the best
4. what was tried before, the oldest first, down to the last two
5. the best inspiration
6. the middle of the evaluator's feedback
7. what else was tried, the parent's thought, the rest of the feedback
8. the rest of the files of 1, for this prompt alone
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from evolver.prompts.shown import ShownCode, ShownProgram, ShownTask, ShownTime, ShownTrial, clip

_BYTES_PER_TOKEN = 4  # a usual rule of thumb for English and code; tokenizers differ
_BEGINNING = 2000  # characters that are left of a file which is too long
_SHORT_FEEDBACK = 300  # characters at each end
_LAST_TRIALS = 2

_T = TypeVar("_T")


def tokens(text: str) -> int:
    """Return about how many tokens a text has: a quarter of its bytes, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


@dataclass(frozen=True)
class Material:
    """What the changing part of a prompt is made from."""

    parent: ShownProgram
    inspirations: tuple[ShownProgram, ...]
    tried: tuple[ShownTrial, ...]
    time: ShownTime | None


def cuts(material: Material) -> Iterator[Material]:
    """Yield the material whole, then with ever more left out."""
    yield material
    plain = tuple(replace(shown, thought="") for shown in material.inspirations)
    material = replace(material, inspirations=plain)
    yield material
    while len(material.inspirations) > 1:
        material = replace(material, inspirations=material.inspirations[1:])
        yield material
    while len(material.tried) > _LAST_TRIALS:
        material = replace(material, tried=material.tried[1:])
        yield material
    material = replace(material, inspirations=())
    yield material
    short = clip(material.parent.feedback, _SHORT_FEEDBACK, _SHORT_FEEDBACK)
    material = replace(material, parent=replace(material.parent, feedback=short))
    yield material
    material = replace(material, tried=())
    yield material
    material = replace(material, parent=replace(material.parent, thought=""))
    yield material
    yield replace(material, parent=replace(material.parent, feedback=""))


def files_of(task: ShownTask) -> int:
    """How many steps `shortened` can go."""
    return 2 * (len(task.context) + len(task.readonly))


def shortened(task: ShownTask, steps: int) -> ShownTask:
    """Return the task with its last files shortened or left out, half a file a step."""
    dropped, is_half = divmod(steps, 2)
    files = [*task.context, *task.readonly]
    kept = files[: len(files) - dropped]
    if is_half:
        kept[-1] = _beginning(kept[-1])
    return replace(
        task,
        context=tuple(kept[: len(task.context)]),
        readonly=tuple(kept[len(task.context) :]),
        left_out=task.left_out + dropped,
    )


def first_that_fits(choices: Sequence[_T], fits: Callable[[_T], bool]) -> _T:
    """Return an early choice that fits, by bisection; the last one where none does.

    Choices that come later are smaller, bar a few bytes, so that what is returned is the first
    one that fits, or next to it.
    """
    if fits(choices[0]):
        return choices[0]  # as a rule
    low, high = min(1, len(choices) - 1), len(choices) - 1
    while low < high:
        middle = (low + high) // 2
        if fits(choices[middle]):
            high = middle
        else:
            low = middle + 1
    return choices[high]


def _beginning(file: ShownCode) -> ShownCode:
    return replace(file, text=clip(file.text, _BEGINNING, 0) + "\n")
