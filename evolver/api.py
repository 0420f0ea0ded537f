"""evolver as a library: the same machinery as the command line, for scripts and notebooks."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from evolver.errors import UsageError
from evolver.evaluation.evaluator import pickle_evaluator
from evolver.ports import Evaluator
from evolver.programs.standalone import source_of
from evolver.runs import sessions
from evolver.runs.config import Options
from evolver.runs.run import Run
from evolver.runs.starting import start
from evolver.search.progress import Progress
from evolver.tasks.plugins import nearest
from evolver.tasks.settings import TaskSettings, validate
from evolver.tasks.task import assemble_task, load_task
from evolver.types import Result

Listener = Callable[[Progress], None]


def run(
    task: str | Path,
    *,
    out: str | Path | None = None,
    start_from: str | Path | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> Run:
    """Evolve the program of a task folder.

    What is returned holds confirmed values: `run.best` was measured again beside the seed,
    `run.established` says whether it is better by more than the noise, `run.evidence` why, and
    `run.search_score` what the search measured once.

    Args:
        task: a folder with a task.toml.
        out: directory of the run; default: runs/<task>-<time>.
        start_from: another run's directory, whose front becomes seeds.
        listener: is told of progress, on another thread.
        **options: the fields of `evolver.runs.config.Options`: evaluations, seconds, seed...

    Raises:
        UsageError: what you can mend, with how.
        ModelError: the model does not answer; the run can be resumed.
        SandboxError: this host cannot run candidates.
    """
    chosen = _options(options, run)
    return start(
        load_task(Path(task)),
        chosen,
        out=None if out is None else Path(out),
        elites_of=None if start_from is None else Path(start_from),
        listener=listener,
    )


def resume(directory: str | Path, *, listener: Listener | None = None, **options: Any) -> Run:
    """Go on with a run, with its own settings or with more budget; see `run`."""
    return sessions.resume(Path(directory), _options(options, resume), listener=listener)


def evolve(
    program: str | Callable[..., Any],
    *,
    evaluate: Callable[..., float | Mapping[str, float] | Result] | Evaluator | type[Evaluator],
    maximize: str | Sequence[str] = (),
    minimize: str | Sequence[str] = (),
    require: Mapping[str, str] | None = None,
    reference: Mapping[str, float] | None = None,
    description: str = "",
    timeout: float | None = None,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> Run:
    """Evolve a program without a task folder.

    Args:
        program: Python source, or a function or a class whose source can be found. The imports,
            constants and other functions that it uses of its module go into the program's file.
        evaluate: the evaluator: a function of a candidate, anything else that can be called with
            one, or an object (or a class, made from [evaluator] with) that has `evaluate`. With
            one objective it may return that one number. Closures travel too. It must not have the
            side effects of a process that is shared: it runs in worker processes.
        maximize: metric or metrics, higher is better.
        minimize: metric or metrics, lower is better.
        require: metric -> condition such as "<= 12".
        reference: metric -> worst value that counts; needed with several objectives.
        description: goes into prompts.
        timeout: seconds for one evaluation; default: 10, or what the settings say.
        settings: further sections of a task.toml, such as {"islands": {"number": 2}}, or more of
            those that the arguments make, such as {"evaluator": {"with": {"points": 9}}}.
        out: directory of the run; default: runs/program-<time>.
        listener: is told of progress, on another thread.
        **options: the fields of `evolver.runs.config.Options`.

    Raises:
        UsageError: what you can mend, with how.
    """
    chosen = _options(options, evolve)
    given = settings or {}
    if "use" in given.get("evaluator", {}):
        raise UsageError("settings: [evaluator] use is what `evaluate` says; leave it out")
    content = {
        **given,
        "task": _over(given.get("task", {}), program=["program.py"], description=description),
        "evaluator": _over(
            given.get("evaluator", {}),
            use=getattr(evaluate, "__qualname__", type(evaluate).__qualname__),
            timeout=timeout,
        ),
        "objective": _over(
            given.get("objective", {}),
            maximize=[maximize] if isinstance(maximize, str) else list(maximize),
            minimize=[minimize] if isinstance(minimize, str) else list(minimize),
            require=dict(require or {}),
            reference=dict(reference or {}),
        ),
    }
    source, name = _source_of(program)
    with tempfile.TemporaryDirectory(prefix="evolver-") as folder:
        Path(folder, "program.py").write_text(source, encoding="utf-8")
        task = assemble_task(name, Path(folder), validate(TaskSettings, content, "settings"))
        return start(
            task,
            chosen,
            out=None if out is None else Path(out),
            listener=listener,
            pickled=pickle_evaluator(evaluate),
        )


def _over(section: Mapping[str, Any], **arguments: Any) -> dict[str, Any]:
    """Lay the arguments that were given over a section."""
    given = {key: value for key, value in arguments.items() if value not in (None, "", [], {})}
    return {**section, **given}


def _options(given: Mapping[str, Any], function: Callable[..., Any]) -> Options:
    """Make the options that a function was given as further keywords.

    Raises:
        UsageError: there is no such option; the nearest keyword is told.
    """
    known = [option.name for option in fields(Options)]
    for name in given:
        if name not in known:
            own = [
                parameter.name
                for parameter in inspect.signature(function).parameters.values()
                if parameter.kind is not inspect.Parameter.VAR_KEYWORD
            ]
            raise UsageError(
                f"{function.__name__}() takes no '{name}'; {nearest(name, [*own, *known])}"
            )
    return Options(**given)


def _source_of(program: str | Callable[..., Any]) -> tuple[str, str]:
    if isinstance(program, str):
        return program, "program"
    return source_of(program), getattr(program, "__name__", type(program).__name__)
