"""The judge: runs an evaluator on candidates in one warm sandbox, in a worker's process."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

from evolver.bundled import PACKAGE
from evolver.errors import (
    CandidateCrashed,
    CandidateError,
    CandidateTimeout,
    EvaluatorError,
    SandboxError,
)
from evolver.evaluation.auditing import AuditedCandidate, Timed, against_themselves
from evolver.evaluation.evaluator import guest_files, read_result
from evolver.evaluation.messages import Begun, Ready, Setup
from evolver.evaluation.preflight import run_preflight
from evolver.evaluation.tuning import Fit, evolve, fit
from evolver.ports import (
    Confirming,
    Demanding,
    Evaluator,
    Fitting,
    Referenced,
    Reporting,
    Sandbox,
    WithTrust,
)
from evolver.programs import literals
from evolver.tasks.plugins import find
from evolver.types import Candidate, Evaluation, Job, Preflight, Program, SandboxReport, Tune

#: The feedback of a flagged program. It does not tell the next author what gave the program away.
_FLAGGED = "it looked for the evaluator instead of solving the task; its score does not count"
_LIMITED = "; [evaluator] times_seed says how many times longer than the seed's it may take"

Scored = tuple[Program, Evaluation]  # a program, fitted where it was tuned, and its evaluation


def _ignore(begun: Begun) -> None:
    """Do nothing."""


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
        self._timed: list[Timed] = []  # by the job at hand, if its references are to be timed

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
        last = self._stages[-1]  # its metrics are the ones that count
        return Ready(
            self._sandbox.isolation,
            self._report().notes,
            self.fits_residuals,
            last.references() if isinstance(last, Referenced) else {},
            _has_confirm(last),
        )

    def _report(self) -> SandboxReport:
        return self._sandbox.report() if isinstance(self._sandbox, Reporting) else SandboxReport()

    def evaluate(self, job: Job, tell: Callable[[Begun], None] = _ignore) -> Scored:
        """Tune a program if the job asks for it, then run the stages.

        Args:
            job: the program.
            tell: called as each evaluation begins.

        Returns:
            The program, with fitted literals if it was tuned, and its evaluation.

        Raises:
            SandboxError: this host cannot run candidates any more.
        """
        started = time.monotonic()
        self._flags.clear()
        self._timed.clear()
        program, begun = job.program, 0

        def begin() -> None:
            nonlocal begun
            begun += 1
            tell(Begun(begun))

        try:
            if job.tune is not None and not self.fits_residuals:
                program, evaluation = self._evolved(job, job.tune, begin)
            else:
                begin()
                program, evaluation = self._fitted(job)
        except CandidateError as error:  # when the sandbox was opened, or in a fit
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
                printed="",
                fault="candidate",
                flags=tuple(self._flags),
            )
        if not self._is_trusted and evaluation.fault:
            evaluation = replace(evaluation, fault="candidate")  # they share a process
        seconds = time.monotonic() - started
        if self._timed:
            tell(Begun(begun))  # allows the time of another evaluation
        return program, replace(
            evaluation,
            seconds=seconds,
            references=against_themselves(self._timed),
            isolation=self._sandbox.isolation,
            trusted=self._is_trusted,
            memory=self._report().memory,
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
        finally:
            self._flags |= dict.fromkeys(self._report().flags)

    def _limit_of(self, job: Job) -> float:
        """Return the seconds for which a candidate is opened.

        A fit by residuals calls one candidate many times, so it gets the evaluator's whole timeout.
        """
        fits = job.tune is not None and self.fits_residuals
        if job.limit is None or fits:
            return self._setup.timeout
        return min(job.limit, self._setup.timeout)

    def _fitted(self, job: Job) -> Scored:
        """Measure a program once, after a fit by residuals if the job asks for one."""
        with self._open(job) as candidate:
            found = None
            fitting = self._stages[0]
            if job.tune is not None and isinstance(fitting, Fitting):
                try:
                    found = fit(fitting.residuals, candidate, job.tune, job.seed)
                except (CandidateError, SandboxError):
                    raise
                except Exception as error:  # noqa: BLE001 - a user's residuals may raise anything
                    return job.program, _evaluator_failure(error)
            if found is None:
                is_confirmation = job.is_confirmation
                return job.program, self._measure(job, candidate, is_confirmation=is_confirmation)
            evaluation = self._measure(job, candidate.at(found.parameters))
            return _with_literals(evaluation, job.program, found)

    def _evolved(self, job: Job, tune: Tune, begin: Callable[[], None]) -> Scored:
        """Measure a program with many values for its literals; return the best evaluation.

        Each evaluation has its own process, so one that crashes or loops does not affect the rest.
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
            return job.program, measure(own)
        assert found.evaluation is not None
        return _with_literals(found.evaluation, job.program, found)

    @property
    def fits_residuals(self) -> bool:
        """Whether literals are fitted by residuals, which spends no evaluations."""
        return isinstance(self._stages[0], Fitting)

    @property
    def _is_trusted(self) -> bool:
        first = self._stages[0]
        return first.is_trusted if isinstance(first, WithTrust) else True

    def _measure(
        self, job: Job, candidate: Candidate, *, is_confirmation: bool = False
    ) -> Evaluation:
        """Run the stages on a candidate; a failure is a value."""
        evaluation = self._run_stages(job, candidate, is_confirmation=is_confirmation)
        if not self._is_trusted:  # the evaluator ran in that process and printed it
            print(evaluation.printed, end="")
        return evaluation

    def _run_stages(self, job: Job, candidate: Candidate, *, is_confirmation: bool) -> Evaluation:
        evaluation = Evaluation("crashed")
        for index, (stage, evaluator) in enumerate(
            zip(self._setup.stages, self._stages, strict=True)
        ):
            last = index == len(self._stages) - 1
            measure = evaluator.evaluate
            if last and is_confirmation and _has_confirm(evaluator):
                measure = evaluator.confirm
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
        """Start a fresh sandbox and run a self-test in it, to find out whose fault an error was.

        Raises:
            SandboxError: the self-test failed too, so the host is at fault.
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


def _has_confirm(evaluator: Evaluator) -> TypeGuard[Confirming]:
    """Tell whether an evaluator has the method `confirm`; a setting may have that name."""
    return isinstance(evaluator, Confirming) and callable(evaluator.confirm)


def _with_literals(evaluation: Evaluation, program: Program, found: Fit) -> Scored:
    files = literals.substitute(program.files, found.parameters)
    return (
        replace(program, files=files),
        replace(evaluation, evaluations=max(1, found.evaluations)),
    )


def _failure(error: CandidateError) -> Evaluation:
    status = {CandidateTimeout: "timeout", CandidateCrashed: "crashed"}.get(type(error), "rejected")
    return Evaluation(
        status,  # type: ignore[arg-type]
        feedback=error.message if error.printed else str(error),  # a subclass may define `str`
        printed=error.printed,
        fault="candidate",
    )


def traceback_of(error: Exception) -> str:
    """Return a traceback for the evaluator's author, without the frames of evolver itself."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if PACKAGE not in Path(frame.filename).parents and "importlib" not in frame.filename
    ]
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    return "".join(lines).rstrip()


def _evaluator_failure(error: Exception) -> Evaluation:
    if isinstance(error, EvaluatorError):
        feedback = str(error)
    else:
        feedback = "the evaluator raised:\n" + traceback_of(error)
    return Evaluation("crashed", feedback=feedback, fault="evaluator")
