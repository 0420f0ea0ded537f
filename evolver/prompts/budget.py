"""What a prompt that is too long leaves out, in which order.

These are never cut: the task's description, objectives and requirements, the parent's code and
metrics, and what an operator's request is about (a second parent, a plan). The rest is cut in this
order, as far as needed:

1. files beside the program, then context files, the last named first: shortened to their
   beginning, then left out, until the system part takes no more than half of the budget. This cut
   is the same for a whole run, so that providers can cache the system part.
2. the thoughts behind the inspirations
3. the inspirations, the worst first, down to the best
4. what was tried before, the oldest first, down to the last two
5. the best inspiration
6. the middle of the evaluator's feedback
7. what else was tried, the parent's thought, the rest of the feedback
8. the rest of the files of 1, in this prompt only
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from evolver.prompts.shown import ShownCode, ShownProgram, ShownTask, ShownTime, ShownTrial, clip

_BYTES_PER_TOKEN = 4  # a common estimate for English and code; tokenizers differ
_BEGINNING = 2000  # characters of a shortened file
_SHORT_FEEDBACK = 300  # characters at each end
_LAST_TRIALS = 2

_T = TypeVar("_T")


def tokens(text: str) -> int:
    """Return about how many tokens a text has: a quarter of its bytes, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


@dataclass(frozen=True)
class Material:
    """What the user part of a prompt is made from."""

    parent: ShownProgram
    inspirations: tuple[ShownProgram, ...]
    tried: tuple[ShownTrial, ...]
    time: ShownTime | None


def cuts(material: Material) -> Iterator[Material]:
    """Yield the material whole, then with more and more left out."""
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
    """Return the number of steps that `shortened` can take."""
    return 2 * (len(task.context) + len(task.readonly))


def shortened(task: ShownTask, steps: int) -> ShownTask:
    """Return the task with its last files shortened or left out: two steps for each file."""
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
    """Return an early choice that fits, by bisection; the last choice where none fits.

    Later choices are smaller, except for a few bytes, so that the result is the first choice that
    fits, or next to it.
    """
    if fits(choices[0]):
        return choices[0]  # the usual case
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
