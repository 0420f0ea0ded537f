"""Start a run of a task: check the task, make the run's directory, and begin a session."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

from evolver.errors import UsageError
from evolver.programs.edits import violation
from evolver.runs import config, repository
from evolver.runs.assemble import make_endpoints, make_operators
from evolver.runs.config import Options
from evolver.runs.founding import founded
from evolver.runs.recorded import PICKLE
from evolver.runs.run import Run
from evolver.runs.sessions import Listener, go_on
from evolver.search import gate
from evolver.storage.store import begin_facts
from evolver.tasks.settings import TaskSettings
from evolver.tasks.task import Task, assemble_task
from evolver.types import Files


def start(
    task: Task,
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    out: Path | None = None,
    elites_of: Path | None = None,
    listener: Listener | None = None,
    pickled: bytes | None = None,
) -> Run:
    """Start a run of a task and work on it until it stops.

    Args:
        task: as loaded.
        options: the user's.
        out: directory of the run; default: runs/<task>-<time>.
        elites_of: another run; the programs of its front become seeds too.
        listener: called with the progress, on another thread.
        pickled: the evaluator by cloudpickle, if it cannot be imported.

    Raises:
        UsageError: an error that the user can correct; the message says how.
        ModelError: the model does not answer; the run can be resumed.
        SandboxError: this host cannot run candidates.
    """
    configuration = config.resolve(task.settings, options)
    task = assemble_task(task.name, task.root, configuration.task)  # options may change its files
    make_operators(task, has_model=bool(make_endpoints(task)))
    gate.bad_programs(task)  # raises for invalid ones now
    seeds = [task.files, *_seeds_from(elites_of, task)]
    state = repository.state(task.program_root)
    facts = {
        "task": task.name,
        "source": str(task.program_root),
        # In a deterministic run the seed determines everything that is drawn.
        "secret": "" if configuration.deterministic else secrets.token_hex(16),
        "seeds": [_encoded(files) for files in seeds],
        **({"gate": dict(gate.SKIPPED)} if options.skip_gate else {}),
        "from": None if elites_of is None else str(elites_of),
        "repository": None
        if state is None
        else {
            "root": str(state.root),
            "commit": state.commit,
            "branch": state.branch,
            "dirty": state.dirty,
        },
    }

    def write(folder: Path, settings: TaskSettings) -> None:
        config.write(folder, configuration.model_copy(update={"task": settings}))
        if pickled is not None:
            (folder / PICKLE).write_bytes(pickled)
        begin_facts(folder, facts)

    with founded(task, out, write) as directory:
        return go_on(directory, config.read(directory), listener)


def _seeds_from(directory: Path | None, task: Task) -> list[Files]:
    """Return the files of the programs of another run's front.

    Raises:
        UsageError: there is no run, or its programs are not edits of this task's seed.
    """
    if directory is None:
        return []
    seeds = [elite.program.files for elite in Run.open(directory).front]
    for files in seeds:
        reason = violation(task.files, files)
        if reason is not None:
            raise UsageError(
                f"the programs of {directory} do not fit this task: {reason}; "
                "give --from a run of the same program"
            )
    return [files for files in seeds if dict(files) != dict(task.files)]


def _encoded(files: Files) -> dict[str, str]:
    return {path: base64.b64encode(content).decode() for path, content in files.items()}
