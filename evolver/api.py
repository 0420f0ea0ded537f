"""evolver as a library: the same machinery as the command line, for scripts and notebooks."""

from __future__ import annotations

import inspect
import tempfile
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evolver import sessions
from evolver.config import Options
from evolver.progress import Progress
from evolver.runs import Run
from evolver.task import TaskSettings, assemble_task, load_task, validate
from evolver.types import Candidate, Result

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

    Args:
        task: a folder with a task.toml.
        out: directory of the run; default: runs/<task>-<time>.
        start_from: another run's directory, whose front becomes seeds.
        listener: is told of progress, on another thread.
        **options: the fields of `evolver.config.Options`: evaluations, seconds, seed, workers...

    Raises:
        UsageError: what you can mend, with how.
        ModelError: the model does not answer; the run can be resumed.
        SandboxError: this host cannot run candidates.
    """
    return sessions.start(
        load_task(Path(task)),
        Options(**options),
        out=None if out is None else Path(out),
        elites_of=None if start_from is None else Path(start_from),
        listener=listener,
    )


def resume(directory: str | Path, *, listener: Listener | None = None, **options: Any) -> Run:
    """Go on with a run, with its own settings or with more budget; see `run`."""
    return sessions.resume(Path(directory), Options(**options), listener=listener)


def evolve(
    program: str | Callable[..., Any],
    *,
    evaluate: Callable[[Candidate], Mapping[str, float] | Result],
    maximize: str | Sequence[str] = (),
    minimize: str | Sequence[str] = (),
    require: Mapping[str, str] | None = None,
    reference: Mapping[str, float] | None = None,
    description: str = "",
    timeout: float = 10.0,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> Run:
    """Evolve a program without a task folder.

    Args:
        program: Python source, or a function whose source can be found.
        evaluate: the evaluator; closures travel too. It must not have the side effects of a
            process that is shared: it runs in worker processes.
        maximize: metric or metrics, higher is better.
        minimize: metric or metrics, lower is better.
        require: metric -> condition such as "<= 12".
        reference: metric -> worst value that counts; needed with several objectives.
        description: goes into prompts.
        timeout: seconds for one evaluation.
        settings: further sections of a task.toml, such as {"islands": {"number": 2}}.
        out: directory of the run; default: runs/program-<time>.
        listener: is told of progress, on another thread.
        **options: the fields of `evolver.config.Options`.

    Raises:
        UsageError: what you can mend, with how.
    """
    import cloudpickle

    source = program if isinstance(program, str) else textwrap.dedent(inspect.getsource(program))
    name = "program" if isinstance(program, str) else program.__name__
    content = {
        **(settings or {}),
        "task": {"program": ["program.py"], "description": description},
        "evaluator": {"use": getattr(evaluate, "__qualname__", "evaluate"), "timeout": timeout},
        "objective": {
            "maximize": [maximize] if isinstance(maximize, str) else list(maximize),
            "minimize": [minimize] if isinstance(minimize, str) else list(minimize),
            "require": dict(require or {}),
            "reference": dict(reference or {}),
        },
    }
    with tempfile.TemporaryDirectory(prefix="evolver-") as folder:
        Path(folder, "program.py").write_text(source, encoding="utf-8")
        task = assemble_task(name, Path(folder), validate(TaskSettings, content, "settings"))
        return sessions.start(
            task,
            Options(**options),
            out=None if out is None else Path(out),
            listener=listener,
            pickled=cloudpickle.dumps(evaluate),
        )
