"""Record what a scoring function does with the seed: its metrics, and the files that it needs."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from evolver.bundled import bundled
from evolver.errors import CandidateError
from evolver.evaluation.evaluator import (
    EvaluatorSource,
    FunctionEvaluator,
    guest_files,
    is_number,
    read_result,
)
from evolver.evaluation.inside import InsideEvaluator
from evolver.types import Candidate, Files, Result

METRIC = "measured"  # the only metric of a probe; a file has what the function returns
_TRACER = "evolver_tracing"  # the name of sandbox/tracing.py in the candidate's process


@dataclass(frozen=True)
class Told:
    """What a probe writes.

    Attributes:
        metrics: what the function returned; a bare number has the name "".
        opened: files and folders that the evaluator's process read: absolute path -> whether it
            used a relative path.
        modules: files of the modules that it had imported at the end.
        wanted: files and folders that the candidate's process asked for, relative to the program.
        missed: modules that the candidate's process did not find, by name.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    opened: dict[str, bool] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Told:
        """Read what a probe wrote; empty if it wrote nothing."""
        return cls(**json.loads(path.read_text("utf-8"))) if path.is_file() else cls()


class Trace:
    """Records what this process reads, from `begin` on."""

    def __init__(self) -> None:
        self.opened: dict[str, bool] = {}  # absolute path -> whether a relative path was used
        self.written = set[str]()

    def begin(self) -> None:
        """Record until the process ends: an audit hook cannot be removed."""
        sys.addaudithook(self._note)

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            is_written = set(mode or "") & set("wax+") or (
                isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            )
            self._add(path, is_written=bool(is_written))
        elif event in ("os.listdir", "os.scandir", "sqlite3.connect", "ctypes.dlopen"):
            self._add(args[0])
        elif event == "subprocess.Popen":
            words = args[1]
            for word in [args[0], *(words if isinstance(words, list | tuple) else [words])]:
                self._add(word)

    def _add(self, path: object, *, is_written: bool = False) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        text = os.fsdecode(path)
        place = os.path.abspath(text)  # noqa: PTH100 - not resolved: links are copied as files
        if is_written:
            self.written.add(place)
        elif place not in self.written and os.path.exists(place):  # noqa: PTH110
            self.opened[place] = not os.path.isabs(text)  # noqa: PTH117


@dataclass(frozen=True)
class Probe:
    """An evaluator that records what a scoring function returns and reads.

    Attributes:
        use: the function, "file.py:name".
        root: the folder of its file.
        told: the file to write.
    """

    use: str
    root: Path
    told: Path

    @cached_property
    def _trace(self) -> Trace:
        trace = Trace()
        trace.begin()
        return trace

    @cached_property
    def _evaluator(self) -> FunctionEvaluator | InsideEvaluator:
        _ = self._trace  # records also the import of the function's file
        evaluator = EvaluatorSource(self.use, self.root).load({})
        assert isinstance(evaluator, FunctionEvaluator | InsideEvaluator)
        return evaluator

    @property
    def guest(self) -> Files:
        """The guest files of the function, and the tracer."""
        tracer = {f"{_TRACER}.py": (bundled("sandbox") / "tracing.py").read_bytes()}
        return {**guest_files(self._evaluator), **tracer}

    def evaluate(self, candidate: Candidate) -> Result:
        """Call the function, and write down what it returned and read."""
        candidate.call(f"{_TRACER}:begin")
        metrics: dict[str, float] = {}
        try:
            returned: object = self._evaluator.evaluate(candidate)
            metrics.update(read_result({"": returned} if is_number(returned) else returned).metrics)
        finally:
            self._write(metrics, *_heard(candidate))
        return Result({METRIC: 1.0})

    def _write(self, metrics: dict[str, float], wanted: list[str], missed: list[str]) -> None:
        told = Told(metrics, dict(self._trace.opened), list(_modules()), wanted, missed)
        self.told.write_text(json.dumps(vars(told)), encoding="utf-8")


def _heard(candidate: Candidate) -> tuple[list[str], list[str]]:
    with contextlib.suppress(CandidateError):  # it is dead, or has been restarted
        match candidate.call(f"{_TRACER}:told"):
            case [[*wanted], [*imported]]:
                return [str(path) for path in wanted], [str(name) for name in imported]
    return [], []


def _modules() -> Iterator[str]:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py"):
            yield os.path.abspath(file)  # noqa: PTH100
