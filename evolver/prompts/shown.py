"""What templates see: plain texts, made from an operator's context.

No template sees an `Evaluation`, so private metrics cannot get into a prompt, not even by a
task's own templates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolver.programs.diffs.fences import longer_than
from evolver.programs.diffs.marks import needed
from evolver.programs.edits import Region, find_regions, has_markers
from evolver.programs.languages import language
from evolver.tasks.objective import dominates
from evolver.types import Brief, Context, Elite, Files, Trial

_FEEDBACK_HEAD, _FEEDBACK_TAIL = 1000, 3000  # characters; the end of a traceback says most
_THOUGHT_LENGTH = 3000  # characters
_GOALS = {"maximize": "higher is better", "minimize": "lower is better"}


@dataclass(frozen=True)
class ShownCode:
    """A file, or one editable region of it."""

    path: str
    name: str  # of the region; "" for a file, or a region without a name
    text: str
    language: str  # its name in fences; "" if unknown
    label: str  # its name in an answer


@dataclass(frozen=True)
class ShownMetric:
    """A metric for people: `value` with its unit, and `goal` such as "higher is better", or ""."""

    name: str
    value: str
    goal: str


@dataclass(frozen=True)
class ShownTrial:
    """An earlier edit of the parent, and its effect on the measurements."""

    summary: str
    effect: str  # "" where nothing was measured
    verdict: str  # "better", "worse", "no difference", "a trade-off", or how it failed


@dataclass(frozen=True)
class ShownTime:
    """The time limit of an evaluation, and the time that the parent's took, in seconds."""

    limit: str
    parent: str  # "" where it is unknown, or the time of several evaluations


@dataclass(frozen=True)
class ShownProgram:
    """An elite without its private parts."""

    files: tuple[ShownCode, ...]
    regions: tuple[ShownCode, ...]
    metrics: tuple[ShownMetric, ...]
    feedback: str
    summary: str
    thought: str


@dataclass(frozen=True)
class ShownTask:
    """What is the same for a whole run.

    Attributes:
        description: the task in its author's words.
        objectives: name, direction, unit or "".
        requirements: name, condition, unit or "".
        context: the material that `[task] context` names.
        readonly: the files that stand beside the program and never change.
        left_out: how many files of these two are left out, as too long or not text.
        paths: of the editable files.
        regions: the labels of the editable regions.
        has_markers: has the program markers? Without any, each file is a region.
        marks: characters of each mark of a SEARCH/REPLACE block: seven, or more where the program
            has lines that look like marks.
        ticks: length of a fence that is longer than any in the program.
    """

    description: str
    objectives: tuple[tuple[str, str, str], ...]
    requirements: tuple[tuple[str, str, str], ...]
    context: tuple[ShownCode, ...]
    readonly: tuple[ShownCode, ...]
    left_out: int
    paths: tuple[str, ...]
    regions: tuple[str, ...]
    has_markers: bool
    marks: int
    ticks: int


def task(brief: Brief) -> ShownTask:
    """Return what is the same for all prompts of a run."""
    explain = brief.prompts.explain
    texts = {path: _text(source) for path, source in brief.readonly.items()} if explain else {}
    lines = [line for source in brief.seed.values() for line in decode(source).split("\n")]
    return ShownTask(
        description=brief.description.strip() if explain else "",
        objectives=tuple(
            (name, _GOALS[direction], brief.units.get(name, ""))
            for name, direction in brief.objectives
        ),
        requirements=tuple(
            (name, condition, brief.units.get(name, ""))
            for name, condition in brief.require.items()
        ),
        context=tuple(code(path, text) for path, text in brief.context.items() if explain),
        readonly=tuple(code(path, text) for path, text in texts.items() if text is not None),
        left_out=sum(text is None for text in texts.values()),
        paths=tuple(brief.seed),
        regions=tuple(region.label for region in find_regions(brief.seed, is_recorded=True)),
        has_markers=has_markers(brief.seed, is_recorded=True),
        marks=needed(lines),
        ticks=longer_than(lines),
    )


def program(elite: Elite, brief: Brief) -> ShownProgram:
    """Return what a model may see of a judged program."""
    files = elite.program.files
    explain = brief.prompts.explain
    return ShownProgram(
        files=tuple(code(path, decode(source)) for path, source in files.items()),
        regions=tuple(
            region_code(region, files) for region in find_regions(files, is_recorded=True)
        ),
        metrics=_metrics(elite.evaluation.metrics, brief),
        feedback=clip(elite.evaluation.feedback) if explain else "",
        summary=elite.program.summary.strip() if explain else "",
        thought=clip(elite.program.thought, 0, _THOUGHT_LENGTH) if explain else "",
    )


def trials(context: Context) -> tuple[ShownTrial, ...]:
    """Return what was tried on the parent before, oldest first."""
    if not context.brief.prompts.explain:
        return ()
    return tuple(_trial(trial, context) for trial in context.tried)


def time(context: Context) -> ShownTime | None:
    """Return how long an evaluation may take; None where that is not known.

    In a deterministic run, which has no `Context.limit`, the time of the parent is left out:
    prompts must not depend on a clock.
    """
    brief, evaluation = context.brief, context.parent.evaluation
    limit = brief.timeout if context.limit is None else context.limit
    if limit is None or not brief.prompts.explain:
        return None
    is_one = evaluation.evaluations == 1 and 0 < evaluation.seconds <= limit
    took = _rounded(evaluation.seconds, 2) if is_one and context.limit is not None else ""
    return ShownTime(_rounded(limit, 3), took)


def _rounded(seconds: float, digits: int) -> str:
    return f"{float(f'{seconds:.{digits}g}'):g}"


def region_code(region: Region, files: Files) -> ShownCode:
    """Return a region's lines."""
    text = decode(files[region.path][region.start : region.end]).strip("\n")
    return code(region.path, text, region.name, region.label)


def code(path: str, text: str, name: str = "", label: str = "") -> ShownCode:
    """Return a text with the language of its path's ending."""
    known = language(path)
    return ShownCode(path, name, text, "" if known == "text" else known, label or path)


def decode(source: bytes) -> str:
    r"""Return a source as text with ``\n`` alone between its lines."""
    return source.decode("utf-8", "replace").replace("\r\n", "\n")


def clip(text: str, head: int = _FEEDBACK_HEAD, tail: int = _FEEDBACK_TAIL) -> str:
    """Return a text without its middle, where it is longer than `head` and `tail` together."""
    text = text.strip()
    cut = len(text) - head - tail
    if cut <= 0:
        return text
    return f"{text[:head]}\n[... {cut} characters left out ...]\n{text[len(text) - tail :]}".strip()


def _text(source: bytes) -> str | None:
    """Return a file's text; None for a binary file."""
    try:
        return None if b"\0" in source else source.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        return None


def _number(name: str, value: float, brief: Brief) -> str:
    unit = brief.units.get(name, "")
    return f"{value:.8g} {unit}".rstrip()


def _metrics(metrics: Mapping[str, float], brief: Brief) -> tuple[ShownMetric, ...]:
    """Return the metrics, objectives first, each with its goal."""
    goals = {name: [_GOALS[direction]] for name, direction in brief.objectives}
    for name, condition in brief.require.items():
        goals.setdefault(name, []).append(f"must be {condition}")
    ordered = [name for name in goals if name in metrics]
    ordered += [name for name in metrics if name not in goals]
    return tuple(
        ShownMetric(name, _number(name, metrics[name], brief), ", ".join(goals.get(name, ())))
        for name in ordered
    )


def _trial(trial: Trial, context: Context) -> ShownTrial:
    summary = " ".join(trial.summary.split())
    if trial.objectives is None:
        status = "not measured" if trial.status == "filtered" else trial.status
        return ShownTrial(summary, "", f"{status}: {trial.reason}" if trial.reason else status)
    before, after = context.parent.objectives, trial.objectives
    return ShownTrial(summary, _effect(before, after, context.brief), _verdict(before, after))


def _effect(before: Sequence[float], after: Sequence[float], brief: Brief) -> str:
    """Return each objective before and after, in the metric's own sign."""
    signs = [1 if direction == "maximize" else -1 for _, direction in brief.objectives]
    names = [name for name, _ in brief.objectives]
    return ", ".join(
        f"{name} {sign * old:.8g} -> {_number(name, sign * new, brief)}"
        for name, sign, old, new in zip(names, signs, before, after, strict=True)
    )


def _verdict(before: Sequence[float], after: Sequence[float]) -> str:
    if tuple(before) == tuple(after):
        return "no difference"
    if dominates(after, before):
        return "better"
    return "worse" if dominates(before, after) else "a trade-off"
