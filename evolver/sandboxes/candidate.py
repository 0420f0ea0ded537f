"""A program in its sandbox, as the evaluator's process sees it: everything it says is checked."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import signal
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from evolver import literals
from evolver.errors import (
    CandidateCrashed,
    CandidateError,
    CandidateOutputError,
    CandidateTimeout,
    SandboxError,
)
from evolver.sandboxes import timing, wire
from evolver.sandboxes.channel import Channel, RunnerError
from evolver.sandboxes.settings import SandboxSettings
from evolver.types import Account, Files, Output, Program, Timing

PRINTED = "it printed, at the end:"  # the line that parts what it printed from what went wrong
_PIECE = 1 << 17  # bytes sent to the relay in one frame
_ENVELOPE = 1 << 16  # bytes of a frame besides the value
_TEXT = 20_000  # characters of a message that are kept
#: Control characters, as what stands for them: a terminal that shows a message obeys none of them.
_CONTROLS = {n: f"\\x{n:02x}" for n in (*range(32), *range(127, 160)) if chr(n) not in "\n\t"}


class Evaluation:
    """One candidate process, from the runner's "open" to its "closed".

    Args:
        channel: to a runner that has no candidate at the moment.
        settings: limits on what is believed.
        timeout: seconds for all of it.
        decoy: a key in the candidate's environment that no honest program gives away.
    """

    def __init__(
        self, channel: Channel, settings: SandboxSettings, timeout: float, decoy: str
    ) -> None:
        self._channel = channel
        self._settings = settings
        self.result_bytes = settings.result_bytes
        self.timeout = timeout
        self.deadline = time.monotonic() + timeout
        self._frames = wire.Frames(settings.result_bytes + _ENVELOPE)
        self.parameters_on_disk: tuple[float, ...] | None = None  # None: as in the source
        self.is_out_of_memory = False  # the kernel killed it, and may have killed more
        self._verdict: CandidateError | None = None  # once it is dead
        self._is_closing = self._is_closed = False
        self._decoy = decoy.encode()
        self._tail = b""  # the end of what came last
        self._gave_decoy = False
        self._opened: tuple[str, ...] = ()  # decoys
        self.memory = 0  # bytes that the largest of its processes took at its peak, once it is dead
        self._frame: dict[str, Any] = {}  # the first one that the process gets
        self._buffers: Sequence[wire.Buffer] = ()

    def start(
        self, program: Program, main: str, seed: int, places: Sequence[literals.Literal]
    ) -> None:
        """Have the process made and confined; the program is not executed yet.

        Functions without a module's name are looked for in the file `main`.

        Raises:
            SandboxError: there is no such process.
        """
        tree, self._buffers = wire.encode(dict(program.files))
        self._frame = {
            "files": tree,
            "first": main,
            "literals": [[place.path, place.line, place.column] for place in places],
            "values": [place.value for place in places],
            "seed": _guest_seed(seed),
        }
        self._begin(self.timeout)

    def _begin(self, seconds: float) -> None:
        """Have a process made that has so many seconds.

        Raises:
            SandboxError: there is no such process.
        """
        self._channel.prepare({"op": "open", "timeout": seconds})
        self._send({**self._frame, "timeout": seconds}, self._buffers, self.deadline)
        try:
            header, _ = self._receive(self.deadline)
        except CandidateError as error:
            raise SandboxError(f"the candidate's process did not start: {error}") from None
        if header.get("op") != "confined":
            raise SandboxError(
                f"the sandbox could not confine its process: {header.get('message')}"
            )

    def restart(self) -> None:
        """Kill the process and all that it started, and have another one made in its place.

        Raises:
            CandidateError: it was dead already, or its time is over.
            SandboxError: the runner broke.
        """
        if self._verdict is not None:
            raise self._verdict
        self.close()
        seconds = self.deadline - time.monotonic()
        self._verdict = None if seconds > 0 else self._overdue()
        if self._verdict is not None:
            raise self._verdict
        self._is_closing = self._is_closed = False
        self._frames = wire.Frames(self._settings.result_bytes + _ENVELOPE)
        self.parameters_on_disk = None
        try:
            self._begin(seconds)
        except TimeoutError:
            self._end(self._overdue())

    def ask(self, request: dict[str, Any], arguments: Any, timeout: float | None, name: str) -> Any:
        """Have something done in the candidate's process; return the value of its answer.

        Args:
            request: what: its "op", and what that needs.
            arguments: a value.
            timeout: seconds for it; None for what is left of the evaluation's.
            name: what an error's message calls it.

        Raises:
            CandidateError: as `evolver.types.Candidate` says.
            SandboxError: the runner broke.
            UnsupportedValueError: the arguments may not travel.
        """
        tree, buffers = wire.encode(arguments)
        if self._verdict is not None:
            raise self._verdict
        token = secrets.token_hex(8)
        ends = self.deadline
        if timeout is not None:
            ends = min(ends, time.monotonic() + timeout)
        try:
            self._send({**request, "arguments": tree, "token": token}, buffers, ends)
            header, body = self._receive(ends)
            return self._value(request["op"], header, body, token)
        except TimeoutError:
            if ends == self.deadline:
                self._end(self._overdue())
            self._end(
                CandidateTimeout(f"{name} did not return in its {timeout:g} s and was killed")
            )
        except wire.WireError as error:
            self._end(CandidateOutputError(f"{name} returned {error}"))
        raise AssertionError  # _end raises

    def _value(self, op: str, header: dict[str, Any], body: bytearray, token: str) -> Any:
        if header.get("token") != token:
            self._end(CandidateOutputError("it wrote to the sandbox's channel by itself"))
        match header:
            case {"value": tree}:
                return wire.decode(tree, body)
            case {"refused": str(reason)}:
                error = CandidateCrashed if op == "run" else CandidateOutputError
                raise error(_printable(reason))
            case {"error": str(text)}:
                raise CandidateCrashed(_printable(text) + self._printed())
        raise wire.WireError("an answer that is none")

    def _send(
        self, header: dict[str, Any], buffers: Sequence[wire.Buffer], deadline: float
    ) -> None:
        for buffer in wire.frame(header, *buffers):
            # In pieces, so that the relay hands on the first while the next is on its way.
            for start in range(0, len(buffer), _PIECE):
                self._channel.prepare({"op": "data"}, memoryview(buffer)[start : start + _PIECE])
        self._channel.flush(deadline)

    def _receive(self, deadline: float) -> tuple[dict[str, Any], bytearray]:
        """Return the candidate's next frame; its death is a verdict."""
        while True:
            message = self._frames.take()
            if message is not None:
                return message
            header, body = self._channel.receive(deadline)
            if header["op"] == "data":
                self._look_for_decoy(body)
                self._frames.feed(body)
            elif header["op"] == "ended":
                self._died(header, body)

    @property
    def flags(self) -> tuple[str, ...]:
        """What it did that no honest program does, in sentences; all of it once it is closed."""
        opened = [f"it opened the decoy {name}" for name in self._opened]
        return (*opened, *["it gave away the decoy key"] * self._gave_decoy)

    def _look_for_decoy(self, piece: bytes | bytearray) -> None:
        """See whether the decoy key is in the bytes that come back, also across two pieces."""
        before = len(self._decoy) - 1
        self._gave_decoy |= self._decoy in piece or self._decoy in self._tail + piece[:before]
        self._tail = bytes((self._tail + piece[-before:])[-before:])

    def _printed(self) -> str:
        """Return the end of what the candidate printed, as a paragraph."""
        return _paragraph(self.printed())

    def printed(self) -> bytearray:
        """Ask the relay for the end of what the candidate printed; nothing where it is dead."""
        if self._verdict is not None:
            return bytearray()
        try:
            return self._ask_relay("printed", time.monotonic() + self._channel.grace)[1]
        except (TimeoutError, CandidateCrashed):
            return bytearray()

    def account(self) -> Account:
        """Return what the kernel has counted for all its processes.

        Raises:
            CandidateError: it died.
            SandboxError: the runner broke.
        """
        if self._verdict is not None:
            raise self._verdict
        try:
            header, _ = self._ask_relay("cpu", self.deadline)
            return Account(header["taken"] / 1e9, header["waited"] / 1e9)
        except TimeoutError:
            self._end(self._overdue())
        raise AssertionError  # _end raises

    def _ask_relay(self, op: str, deadline: float) -> tuple[dict[str, Any], bytearray]:
        self._channel.send({"op": op}, deadline=deadline)
        while True:
            header, body = self._channel.receive(deadline)
            if header["op"] == op:
                return header, body
            if header["op"] == "ended":
                self._died(header, body)

    def _overdue(self) -> CandidateTimeout:
        return CandidateTimeout(
            f"the evaluation did not end in its {self.timeout:g} s and was killed"
        )

    def _died(self, header: dict[str, Any], printed: bytearray) -> None:
        if header["status"] is None:
            raise SandboxError(f"no process could be started: {header['excess']}")
        if header["late"]:
            raise TimeoutError
        if header["excess"]:
            text = f"killed: {header['excess']}"
        elif header["out_of_memory"]:
            self.is_out_of_memory = True
            text = f"killed: it used more than [sandbox] memory = {self._settings.memory} MiB"
        else:
            text = describe_status(header["status"])
        self._verdict = CandidateCrashed(text + _paragraph(printed))
        raise self._verdict

    def _end(self, verdict: CandidateError) -> None:
        self._verdict = verdict
        with contextlib.suppress(RunnerError):  # burying may take longer; who opened it waits
            self.close()
        raise verdict

    def close(self) -> None:
        """Kill the process and all that it started; return when they are dead.

        Raises:
            SandboxError: the runner does not answer; it has to be replaced.
        """
        if self._is_closed:
            return
        if self._verdict is None:
            self._verdict = CandidateCrashed("the evaluation is over")
        deadline = time.monotonic() + self._channel.grace
        try:
            if not self._is_closing:
                self._is_closing = True
                self._channel.send({"op": "close"}, deadline=deadline)
            while (header := self._channel.receive(deadline)[0])["op"] != "closed":
                pass
            self.memory = max(self.memory, header["memory"])
            self._opened = tuple(dict.fromkeys((*self._opened, *header["decoys"])))
            self._is_closed = True
        except TimeoutError:
            raise RunnerError("the sandbox's runner does not answer") from None


def describe_status(status: int) -> str:
    """Say in words how a process ended, from its wait status."""
    code = status >> 8 & 0xFF
    number = status & 0x7F
    if not number:
        return f"its process exited with code {code}"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = {
        "SIGSEGV": " (segmentation fault or stack overflow)",
        "SIGKILL": " (out of memory, or it closed the sandbox's channel)",
        "SIGXCPU": " (too much CPU time)",
        "SIGXFSZ": " (a file grew too large)",
    }.get(name, "")
    return f"its process was killed by {name}{hint}"


def _guest_seed(seed: int) -> int:
    """Derive the candidate's seed, from which it cannot tell what `Candidate.rng` will draw."""
    return int.from_bytes(hashlib.sha256(b"guest %d" % seed).digest()[:8], "big")


def _printable(text: str) -> str:
    return text[:_TEXT].translate(_CONTROLS).encode("utf-8", "replace").decode()


def _paragraph(printed: bytearray) -> str:
    """Return what a candidate printed as the end of a message."""
    text = _printable(printed.decode("utf-8", "replace").rstrip())
    return f"\n{PRINTED}\n{text}" if text else ""


class SandboxedCandidate:
    """A `Candidate` whose program runs in a sandbox.

    Args:
        evaluation: its process.
        program: what runs there.
        rng: the host's own chance, from the job's seed.
        places: the float literals of its editable regions.
        parameters: other values for them; None for the program's own.
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
            values = None  # as in the source: the program runs as it was written
        return SandboxedCandidate(self._evaluation, self._program, self.rng, self._places, values)

    def call(self, function: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a function of the candidate and return its value.

        Lists, tuples and dicts come back as what they were, subclasses of them as their base,
        numpy's scalars as Python's, arrays as writable C-ordered arrays. See
        `evolver.types.Candidate.call` for the rest.
        """
        request = {"op": "call", "function": function, "parameters": self._parameters}
        return self._evaluation.ask(request, (args, kwargs), timeout, function)

    def printed(self) -> str:
        """Return the end of what it has printed so far, for an evaluator that runs beside it."""
        return _printable(self._evaluation.printed().decode("utf-8", "replace"))

    def restart(self) -> None:
        """Go on in a fresh process; see `evolver.types.Candidate.restart`."""
        self._evaluation.restart()

    def time(
        self,
        function: str,
        inputs: Iterable[Sequence[Any]],
        *,
        repeats: int,
        reference: Callable[..., Any] | None = None,
    ) -> Timing:
        """Time calls of a function; see `evolver.types.Candidate.time` and `timing.measure`."""
        bench = _Bench(self._evaluation, function, self._parameters, self.rng)
        return timing.measure(bench, inputs, repeats, reference)

    def account(self) -> Account:
        """Return what the kernel has counted for all its processes so far."""
        return self._evaluation.account()

    def run(
        self, command: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
    ) -> Output:
        """Run a command in the candidate's working directory, where its files lie.

        Of stdout and of stderr a quarter of `result_bytes` is kept. What the command leaves running
        in the background lives until the evaluation ends. See `evolver.types.Candidate.run` for
        the rest.
        """
        words = list(command)
        are_words = words and words[0] and all(type(word) is str for word in words)
        if isinstance(command, str) or not are_words:
            raise TypeError(
                f'a command is a list of words, such as ["./prog", "7"], not {command!r}'
            )
        if any("\0" in word for word in words):
            raise ValueError(f"a zero byte in the command {command!r}")
        value = self._ask_directory("run", (words, bytes(stdin)), timeout, words[0])
        match value:
            case (int(code), bytes(stdout), bytes(stderr), bool(is_cut)):
                return Output(code, stdout, stderr, is_cut)
        raise CandidateOutputError(f"{words[0]} ended in a way that is none")

    def read(self, path: str) -> bytes:
        """Return a regular file of the working directory, read with the candidate's own rights."""
        content = self._ask_directory("read", (_inner(path),), None, f"reading {path}")
        if type(content) is not bytes:
            raise CandidateOutputError(f"reading {path} gave no bytes")
        return content

    def write(self, path: str, data: bytes) -> None:
        """Write a file into the working directory, its folders made where they are missing."""
        self._ask_directory("write", (_inner(path), bytes(data)), None, f"writing {path}")

    def _ask_directory(self, op: str, arguments: Any, timeout: float | None, name: str) -> Any:
        """Ask for something in the working directory, where the literals have this one's values."""
        if self._evaluation.parameters_on_disk != self._parameters:
            files = literals.substitute(self.files, self.parameters)
            for path in {place.path for place in self._places}:
                self._evaluation.ask({"op": "write"}, ((path, files[path]), {}), None, "writing")
            self._evaluation.parameters_on_disk = self._parameters
        return self._evaluation.ask({"op": op}, (arguments, {}), timeout, name)


class _Bench:
    """What `timing.measure` needs of a candidate in its process."""

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
        """Send the arguments of a batch of calls; None: of one call of nothing."""
        request = {"op": "stage", "function": self._function, "parameters": self._parameters}
        if batch is None:
            request["function"] = None
        self._evaluation.ask(request, (list(batch or [()]), {}), None, self._function)

    def go(self) -> float:
        """Have the batch called; return the seconds from the word until all have returned."""
        started = timing.now()
        self._evaluation.ask({"op": "go"}, ((), {}), None, self._function)
        return timing.now() - started

    def results(self) -> Sequence[Any]:
        """Return what the calls of the batch returned, all of it."""
        return self._evaluation.ask({"op": "results"}, ((), {}), None, self._function)  # type: ignore[no-any-return]

    def account(self) -> Account:
        """Return what the kernel has counted for its processes so far."""
        return self._evaluation.account()


def _inner(path: str) -> str:
    """Return a path that leads nowhere but below the working directory, links aside."""
    if not is_inner(path):
        raise CandidateOutputError(f"{path!r} is no path below the working directory")
    return path


def is_inner(path: str) -> bool:
    """Does a path stay below the folder that it starts from, as far as its text tells?"""
    return "\0" not in path and not {"", ".", ".."}.intersection(path.split("/"))


def _bits(values: Sequence[float]) -> bytes:
    return struct.pack(f"={len(values)}d", *values)
