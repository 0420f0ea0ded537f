"""A sandbox with a warm runner, the base of all backends; a backend adds how to start it."""

from __future__ import annotations

import contextlib
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from random import Random
from typing import Any

from evolver import extras
from evolver.errors import SandboxError, UsageError
from evolver.programs import literals
from evolver.sandboxes import wire
from evolver.sandboxes.candidate import SandboxedCandidate, is_inner
from evolver.sandboxes.channel import Channel, RunnerError
from evolver.sandboxes.evaluation import Evaluation
from evolver.sandboxes.settings import SandboxSettings
from evolver.types import Candidate, Files, Program, SandboxReport

_START = 60.0  # seconds for a runner to start and to import what is preloaded
SCRATCH = 64  # MiB of a candidate's scratch directory


class WarmSandbox(ABC):
    """Opens candidates in the processes of one warm runner, one at a time.

    Args:
        settings: limits and preloaded modules.
        base: read-only files that lie beside those of every program.
        main: the program's first file, one of its own or of `base`. `candidate.call` finds there
            functions without a module's name. "": the first of a program's own files.
        guest: the evaluator's guest modules, file name -> source: `candidate.call("guest:trace")`
            calls `trace` of "guest.py" in the candidate's process. There `import candidate` gives
            a module with `candidate.load(parameters=None)`, which executes the first program file
            afresh, with any objects as the values of its float literals, and returns its module;
            and `candidate.parameters`, the tuple of those floats.

    Attributes:
        isolation: the tier, stored with every evaluation.
    """

    isolation: str

    def __init__(
        self,
        settings: SandboxSettings,
        *,
        base: Files | None = None,
        guest: Files | None = None,
        main: str = "",
    ) -> None:
        self.settings = settings
        self._main = main
        self._base = dict(base or {})
        self._guest = dict(guest or {})
        for path in (*self._base, *self._guest):
            check_path(path)
        self._channel: Channel | None = None
        self._is_open = False
        self._is_closed = False
        self._report = SandboxReport()
        self._decoy = secrets.token_urlsafe(48)  # long, so that it is searched for quickly

    @abstractmethod
    def _launch(self) -> tuple[Channel, dict[str, Any]]:
        """Start a runner; return its channel and the terms that depend on the backend.

        Raises:
            SandboxError: it cannot be started.
        """

    @contextmanager
    def open(self, program: Program, *, seed: int, timeout: float) -> Iterator[Candidate]:
        """Start a candidate in a fresh process; at exit, kill it and all that it started.

        Only one candidate of a sandbox is open at a time.

        Raises:
            SandboxError: no process could be started.
            UsageError: a file of the program has an invalid name.
        """
        if self._is_open or self._is_closed:
            state = "has a candidate already" if self._is_open else "is closed"
            raise SandboxError(f"this sandbox {state}; make another one")
        self._check(program)
        places = literals.find(program.files)
        evaluation = self._start(program, seed, timeout, places)
        self._is_open = True
        try:
            yield SandboxedCandidate(evaluation, program, Random(seed), places)
        finally:
            self._is_open = False
            try:
                evaluation.close()
                self._report = replace(
                    self._report, memory=evaluation.memory, flags=evaluation.flags
                )
                if self._needs_replacement(evaluation):
                    self._hang_up()
                    with contextlib.suppress(SandboxError):  # the next `open` raises it again
                        self._running()
            except SandboxError:
                self._hang_up()  # kills the runner; the next `open` starts another one

    def start(self) -> None:
        """Start the runner now instead of with the first candidate.

        Raises:
            SandboxError: it cannot start; the message says why.
        """
        self._running()

    def report(self) -> SandboxReport:
        """Return what is known of this host and of the last candidate."""
        return self._report

    def close(self) -> None:
        """Kill everything; the sandbox cannot be opened again."""
        self._is_closed = True
        self._hang_up()

    def _start(
        self, program: Program, seed: int, timeout: float, places: Sequence[literals.Literal]
    ) -> Evaluation:
        for is_last in (False, True):
            try:
                channel = self._running()
                evaluation = Evaluation(channel, self.settings, timeout, self._decoy)
                evaluation.start(program, self._first(program), seed, places)
                return evaluation
            except (SandboxError, TimeoutError) as error:
                self._hang_up()
                if is_last:
                    late = f"no process was ready in the evaluation's {timeout:g} s"
                    raise SandboxError(str(error) or late) from error
        raise AssertionError

    def _needs_replacement(self, _evaluation: Evaluation) -> bool:
        """Should the runner be replaced after this evaluation?"""
        return False

    def _shown(self) -> list[str]:
        """Return the paths of `visible`.

        Raises:
            SandboxError: one of them does not exist.
        """
        for place in self.settings.visible:
            if not Path(place).is_absolute() or not Path(place).exists():
                raise SandboxError(
                    f"[sandbox] visible: {place} is not an existing absolute path; name such paths"
                )
        return list(self.settings.visible)

    def _first(self, program: Program) -> str:
        is_there = self._main in program.files or self._main in self._base
        return self._main if is_there else next(iter(program.files))

    def _running(self) -> Channel:
        if self._channel is not None:
            return self._channel
        channel, terms = self._launch()
        settings = self.settings
        tree, buffers = wire.encode({"base": self._base, "guest": self._guest})
        terms |= {
            "files": tree,
            "preload": list(settings.preload),
            "memory": settings.memory,
            "processes": settings.processes,
            "scratch": SCRATCH,
            "network": settings.network,
            "result_bytes": settings.result_bytes,
            "decoy": self._decoy,
        }
        deadline = time.monotonic() + _START
        try:
            channel.prepare(terms, *buffers)
            channel.flush(deadline)
            report, _ = channel.receive(deadline)
        except (TimeoutError, RunnerError):
            channel.close()
            said = channel.errors.decode("utf-8", "replace").strip()
            raise SandboxError(
                f"the sandbox's runner did not start{':' if said else ''} {said}".rstrip()
            ) from None
        if report["op"] != "ready":
            channel.close()
            if (missing := report.get("missing")) in {
                name.partition(".")[0] for name in settings.preload
            }:
                raise SandboxError(
                    f"[sandbox] preload names {missing}, which is not installed "
                    + self._advice(missing)
                )
            raise SandboxError(f"the sandbox's runner could not start:\n{report.get('message')}")
        self._channel = channel
        self._started(report)
        return channel

    def _advice(self, missing: str) -> str:
        """Return where a module is missing and what installs it: the end of a sentence."""
        return f"here: {extras.installation(missing)}"

    def _started(self, report: Mapping[str, Any]) -> None:
        """Take the report of a ready runner; a backend may override this to do more.

        Args:
            report: its `notes`, and the bytes of `memory` that it uses.
        """
        self._report = replace(self._report, notes=tuple(report["notes"]))

    def _hang_up(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            with contextlib.suppress(OSError):
                channel.close()

    def _check(self, program: Program) -> None:
        if not program.files:
            raise UsageError("a program without files cannot be run; give it a file")
        for path in program.files:
            check_path(path)
        clash = {PurePosixPath(path).stem for path in self._guest} & {
            PurePosixPath(path).parts[0].removesuffix(".py")
            for path in (*program.files, *self._base)
        }
        if self._guest and any(path == "candidate.py" for path in (*program.files, *self._base)):
            clash.add("candidate")
        if clash:
            raise UsageError(
                f"the program's {', '.join(sorted(clash))} has the name of a module of the "
                "evaluator's guest code (there `candidate` is the program); rename one of them"
            )


def check_path(path: str) -> None:
    """Refuse a path that could leave its folder.

    Raises:
        UsageError: it is absolute, empty, or has a part such as "..".
    """
    if not is_inner(path):
        raise UsageError(
            f"{path!r} may leave the program's folder; give a relative path without '..'"
        )
