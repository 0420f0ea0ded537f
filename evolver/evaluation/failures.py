"""Failed evaluations, counted by message and by place: in the program, or in the evaluator itself.

The place is the innermost frame of the traceback that is neither in Python nor in a library. It
tells evaluators of both forms from the programs that they judge.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from evolver.types import Evaluation, Files
from evolver.wording import counted

_FRAME = re.compile(r'^\s*File "(?P<path>[^"\n]+)", line (?P<line>\d+), in (?P<name>.+)$', re.M)
_HEADER = "Traceback (most recent call last):"
_LIBRARY = re.compile(r"/(?:site|dist)-packages/|/lib(?:64)?/python3|^<|(?:^|/)evolver_inside\.py$")
_NUMBER = re.compile(r"-?\d[\d.]*(?:e[-+]?\d+)?")
_LENGTH = 160  # characters of the message
_ENOUGH = 3  # failures of the evaluator before a warning


@dataclass(frozen=True)
class Failure:
    """Why an evaluation failed.

    Attributes:
        status: of the evaluation.
        is_evaluators: whether the evaluator's own code raised it.
        file: that raised it; "" without a traceback.
        line: its line there, from 1; 0 without a traceback.
        function: that holds the line.
        said: the last line of the message.
    """

    status: str
    is_evaluators: bool
    file: str
    line: int
    function: str
    said: str

    @property
    def place(self) -> str:
        """Where it was raised, such as "score.py:12 in score"; "" without a traceback."""
        return f"{self.file}:{self.line} in {self.function}" if self.file else ""


def failure_of(evaluation: Evaluation, program: Collection[str]) -> Failure | None:
    """Return why an evaluation failed; None if it did not.

    Args:
        evaluation: it may have failed.
        program: paths of the program's files, the read-only ones included.
    """
    if evaluation.status == "ok":
        return None
    text = evaluation.feedback.strip()
    frames = [
        (_name(match["path"], program), int(match["line"]), match["name"].strip())
        for match in _FRAME.finditer(text.rpartition(_HEADER)[2])
        if not _LIBRARY.search(match["path"])
    ]
    (file, is_programs), line, function = frames[-1] if frames else (("", True), 0, "")
    for outer, _, name in reversed(frames):  # a comprehension belongs to its function
        if outer[0] != file or not function.startswith("<"):
            break
        function = name
    # An error of the evaluator is never the program's, whatever files its traceback names.
    is_evaluators = evaluation.fault == "evaluator" or not is_programs
    lines = text.split("\n")
    said = lines[-1] if frames else lines[0]
    return Failure(
        evaluation.status, is_evaluators, file, line, function, " ".join(said.split())[:_LENGTH]
    )


def paths_of(*files: Files) -> frozenset[str]:
    """Return the paths of a program's files."""
    return frozenset(path for each in files for path in each)


def _name(path: str, program: Collection[str]) -> tuple[str, bool]:
    """Return a file's short name, and whether it belongs to the program."""
    for own in program:
        if path == own or path.endswith(f"/{own}"):
            return own, True
    return PurePosixPath(path).name, False


@dataclass(frozen=True)
class FailureKind:
    """Failures that are alike: one of them, and their number."""

    example: Failure
    count: int

    def __str__(self) -> str:
        words = [self.example.place, self.example.said]
        return f"{self.count} {self.example.status}: " + ": ".join(filter(None, words))


class Failures:
    """Counts failed evaluations.

    Attributes:
        program: the number raised by programs.
        evaluator: the number raised by the evaluator itself.
    """

    def __init__(self, files: Collection[str] = ()) -> None:
        """Start at zero; `files` are the paths of the program's files."""
        self._files = files
        self._alike: dict[tuple[object, ...], Counter[Failure]] = {}
        self.program = self.evaluator = 0

    @classmethod
    def of(cls, evaluations: Iterable[Evaluation], files: Collection[str]) -> Failures:
        """Count the failed ones of some evaluations."""
        made = cls(files)
        for evaluation in evaluations:
            made.count(evaluation)
        return made

    def ending(self, evaluation: Evaluation) -> str:
        """Return an evaluation's status, with "in the evaluator" if its own code raised."""
        failure = failure_of(evaluation, self._files)
        is_evaluators = failure is not None and failure.is_evaluators
        return f"{evaluation.status} in the evaluator" if is_evaluators else evaluation.status

    def count(self, evaluation: Evaluation) -> str:
        """Count an evaluation if it failed; return its ending."""
        failure = failure_of(evaluation, self._files)
        if failure is None:
            return evaluation.status
        kind = failure.said.partition(":")[0] if failure.file else _NUMBER.sub("#", failure.said)
        alike = (failure.is_evaluators, failure.status, failure.file, failure.function, kind)
        self._alike.setdefault(alike, Counter())[failure] += 1
        if failure.is_evaluators:
            self.evaluator += 1
        else:
            self.program += 1
        return self.ending(evaluation)

    def commonest(self, *, is_evaluators: bool, most: int = 3) -> Sequence[FailureKind]:
        """Return the most frequent kinds, of the evaluator or of programs, in order."""
        kinds = [
            FailureKind(alike.most_common(1)[0][0], alike.total())
            for key, alike in self._alike.items()
            if key[0] is is_evaluators
        ]
        return sorted(kinds, key=lambda kind: -kind.count)[:most]

    @property
    def warning(self) -> str:
        """Advice if most failures are the evaluator's own; else ""."""
        if self.evaluator < _ENOUGH or self.evaluator <= self.program:
            return ""
        first = self.commonest(is_evaluators=True, most=1)[0].example
        where = f"{first.file} itself" if first.file else "the evaluator itself"
        place = f" at {first.place}" if first.place else ""
        return (
            f"most failures are raised in {where}: {self.evaluator} of "
            f"{self.evaluator + self.program}, most often{place} ({first.said}). Mend it; if a "
            "program returns something invalid, raise evolver.CandidateOutputError"
        )

    def lines(self, most: int = 3) -> Sequence[str]:
        """Return the most frequent kinds as lines, the evaluator's first, and the warning."""
        lines = []
        for is_evaluators, where in ((True, "in the evaluator itself"), (False, "in programs")):
            total = self.evaluator if is_evaluators else self.program
            if total:
                plural = "" if total == 1 else "s"
                lines.append(f"{total} evaluation{plural} failed {where}:")
                kinds = self.commonest(is_evaluators=is_evaluators, most=len(self._alike))
                lines += [f"  {kind}" for kind in kinds[:most]]
                if more := kinds[most:]:
                    count = counted(sum(kind.count for kind in more), "failure")
                    lines.append(
                        f"  {count} of {counted(len(more), 'further kind')}; "
                        "'evolver show --json' lists all"
                    )
        return [*lines, f"Warning: {self.warning}."] if self.warning else lines

    def records(self) -> Sequence[dict[str, object]]:
        """Return all kinds as plain values, most frequent first."""
        kinds = [
            kind
            for is_evaluators in (True, False)
            for kind in self.commonest(is_evaluators=is_evaluators, most=len(self._alike))
        ]
        return [
            {
                "count": kind.count,
                "status": kind.example.status,
                "in_evaluator": kind.example.is_evaluators,
                "place": kind.example.place,
                "message": kind.example.said,
            }
            for kind in sorted(kinds, key=lambda kind: -kind.count)
        ]
