"""An evaluator worker: a trusted process without keys that judges one program at a time.

It owns the evaluator and one warm sandbox. The controller starts it with an explicit environment,
sends a `Setup` and then `Job`s over a pipe, and kills it when it does not answer in time.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import evolver
from evolver.errors import (
    CandidateCrashed,
    CandidateError,
    CandidateTimeout,
    EvaluatorError,
    EvolverError,
    SandboxError,
    UsageError,
)
from evolver.evaluation.auditing import AuditedCandidate, Timed, against_themselves
from evolver.evaluation.evaluator import EvaluatorSource, guest_files, read_result
from evolver.evaluation.preflight import run_preflight
from evolver.evaluation.tuning import Fit, evolve, fit
from evolver.ports import Demanding, Sandbox
from evolver.programs import literals
from evolver.sandboxes import SandboxSettings, die_with, gpus, protect_process
from evolver.sandboxes.evaluation import PRINTED
from evolver.tasks.objective import Condition, Objective
from evolver.tasks.plugins import find
from evolver.types import Candidate, Evaluation, Files, Job, Preflight, Program, Tune

HEADER = struct.Struct(">Q")
_PACKAGE = Path(evolver.__file__).resolve().parent
#: What the next author is told of a flagged program: that it is out, and not what gave it away.
_FLAGGED = "it looked for the evaluator instead of solving the task; its score does not count"


_LIMITED = "; [evaluator] times_seed says how many times longer than the seed's it may take"


@dataclass(frozen=True)
class Stage:
    """One step of a cascade: the evaluator's settings for it, and what it takes to pass."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    require: tuple[Condition, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Setup:
    """All that a worker needs before its first job."""

    evaluator: EvaluatorSource
    objective: Objective
    stages: tuple[Stage, ...]
    timeout: float  # seconds for one evaluation
    sandbox: SandboxSettings
    sandbox_class: str  # "package.module:Class"
    base: Files = field(default_factory=dict)
    main: str = ""  # the program's first file, editable or not


@dataclass(frozen=True)
class Ready:
    """What a worker tells of itself when it is set up."""

    isolation: str
    notes: tuple[str, ...] = ()  # what the user should know of the sandbox
    fits_residuals: bool = False  # tuning costs no evaluations
    references: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    confirms: bool = False  # what is announced is measured by the evaluator's `confirm`


@dataclass(frozen=True)
class Check:
    """The wish for a pre-flight of a job's program instead of its evaluation."""

    job: Job


@dataclass(frozen=True)
class Begun:
    """What a worker tells before each evaluation of a job.

    So each has a time of its own, and what a job cost is known even where its worker dies.
    """

    evaluations: int  # of this job, the one that begins now included


def _untold(begun: Begun) -> None:
    """Tell nobody."""


class Judge:
    """Judges programs with one evaluator in one warm sandbox."""

    def __init__(self, setup: Setup) -> None:
        """Load the evaluator and start the sandbox.

        Raises:
            UsageError: the evaluator or its settings are wrong, or it cannot run on this machine.
            SandboxError: the sandbox cannot be started.
        """
        self._setup = setup
        self._stages = [
            setup.evaluator.load(stage.settings, stage=stage.name) for stage in setup.stages
        ]
        for stage in self._stages:
            if isinstance(stage, Demanding):
                stage.check_host(setup.sandbox.gpus)
        self._guest = guest_files(self._stages[0])
        self._sandbox = self._start()
        self._flags: dict[str, None] = {}  # of the job at hand
        self._timed: list[Timed] = []  # references of the job at hand, where they are to be timed

    def _start(self) -> Sandbox:
        make = find(
            self._setup.sandbox_class, root=self._setup.evaluator.root, kind="sandbox", builtin={}
        )
        sandbox: Sandbox = make(
            self._setup.sandbox, base=self._setup.base, guest=self._guest, main=self._setup.main
        )
        return sandbox

    def ready(self) -> Ready:
        """Describe this worker."""
        # Of the last stage, whose metrics are what programs end up with.
        references: Any = getattr(self._stages[-1], "references", dict)()
        return Ready(
            self._sandbox.isolation,
            tuple(getattr(self._sandbox, "notes", ())),
            self.fits_residuals,
            references,
            callable(getattr(self._stages[-1], "confirm", None)),
        )

    def judge(self, job: Job, tell: Callable[[Begun], None] = _untold) -> Evaluation:
        """Judge one program: tune it where asked, then run the stages.

        Args:
            job: the program.
            tell: is told of each evaluation as it begins.

        Raises:
            SandboxError: this host cannot run candidates any more.
        """
        started = time.monotonic()
        self._flags.clear()
        self._timed.clear()
        begun = 0

        def begin() -> None:
            nonlocal begun
            begun += 1
            tell(Begun(begun))

        try:
            if job.tune is not None and not self.fits_residuals:
                evaluation = self._evolved(job, job.tune, begin)
            else:
                begin()
                evaluation = self._fitted(job)
        except CandidateError as error:  # while the sandbox was opened or tuned in
            evaluation = _failure(error)
        except SandboxError as error:
            self._replace_sandbox(error)
            evaluation = Evaluation(
                "crashed",
                feedback=f"the sandbox broke while this program ran in it: {error}",
                fault="candidate",
                evaluations=max(1, begun),
            )
        limit, seconds = self._limit_of(job), time.monotonic() - started
        if evaluation.status == "timeout" and limit < self._setup.timeout and seconds >= limit:
            evaluation = replace(evaluation, feedback=f"{evaluation.feedback}{_LIMITED}")
        if self._flags:
            evaluation = replace(
                evaluation,
                status="rejected",
                objectives=None,
                feedback=_FLAGGED,
                fault="candidate",
                flags=tuple(self._flags),
            )
        if not self._is_trusted and evaluation.fault:
            evaluation = replace(evaluation, fault="candidate")  # who can tell, in one process?
        seconds = time.monotonic() - started
        if self._timed:
            tell(Begun(begun))  # it has the time of another evaluation
        return replace(
            evaluation,
            seconds=seconds,
            references=against_themselves(self._timed),
            isolation=self._sandbox.isolation,
            trusted=self._is_trusted,
            memory=getattr(self._sandbox, "memory", 0),
        )

    def preflight(self, job: Job) -> Preflight:
        """Import, smoke-run and probe a program, without an evaluation.

        Raises:
            SandboxError: this host cannot run candidates any more.
        """
        try:
            return run_preflight(
                self._stages[0],
                lambda limit: self._sandbox.open(
                    job.program, seed=job.seed, timeout=min(limit, self._setup.timeout)
                ),
                imports=self._main_of(job.program).endswith(".py"),
                probes=job.tune is None,
            )
        except SandboxError as error:
            self._replace_sandbox(error)
            return Preflight(f"the sandbox broke while this program was imported in it: {error}")
        except Exception as error:  # noqa: BLE001 - a user's smoke or probe may raise anything
            return Preflight(_evaluator_failure(error).feedback, fault="evaluator")

    def _main_of(self, program: Program) -> str:
        main = self._setup.main
        is_there = main in program.files or main in self._setup.base
        return main if is_there else next(iter(program.files))

    @contextmanager
    def _open(self, job: Job) -> Iterator[Candidate]:
        opened = self._sandbox.open(job.program, seed=job.seed, timeout=self._limit_of(job))
        try:
            with opened as candidate:
                audited: Any = AuditedCandidate(candidate, self._timed)
                yield audited if job.times_references else candidate
        finally:  # whatever came of it
            self._flags |= dict.fromkeys(getattr(self._sandbox, "flags", ()))

    def _limit_of(self, job: Job) -> float:
        """Return the seconds for which a candidate is opened.

        A fit by residuals is many calls of one candidate, and has the evaluator's whole timeout.
        """
        fits = job.tune is not None and self.fits_residuals
        if job.limit is None or fits:
            return self._setup.timeout
        return min(job.limit, self._setup.timeout)

    def _fitted(self, job: Job) -> Evaluation:
        """Measure a program once, with its literals fitted by residuals where that is wished."""
        with self._open(job) as candidate:
            found = None
            if job.tune is not None:
                residuals: Any = self._stages[0]
                try:
                    found = fit(residuals.residuals, candidate, job.tune, job.seed)
                except (CandidateError, SandboxError):
                    raise
                except Exception as error:  # noqa: BLE001 - a user's residuals may raise anything
                    return _evaluator_failure(error)
            if found is None:
                return self._measure(job, candidate, is_confirmation=job.is_confirmation)
            evaluation = self._measure(job, candidate.at(found.parameters))
            return _with_literals(evaluation, job.program, found)

    def _evolved(self, job: Job, tune: Tune, begin: Callable[[], None]) -> Evaluation:
        """Measure a program with other literals again and again; return the best verdict.

        Each evaluation has a process of its own: one that crashes or loops spoils no other.
        """

        def measure(values: Sequence[float]) -> Evaluation:
            begin()
            try:
                with self._open(job) as candidate:
                    return self._measure(job, candidate.at(values))
            except CandidateError as error:
                return _failure(error)

        own = [literal.value for literal in literals.find(job.program.files)]
        found = evolve(own, tune, job.seed, measure)
        if found is None:
            return measure(own)
        assert found.evaluation is not None
        return _with_literals(found.evaluation, job.program, found)

    @property
    def fits_residuals(self) -> bool:
        """Whether tuning goes by residuals, which costs no evaluations."""
        return hasattr(self._stages[0], "residuals")

    @property
    def _is_trusted(self) -> bool:
        is_trusted: bool = getattr(self._stages[0], "is_trusted", True)
        return is_trusted

    def _measure(
        self, job: Job, candidate: Candidate, *, is_confirmation: bool = False
    ) -> Evaluation:
        """Run the stages on a candidate; a failure is a value."""
        evaluation = self._run_stages(job, candidate, is_confirmation=is_confirmation)
        if not self._is_trusted:  # what the process printed before it failed, the evaluator did
            print(evaluation.feedback.partition(PRINTED)[2].lstrip("\n"), end="")
        return evaluation

    def _run_stages(self, job: Job, candidate: Candidate, *, is_confirmation: bool) -> Evaluation:
        evaluation = Evaluation("crashed")
        for index, (stage, evaluator) in enumerate(
            zip(self._setup.stages, self._stages, strict=True)
        ):
            last = index == len(self._stages) - 1
            measure: Any = evaluator.evaluate
            confirm = getattr(evaluator, "confirm", None)
            if last and is_confirmation and callable(confirm):  # a setting may have that name
                measure = confirm
            try:
                needed = {condition.metric for condition in stage.require}
                if last:
                    required = self._setup.objective.require
                    needed |= {*self._setup.objective.names, *(c.metric for c in required)}
                names = self._setup.objective.names
                result = read_result(measure(candidate), names, needed, is_seed=job.is_seed)
                evaluation = Evaluation(
                    "ok",
                    metrics=result.metrics,
                    private=result.private,
                    features=result.features,
                    feedback=result.feedback,
                    artifacts=result.artifacts,
                    stage=index,
                )
                missed = [
                    f"required {condition}, got {result.metrics.get(condition.metric, 'nothing')}"
                    for condition in stage.require
                    if not condition.holds(result.metrics)
                ]
                if last:
                    missed += self._setup.objective.violations(result.metrics)
                if missed:
                    feedback = "; ".join([*missed, *filter(None, [result.feedback])])
                    return replace(
                        evaluation, status="rejected", feedback=feedback, fault="candidate"
                    )
                if last:
                    objectives = self._setup.objective.objectives(result.metrics)
                    return replace(evaluation, objectives=objectives)
            except CandidateError as error:
                return replace(_failure(error), stage=index)
            except (SandboxError, KeyboardInterrupt):
                raise
            except Exception as error:  # noqa: BLE001 - a user's evaluator may raise anything
                return replace(_evaluator_failure(error), stage=index)
        return evaluation

    def _replace_sandbox(self, error: SandboxError) -> None:
        """Start a fresh sandbox and run a self-test in it: whose fault was it?

        Raises:
            SandboxError: the self-test failed too, so it is the host's.
        """
        self._sandbox.close()
        self._sandbox = self._start()
        test = Program(-1, {"self_test.py": b"def run():\n    return 'alive'\n"})
        try:
            with self._sandbox.open(test, seed=0, timeout=30.0) as candidate:
                alive = candidate.call("self_test:run") == "alive"
        except (CandidateError, SandboxError) as failure:
            raise SandboxError(f"a harmless program fails in the sandbox too: {failure}") from error
        if not alive:
            raise SandboxError("a harmless program returns nonsense in the sandbox") from error

    def close(self) -> None:
        """End the sandbox."""
        self._sandbox.close()


def _with_literals(evaluation: Evaluation, program: Program, found: Fit) -> Evaluation:
    tuned = literals.substitute(program.files, found.parameters)
    return replace(
        evaluation,
        evaluations=max(1, found.evaluations),
        tuned=tuned if tuned != dict(program.files) else None,
    )


def _failure(error: CandidateError) -> Evaluation:
    status = {CandidateTimeout: "timeout", CandidateCrashed: "crashed"}.get(type(error), "rejected")
    return Evaluation(status, feedback=str(error), fault="candidate")  # type: ignore[arg-type]


def _told(error: Exception) -> str:
    """Return a traceback for the evaluator's author: without the frames that are evolver's own."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if _PACKAGE not in Path(frame.filename).parents and "importlib" not in frame.filename
    ]
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    return "".join(lines).rstrip()


def _evaluator_failure(error: Exception) -> Evaluation:
    if isinstance(error, EvaluatorError):
        feedback = str(error)
    else:
        feedback = "the evaluator raised:\n" + _told(error)
    return Evaluation("crashed", feedback=feedback, fault="evaluator")


# --- the process --------------------------------------------------------------------------------


def send(stream: IO[bytes], message: object) -> None:
    """Write one message; the other end is as trusted as this one."""
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(HEADER.pack(len(content)) + content)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one message; None at the end of the stream."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return pickle.loads(stream.read(HEADER.unpack(header)[0]))


def serve(inbox: IO[bytes], outbox: IO[bytes], end_output: Callable[[], None]) -> None:
    """Answer jobs and checks until the controller is gone.

    Each answer is a `Ready`, an `Evaluation` after some `Begun`, a `Preflight`, or an EvolverError
    that the controller raises.

    Args:
        inbox: what the controller sends.
        outbox: what it reads.
        end_output: is called before each answer: what was printed belongs to it.
    """

    def reply(answer: object) -> None:
        end_output()
        send(outbox, answer)

    setup = receive(inbox)
    if setup is None:
        return
    if setup.evaluator.pickled is None:  # its files are found there, from wherever a run is started
        os.chdir(setup.evaluator.root)
        sys.path.append(str(setup.evaluator.root))
    if setup.sandbox.gpus:  # a reference runs here on the GPU that candidates have
        os.environ.update(gpus.environment(setup.sandbox.gpus))
    try:
        judge = Judge(setup)
        reply(judge.ready())
    except EvolverError as error:
        reply(error)
        return
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything on import
        reply(UsageError(_import_failure(error)))
        return
    try:
        while (message := receive(inbox)) is not None:
            answer: Evaluation | Preflight | EvolverError
            try:
                if isinstance(message, Check):
                    answer = judge.preflight(message.job)
                else:
                    answer = judge.judge(message, lambda begun: send(outbox, begun))
            except EvolverError as error:
                answer = error
            reply(answer)
    finally:
        judge.close()


def _import_failure(error: Exception) -> str:
    return "the evaluator fails to load:\n" + _told(error)


def main(controller: int, end: bytes) -> None:
    """Serve on stdin and stdout; whatever the evaluator prints goes to stderr, line by line.

    Args:
        controller: the pid of the process that started this one, which dies with it, even in the
            middle of an evaluator that loops.
        end: a word that nothing prints; a zero byte and it end what was printed before an answer.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the controller's
    die_with(controller)
    protect_process()
    sys.dont_write_bytecode = True  # beside the evaluator, whose folder is the user's
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # nor do processes that it starts
    inbox = os.fdopen(os.dup(0), "rb")
    outbox = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    printed = os.dup(2)  # whatever an evaluator does with its own
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")

    def end_output() -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # it may have been closed
                stream.flush()
        os.write(printed, b"\0" + end + b"\n")

    serve(inbox, outbox, end_output)
