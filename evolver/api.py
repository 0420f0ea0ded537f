"""evolver as a library, for scripts and notebooks; it does the same as the command line."""

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

    The result holds confirmed values: `run.best` was measured again beside the seed,
    `run.established` tells whether it is better by more than the noise, `run.evidence` has the
    measurements, and `run.search_score` is the search's own score.

    Args:
        task: a folder with a task.toml.
        out: directory of the run; default: runs/<task>-<time>.
        start_from: another run's directory; the programs of its front become seeds.
        listener: called with the progress, on another thread.
        **options: the fields of `evolver.runs.config.Options`: evaluations, seconds, seed...

    Raises:
        UsageError: an error that you can correct; the message says how.
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
            constants and other functions of its module that it uses go into the program's file.
        evaluate: the evaluator: a function or another callable that takes a candidate, or an
            object with `evaluate` (or its class, made from [evaluator] with). With one objective it
            may return a single number. It may be a closure. It runs in worker processes, so side
            effects do not reach this process.
        maximize: metric or metrics, higher is better.
        minimize: metric or metrics, lower is better.
        require: metric -> condition such as "<= 12".
        reference: metric -> the worst value that counts; needed with several objectives.
        description: text for prompts.
        timeout: most seconds for one evaluation; default: 10, or that of the settings.
        settings: further sections of a task.toml, such as {"islands": {"number": 2}}, or further
            keys of a section, such as {"evaluator": {"with": {"points": 9}}}.
        out: directory of the run; default: runs/program-<time>.
        listener: called with the progress, on another thread.
        **options: the fields of `evolver.runs.config.Options`.

    Raises:
        UsageError: an error that you can correct; the message says how.
    """
    chosen = _options(options, evolve)
    given = settings or {}
    if "use" in given.get("evaluator", {}):
        raise UsageError(
            "settings: `evaluate` names the evaluator already; leave out [evaluator] use"
        )
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
    """Override a section by the arguments that were given."""
    given = {key: value for key, value in arguments.items() if value not in (None, "", [], {})}
    return {**section, **given}


def _options(given: Mapping[str, Any], function: Callable[..., Any]) -> Options:
    """Make options from a function's further keywords.

    Raises:
        UsageError: there is no such option; the message names the nearest keyword.
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
