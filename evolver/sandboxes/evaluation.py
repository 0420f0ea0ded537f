"""One candidate process, seen from the evaluator's process, which checks every answer."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from evolver.errors import (
    CandidateCrashed,
    CandidateError,
    CandidateOutputError,
    CandidateTimeout,
    SandboxError,
)
from evolver.programs import literals
from evolver.sandboxes import wire
from evolver.sandboxes.channel import Channel, RunnerError
from evolver.sandboxes.decoys import DecoyKey
from evolver.sandboxes.settings import SandboxSettings
from evolver.types import Account, Program
from evolver.wording import visible

_PIECE = 1 << 17  # bytes sent to the relay in one frame
_ENVELOPE = 1 << 16  # bytes of a frame besides the value
_TEXT = 20_000  # characters of a message that are kept
_PATIENCE = 0.5  # seconds for the relay to send the output
_TAIL = 4096  # bytes of output that a message shows


class Evaluation:
    """One candidate process, from the runner's "open" to its "closed".

    A request that overruns its own timeout kills the process; the next request gets another one.

    Args:
        channel: to a runner that has no candidate now.
        settings: limits on answers.
        timeout: seconds for the whole evaluation.
        decoy: a key in the candidate's environment that no honest program gives away.

    Attributes:
        turn: the lock that a thread holds during a request.
    """

    def __init__(
        self, channel: Channel, settings: SandboxSettings, timeout: float, decoy: str
    ) -> None:
        self.turn = threading.RLock()
        self._channel = channel
        self._settings = settings
        self.result_bytes = settings.result_bytes
        self.timeout = timeout
        self.deadline = time.monotonic() + timeout
        self._frames = wire.Frames(settings.result_bytes + _ENVELOPE)
        self.is_laid_out = False  # are its files in its working directory?
        self.parameters_on_disk: tuple[float, ...] | None = None  # None: as in the source
        self.is_out_of_memory = False  # the kernel killed it, and perhaps other processes
        self._verdict: CandidateError | None = None  # set when it is dead for good
        self._is_overrun = False  # the process was killed, and the next request gets another one
        self._is_closing = self._is_closed = False
        self._decoy = DecoyKey(decoy)
        self._opened: tuple[str, ...] = ()  # decoys
        self.memory = 0  # bytes of its largest process at its peak, once it is dead
        self._last_words = b""  # the end of its output, if the relay killed it
        self._frame: dict[str, Any] = {}  # the first one that the process gets
        self._buffers: Sequence[wire.Buffer] = ()

    def start(
        self, program: Program, main: str, seed: int, places: Sequence[literals.Literal]
    ) -> None:
        """Start and confine the process; the program is not executed yet.

        A function without a module's name is one of the file `main`.

        Raises:
            SandboxError: the process could not be started.
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
        """Start a process that has so many seconds.

        Raises:
            SandboxError: the process could not be started.
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
        """Kill the process and all that it started, and start another one.

        Raises:
            CandidateError: it was dead already, or its time is over.
            SandboxError: the runner failed.
        """
        if self._verdict is not None:
            raise self._verdict
        self._kill()
        self._is_overrun = False
        seconds = self.deadline - time.monotonic()
        self._verdict = None if seconds > 0 else self._overdue()
        if self._verdict is not None:
            raise self._verdict
        self._is_closing = self._is_closed = False
        self._frames = wire.Frames(self._settings.result_bytes + _ENVELOPE)
        self.parameters_on_disk, self.is_laid_out = None, False
        try:
            self._begin(seconds)
        except TimeoutError:
            self._end(self._overdue())

    def ready(self) -> None:
        """Restart the process if a request overran; raises as `restart` does."""
        if self._is_overrun:
            self.restart()
        if self._verdict is not None:
            raise self._verdict

    def ask(
        self,
        request: dict[str, Any],
        arguments: Any,
        timeout: float | None,
        name: str,
        *,
        grace: float = 0.0,
    ) -> Any:
        """Send a request to the candidate's process; return the value of its answer.

        Args:
            request: its "op" and the fields of that op.
            arguments: a value.
            timeout: seconds for it; None: the rest of the evaluation's.
            name: its name in an error's message.
            grace: seconds beyond the timeout in which an answer is taken.

        Raises:
            CandidateError: see `evolver.types.Candidate`.
            SandboxError: the runner failed.
            UnsupportedValueError: the arguments cannot be sent.
        """
        tree, buffers = wire.encode(arguments)
        self.ready()
        token = secrets.token_hex(8)
        ends = self.deadline
        if timeout is not None:
            ends = min(ends, time.monotonic() + timeout + grace)
        try:
            self._send({**request, "arguments": tree, "token": token}, buffers, ends)
            header, body = self._receive(ends)
            return self._value(request["op"], header, body, token)
        except TimeoutError:
            if ends == self.deadline:
                self._last_words = self._tail_of_output()
                self._end(self._overdue())
            assert timeout is not None
            self.overrun(timeout, name, self._tail_of_output())
        except wire.WireError as error:
            self._end(CandidateOutputError(f"{name} returned {error}"))

    def overrun(self, timeout: float, name: str, output: bytes) -> NoReturn:
        """Kill the process for a request that took too long; the next one gets another process.

        Args:
            timeout: seconds that the request had.
            name: its name in the error's message.
            output: the output meanwhile.

        Raises:
            CandidateTimeout: always.
            SandboxError: the runner failed.
        """
        self._is_overrun, self._verdict = True, None  # it may have died just now
        self._kill()
        said = f"{name} did not return in its {timeout:g} s and was killed"
        raise CandidateTimeout(said, output, printed=_end_of(output))

    def _value(self, op: str, header: dict[str, Any], body: bytearray, token: str) -> Any:
        if header.get("token") != token:
            self._end(CandidateOutputError("it wrote to the sandbox's channel itself"))
        match header:
            case {"value": tree}:
                return wire.decode(tree, body)
            case {"refused": str(reason)}:
                error = CandidateCrashed if op == "run" else CandidateOutputError
                raise error(_printable(reason))
            case {"error": str(text)}:
                raise CandidateCrashed(_printable(text), printed=_end_of(self._tail_of_output()))
        raise wire.WireError("a malformed answer")

    def _send(
        self, header: dict[str, Any], buffers: Sequence[wire.Buffer], deadline: float
    ) -> None:
        for buffer in wire.frame(header, *buffers):
            # In pieces, so that the relay passes on the first while the next arrives.
            for start in range(0, len(buffer), _PIECE):
                self._channel.prepare({"op": "data"}, memoryview(buffer)[start : start + _PIECE])
        self._channel.flush(deadline)

    def _receive(self, deadline: float) -> tuple[dict[str, Any], bytearray]:
        """Return the candidate's next frame; raise the verdict if it died."""
        while True:
            message = self._frames.take()
            if message is not None:
                return message
            header, body = self._channel.receive(deadline)
            if header["op"] == "data":
                self._decoy.look(body)
                self._frames.feed(body)
            elif header["op"] == "ended":
                self._died(header, body)

    @property
    def flags(self) -> tuple[str, ...]:
        """Signs of an attack, in sentences; complete once it is closed."""
        opened = [f"it opened the decoy {name}" for name in self._opened]
        return (*opened, *["it gave away the decoy key"] * self._decoy.was_given)

    def _tail_of_output(self) -> bytes:
        """Ask the relay for the end of the candidate's output."""
        try:
            return bytes(self._ask_relay("printed", time.monotonic() + _PATIENCE)[1])
        except CandidateCrashed:
            return b""
        except TimeoutError:  # or it was killed at its deadline, and these are its last words
            return self._last_words

    def printed(self) -> str:
        """Return the end of its output so far; "" if it is dead."""
        is_dead = self._verdict is not None or self._is_overrun
        return "" if is_dead else _printable(self._tail_of_output().decode("utf-8", "replace"))

    def account(self) -> Account:
        """Return the kernel's accounts of all its processes.

        Raises:
            CandidateError: it died.
            SandboxError: the runner failed.
        """
        self.ready()
        try:
            header, _ = self._ask_relay("cpu", self.deadline)
            return Account(header["taken"] / 1e9, header["waited"] / 1e9, header["processor"])
        except TimeoutError:
            self._end(self._overdue())

    def _ask_relay(self, op: str, deadline: float) -> tuple[dict[str, Any], bytearray]:
        self._channel.send({"op": op}, deadline=deadline)
        while True:
            header, body = self._channel.receive(deadline)
            if header["op"] == op:
                return header, body
            if header["op"] == "ended":
                self._died(header, body)

    def _overdue(self) -> CandidateTimeout:
        said = f"the evaluation did not end in its {self.timeout:g} s and was killed"
        return CandidateTimeout(said, self._last_words, printed=_end_of(self._last_words))

    def _died(self, header: dict[str, Any], printed: bytearray) -> None:
        if header["status"] is None:
            raise SandboxError(f"no process could be started: {header['excess']}")
        if header["late"]:
            self._last_words = bytes(printed)
            raise TimeoutError
        if header["excess"]:
            text = f"killed: {header['excess']}"
        elif header["out_of_memory"]:
            self.is_out_of_memory = True
            text = f"killed: it used more than [sandbox] memory = {self._settings.memory} MiB"
        else:
            text = describe_status(header["status"])
        self._verdict = CandidateCrashed(text, printed=_end_of(printed))
        raise self._verdict

    def _end(self, verdict: CandidateError) -> NoReturn:
        self._verdict = verdict
        with contextlib.suppress(RunnerError):  # `close` of the opener waits for the end
            self.close()
        raise verdict

    def close(self) -> None:
        """Kill the process and all that it started; return when they are dead.

        Raises:
            SandboxError: the runner does not answer and has to be replaced.
        """
        with self.turn:
            if self._verdict is None:
                self._verdict = CandidateCrashed("the evaluation is over")
            self._kill()

    def _kill(self) -> None:
        if self._is_closed:
            return
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
            self._channel.patience = 0.0  # it hangs
            raise RunnerError("the sandbox's runner does not answer") from None


def describe_status(status: int) -> str:
    """Return in words how a process ended, from its wait status."""
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
    """Derive the candidate's seed, from which it cannot predict `Candidate.rng`."""
    return int.from_bytes(hashlib.sha256(b"guest %d" % seed).digest()[:8], "big")


def _printable(text: str) -> str:
    return visible(text[:_TEXT])


def _end_of(printed: bytes | bytearray) -> str:
    """Return the end of what a candidate printed, as a message shows it."""
    return _printable(printed[-_TAIL:].decode("utf-8", "replace").rstrip())
