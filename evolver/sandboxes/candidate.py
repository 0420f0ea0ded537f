"""A program in its sandbox: the `Candidate` that an evaluator gets."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from evolver.errors import CandidateOutputError
from evolver.programs import literals
from evolver.sandboxes import clocks, timing
from evolver.sandboxes.evaluation import Evaluation
from evolver.types import Account, Check, Files, Output, Program, Timing

_LAST_WORDS = 0.3  # seconds to wait for the output of a command that overran its timeout


class SandboxedCandidate:
    """A `Candidate` whose program runs in a sandbox. Threads may share it: they take turns.

    Args:
        evaluation: its process.
        program: the program that runs there.
        rng: the host's random numbers, from the job's seed.
        places: the float literals of its editable regions.
        parameters: other values for them; None: those of the program.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        program: Program,
        rng: Random,
        places: Sequence[literals.Literal],
        parameters: tuple[float, ...] | None = None,
    ) -> None:
        self.files: Files = program.files
        self.rng = rng
        self._evaluation = evaluation
        self._program = program
        self._places = places
        self._parameters = parameters

    @property
    def parameters(self) -> Sequence[float]:
        """The float literals of the editable regions, in the order of `literals.find`."""
        if self._parameters is not None:
            return self._parameters
        return tuple(place.value for place in self._places)

    def at(self, parameters: Sequence[float]) -> SandboxedCandidate:
        """Return the same candidate with other values for its float literals.

        Raises:
            ValueError: the number of values is not the number of literals.
        """
        values: tuple[float, ...] | None = tuple(float(value) for value in parameters)
        assert values is not None
        if len(values) != len(self._places):
            raise ValueError(f"{len(values)} values for {len(self._places)} literals")
        if _bits(values) == _bits(tuple(place.value for place in self._places)):
            values = None  # the values of the source
        return SandboxedCandidate(self._evaluation, self._program, self.rng, self._places, values)

    def call(self, function: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a function of the candidate and return its value.

        Lists, tuples and dicts keep their type; subclasses become their base, numpy's scalars
        Python's, arrays writable and C-ordered. See `evolver.types.Candidate.call` for the rest.
        """
        request = {"op": "call", "function": function, "parameters": self._parameters}
        with self._evaluation.turn:
            return self._evaluation.ask(request, (args, kwargs), timeout, function)

    def printed(self) -> str:
        """Return the end of its output so far, for an evaluator that runs beside it."""
        with self._evaluation.turn:
            return self._evaluation.printed()

    def restart(self) -> None:
        """Continue in a fresh process; see `evolver.types.Candidate.restart`."""
        with self._evaluation.turn:
            self._evaluation.restart()

    def time(
        self,
        function: str,
        inputs: Iterable[Sequence[Any]],
        *,
        repeats: int,
        reference: Callable[..., Any] | None = None,
        check: Check | None = None,
    ) -> Timing:
        """Time calls of a function; see `evolver.types.Candidate.time` and `timing.measure`."""
        bench = _Bench(self._evaluation, function, self._parameters, self.rng)
        with self._evaluation.turn:
            return timing.measure(bench, inputs, repeats, reference, check)

    def account(self) -> Account:
        """Return the kernel's accounts of all its processes so far."""
        with self._evaluation.turn:
            return self._evaluation.account()

    def run(
        self, command: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
    ) -> Output:
        """Run a command in the candidate's working directory, which contains its files.

        Of stdout and stderr each, a quarter of `result_bytes` is kept. Background processes of the
        command run until the evaluation ends. See `evolver.types.Candidate.run` for the rest.
        """
        words = list(command)
        are_words = words and words[0] and all(type(word) is str for word in words)
        if isinstance(command, str) or not are_words:
            raise TypeError(
                f'a command must be a list of words, such as ["./prog", "7"], not {command!r}'
            )
        if any("\0" in word for word in words):
            raise ValueError(f"the command {command!r} contains a zero byte; remove it")
        with self._evaluation.turn:
            return self._run(words, bytes(stdin), timeout)

    def _run(self, words: list[str], stdin: bytes, timeout: float | None) -> Output:
        """Run a command; measure it by this process's clock and the kernel's accounts."""
        name = words[0]
        self._prepare_directory()
        before, started = self._evaluation.account(), time.monotonic()
        value = self._evaluation.ask(
            {"op": "run"}, ((words, stdin, timeout), {}), timeout, name, grace=_LAST_WORDS
        )
        seconds = time.monotonic() - started
        match value:
            case (int(code), bytes(stdout), bytes(stderr), bool(is_cut), bool(is_late)):
                pass
            case _:
                raise CandidateOutputError(f"the answer about the end of {name} is malformed")
        if timeout is not None and (is_late or seconds > timeout):
            self._evaluation.overrun(timeout, name, stdout + stderr)
        cpu = self._evaluation.account().cpu - before.cpu
        return Output(code, stdout, stderr, is_cut, seconds=seconds, cpu=cpu)

    def read(self, path: str) -> bytes:
        """Return a regular file of the working directory, read with the candidate's rights."""
        content = self._ask_directory("read", (_inner(path),), f"reading {path}")
        if type(content) is not bytes:
            raise CandidateOutputError(f"the answer to reading {path} is not bytes")
        return content

    def write(self, path: str, data: bytes) -> None:
        """Write a file into the working directory, and make missing folders."""
        self._ask_directory("write", (_inner(path), bytes(data)), f"writing {path}")

    def _ask_directory(self, op: str, arguments: Any, name: str) -> Any:
        """Send a request about the working directory, after `_prepare_directory`."""
        with self._evaluation.turn:
            self._prepare_directory()
            return self._evaluation.ask({"op": op}, (arguments, {}), None, name)

    def _prepare_directory(self) -> None:
        """Lay the files out in the directory, with this candidate's values of the literals."""
        evaluation = self._evaluation
        evaluation.ready()
        if not evaluation.is_laid_out:
            evaluation.ask({"op": "lay out"}, ((), {}), None, "laying out its files")
            evaluation.is_laid_out = True
        if evaluation.parameters_on_disk != self._parameters:
            files = literals.substitute(self.files, self.parameters)
            for path in {place.path for place in self._places}:
                evaluation.ask({"op": "write"}, ((path, files[path]), {}), None, "writing")
            evaluation.parameters_on_disk = self._parameters


class _Bench:
    """A candidate's function as a `timing.Bench`."""

    def __init__(
        self,
        evaluation: Evaluation,
        function: str,
        parameters: tuple[float, ...] | None,
        rng: Random,
    ) -> None:
        self._evaluation = evaluation
        self._function = function
        self._parameters = parameters
        self.rng = rng
        self.room = evaluation.result_bytes // 2

    def stage(self, batch: Sequence[Sequence[Any]] | None) -> None:
        """Send the arguments of a batch of calls; None: one call of an empty function."""
        request = {"op": "stage", "function": self._function, "parameters": self._parameters}
        if batch is None:
            request["function"] = None
        self._evaluation.ask(request, (list(batch or [()]), {}), None, self._function)

    def go(self) -> float:
        """Have the batch called; return the seconds from the request until all have returned."""
        started = clocks.now()
        self._evaluation.ask({"op": "go"}, ((), {}), None, self._function)
        return clocks.now() - started

    def results(self) -> Sequence[Any]:
        """Return the results of all calls of the batch."""
        return self._evaluation.ask({"op": "results"}, ((), {}), None, self._function)  # type: ignore[no-any-return]

    def account(self) -> Account:
        """Return the kernel's accounts of its processes so far."""
        return self._evaluation.account()


def _inner(path: str) -> str:
    """Return a path if it stays below the working directory, links aside; else raise."""
    if not is_inner(path):
        raise CandidateOutputError(
            f"{path!r} does not stay below the working directory; give a relative path without '..'"
        )
    return path


def is_inner(path: str) -> bool:
    """Does a path stay below its folder, links aside?"""
    return "\0" not in path and not {"", ".", ".."}.intersection(path.split("/"))


def _bits(values: Sequence[float]) -> bytes:
    return struct.pack(f"={len(values)}d", *values)
