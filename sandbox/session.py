"""One evaluation inside the candidate's process: reads requests, runs them, writes answers.

Nothing here is a defence: the candidate shares this process and can forge any answer. The host
checks each answer as a value, and takes only one that carries the request's token.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

from sandbox import program, wire, workdir
from sandbox.terms import THREADS, Terms

_TEXT = 16_000  # characters of a traceback that are sent


class Connection:
    """Frames to and from the host over the evaluation's own socket."""

    def __init__(self, link: int) -> None:
        self._link = link
        self._outbox = wire.Outbox(link)
        self._frames = wire.Frames(1 << 40)  # the host is trusted; memory is the limit

    def receive(self) -> tuple[dict[str, Any], bytearray]:
        """Wait for the next frame; end the process if the host is gone."""
        while (message := self._frames.take()) is None:
            if not self._frames.read(self._link):
                os._exit(0)
        return message

    def send(self, header: dict[str, Any], *buffers: wire.Buffer) -> None:
        """Send a frame."""
        self._outbox.add(wire.frame(header, *buffers))
        self._outbox.flush()


class Session:
    """The modules of the candidate and of the guest, and calls of their functions.

    Args:
        connection: to the host.
        terms: the runner's terms.
        start: the host's first frame: sources, first, literals, values, seed.
        files: the program's own files.
        root: directory in which they and the base files lie.
        scratch: directory that they may write to.
    """

    def __init__(
        self,
        connection: Connection,
        terms: Terms,
        start: dict[str, Any],
        files: dict[str, bytes],
        root: str,
        scratch: str,
    ) -> None:
        self._connection = connection
        self._limit = terms.result_bytes
        self._processes, self._threads = terms.processes, THREADS * terms.processes
        self._first = start["first"]
        literals = [tuple(place) for place in start["literals"]]
        files = {**terms.base, **files}
        self._modules = program.Modules(root, files, literals, start["values"], self._first)
        self._guest = program.Modules("<guest>", terms.guest, [], [])
        packages = [folder for folder in terms.path if folder.endswith("-packages")]
        self._workdir = workdir.WorkingDirectory(scratch, root, files, packages, self._limit)
        self._has_data = not all(path.endswith(".py") for path in files)
        sys.path[:0] = self._modules.places
        sys.meta_path[:0] = [self._guest, self._modules]
        if terms.guest:
            sys.modules["candidate"] = program.CandidateModule(self._modules, self._first)
        self._staged: tuple[Callable[..., Any], list[Any]] = (_nothing, [])
        self._results: list[Any] = []
        reseed(start["seed"])

    def serve(self) -> None:
        """Answer requests until the process is killed."""
        self._modules.claim_names()
        if self._has_data:  # a program opens data files relative to its working directory
            with contextlib.suppress(workdir.RefusedError):  # reported when the directory is used
                self._workdir.lay_out()
        while True:
            self.answer_one()

    def answer_one(self) -> None:
        """Wait for a request and answer it."""
        header, body = self._connection.receive()
        answer, buffers = self._answer(header, body)
        size = sum(map(len, buffers))
        if size > self._limit:
            answer, buffers = _refusal(
                f"it returned {size} bytes; result_bytes allows {self._limit}"
            )
        self._connection.send({"token": header["token"], **answer}, *buffers)

    def _answer(
        self, header: dict[str, Any], body: bytearray
    ) -> tuple[dict[str, Any], list[wire.Buffer]]:
        try:
            arguments, keywords = wire.decode(header["arguments"], body)
            value = self._perform(header, arguments, keywords)
        except workdir.RefusedError as error:
            return _refusal(str(error))
        except BaseException as error:  # noqa: BLE001 - any exception is the verdict, SystemExit too
            with contextlib.suppress(Exception):  # it may have replaced sys.stdout
                sys.stdout.flush()
            return {"error": self._explain(error)}, []
        try:
            tree, buffers = wire.encode(value)
        except wire.UnsupportedValueError as error:
            return _refusal(f"it returned {error}")
        return {"value": tree}, buffers

    def _perform(self, header: dict[str, Any], arguments: Any, keywords: Any) -> Any:
        match header["op"]:
            case "call":
                self._modules.set_parameters(header["parameters"])
                return self._resolve(header["function"])(*arguments, **keywords)
            case "stage":
                self._modules.set_parameters(header["parameters"])
                name = header["function"]
                self._staged = (_nothing if name is None else self._resolve(name)), arguments
            case "go":
                function, inputs = self._staged
                self._results = [function(*one) for one in inputs]
            case "results":
                value, self._results, self._staged = self._results, [], (_nothing, [])
                return value
            case "lay out":
                return self._workdir.lay_out()
            case "run":
                return self._workdir.run(*arguments)
            case "read":
                return self._workdir.read(*arguments)
            case "write":
                return self._workdir.write(*arguments)
        return None

    def _explain(self, error: BaseException) -> str:
        """Return an exception's traceback with the program's paths, and the limit behind it."""
        text = describe(error).replace(f'File "{self._modules.root}/', 'File "')
        is_refused = isinstance(error, BlockingIOError) or "can't start new thread" in text
        if is_refused:
            text += f"[sandbox] processes = {self._processes} allows {self._threads} threads\n"
        return text

    def _resolve(self, function: str) -> Callable[..., Any]:
        name, _, attribute = function.rpartition(":")
        found: Any = importlib.import_module(name or self._modules.name_of(self._first))
        for part in attribute.split("."):
            try:
                found = getattr(found, part)
            except AttributeError:
                raise AttributeError(f"{name or self._first} has no {attribute!r}") from None
        resolved: Callable[..., Any] = found
        return resolved


def _nothing(*_arguments: Any) -> None:
    """Do nothing: timed to measure the overhead."""


def rehearse(terms: Terms) -> None:
    """Run a trivial program in a session, and forget it.

    A fork shares its parent's memory until one of them writes to it; then a page is copied, at 4 µs
    each. A session writes to some 250 pages, so rehearsing one while the candidate waits for its
    program saves a millisecond when the program comes.
    """
    start = {"first": "rehearsal.py", "literals": [["rehearsal.py", 2, 11]], "values": [0.5]}
    source = b"def rehearse(x):\n    return 0.5 + x\n"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        host, guest = Connection(ours.fileno()), Connection(theirs.fileno())
        session = Session(
            guest, terms, {**start, "seed": 0}, {"rehearsal.py": source}, "/rehearsal", "/rehearsal"
        )
        tree, buffers = wire.encode(((1.5,), {}))
        request = {"op": "call", "function": "rehearse", "arguments": tree, "parameters": None}
        host.send({**request, "token": ""}, *buffers)
        session.answer_one()
        host.receive()
    # By name: comparing with a copy of sys.modules would write to the pages of all modules.
    del sys.path[0], sys.meta_path[:2]
    for name in ("rehearsal", "candidate"):
        sys.modules.pop(name, None)


def _refusal(reason: str) -> tuple[dict[str, Any], list[wire.Buffer]]:
    return {"refused": reason}, []


def describe(error: BaseException) -> str:
    """Return an exception with its traceback, without the frames of the runner."""
    with contextlib.suppress(Exception):
        report = traceback.TracebackException.from_exception(error, compact=True)
        _trim(report)
        text = "".join(report.format())
        return text if len(text) <= _TEXT else text[: _TEXT // 2] + "\n...\n" + text[-_TEXT // 2 :]
    return type(error).__name__  # its own __str__ raises


def _trim(report: traceback.TracebackException) -> None:
    hidden = ("<sandbox>", "<frozen importlib", importlib.__file__)
    report.stack = traceback.StackSummary.from_list(
        [frame for frame in report.stack if not frame.filename.startswith(hidden)]
    )
    for cause in (report.__cause__, report.__context__):
        if cause is not None:
            _trim(cause)


def reseed(seed: int) -> None:
    """Seed every random number generator that has been imported."""
    random.seed(seed)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed % 2**63)
