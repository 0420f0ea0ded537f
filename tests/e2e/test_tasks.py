"""The tasks that evolver ships: listed, copied, each run for a few evaluations."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from command_line import CommandLine
from fake_candidate import InProcessCandidate

from evolver.bundled import bundled
from evolver.checks import gallery
from evolver.errors import UsageError
from evolver.evaluation.evaluator import EvaluatorSource, guest_files
from evolver.ports import Demanding
from evolver.sandboxes.local import LocalSandbox
from evolver.sandboxes.settings import SandboxSettings
from evolver.tasks.task import Task, load_task
from evolver.types import Candidate, Files, Program

#: Evaluators whose inputs are drawn anew for each evaluation, or that measure time.
FRESH = {
    "bin_packing",
    "black_box",
    "float_function",
    "matrix_kernel",
    "matrix_multiplication",
    "network",
    "network_layer",
    "optimiser",
    "product_tiling",
    "sorting",
}
#: Whose evaluations take seconds, six of them for the gate; and what makes them shorter.
HEAVY = {
    "float_function": (),
    "matrix_multiplication": ("evaluator.with.seeds=1", "evaluator.with.rank_to={rank_from}"),
    "network": (),
    "network_layer": (),
    "optimiser": (),
    "product_tiling": ("evaluator.with.repeats=1",),
}
NAMES = [path.parent.name for path in sorted(bundled("examples").glob("*/task.toml"))]
#: Those of other devices too, which lie in the folder of their CPU or GPU variant.
ALL = [
    path.parent.relative_to(bundled("examples")).as_posix()
    for path in sorted(bundled("examples").glob("**/task.toml"))
]


def test_tasks_are_listed_with_their_records(tmp_path: Path) -> None:
    evolver = CommandLine(tmp_path)
    listed = json.loads(evolver("tasks", "--json").stdout.splitlines()[-1])["tasks"]
    assert [task["name"] for task in listed] == NAMES
    packing = next(task for task in listed if task["name"] == "circle-packing-26")
    assert packing["records"]["AlphaEvolve"] == 2.6358627564
    table = evolver("tasks").stdout
    assert "circle-packing-26" in table
    assert "2.6359831" in table
    kissing = next(task for task in listed if task["name"] == "kissing-number")
    assert kissing["measured"]["best"] is None
    assert "none found" in table


def test_a_task_is_copied_without_what_was_reached(tmp_path: Path) -> None:
    evolver = CommandLine(tmp_path)
    done = evolver("init", "--from", "uncertainty")
    assert "evolver run uncertainty" in done.stdout
    copied = {path.name for path in (tmp_path / "uncertainty").iterdir()}
    assert copied == {"README.md", "task.toml", "coefficients.py"}
    again = evolver("init", "--from", "uncertainty", code=2)
    assert "exists" in again.stderr
    unknown = evolver("init", "--from", "uncertanty", code=2)
    assert "did you mean 'uncertainty'?" in unknown.stderr
    nothing = evolver("init", code=2)
    assert "evolver tasks" in nothing.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith("multiply-3")])
def test_a_shipped_task_runs(tmp_path: Path, name: str) -> None:
    task = load_task(bundled("examples") / name)
    skip_where_it_cannot_run(task)
    section = task.settings.evaluator
    shorter = [value.format(**section.with_) for value in HEAVY.get(section.use, ())]
    done = CommandLine(tmp_path, timeout=300)(
        "run", f"examples/{name}", "--evaluations", 4, "--workers", 1, "--out", "run", "--json",
        "--target", task.objective.value(1e9),  # some tasks have one that their seed reaches
        "--set", "objective.repeats=1",  # what it would take to be sure is not what is asked here
        *(word for value in shorter for word in ("--set", value)),
        *["--skip-gate"] * (section.use in HEAVY),
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1])["evaluations"] == 4


def skip_where_it_cannot_run(task: Task) -> None:
    """Skip, with the sentence that a user would be told."""
    for module in task.settings.sandbox.preload:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            pytest.skip(f"{module} is not installed here")
    if any(path.endswith(".c") for path in task.files) and shutil.which("gcc") is None:
        pytest.skip("gcc is not installed here")
    section = task.settings.evaluator
    evaluator = EvaluatorSource(section.use, task.root).load(section.with_)
    if isinstance(evaluator, Demanding):
        try:
            evaluator.check_host(task.settings.sandbox.gpus)
        except UsageError as error:
            pytest.skip(str(error))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_it_is(name: str) -> None:
    text = (bundled("examples") / name / "README.md").read_text()
    assert text.startswith(f"# {name}: ")
    assert f"evolver run examples/{name}" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "folder",
    [path.parent for path in sorted(bundled("examples").glob("*/measured.json"))],
    ids=lambda folder: folder.name,
)
def test_what_was_reached_is_stored_and_can_be_measured_again(folder: Path) -> None:
    example = gallery.load(folder)
    assert example.measured is not None
    task = load_task(folder)
    section = task.settings.evaluator
    if section.use in FRESH:
        pytest.skip("its inputs are drawn anew for each evaluation")
    evaluator = EvaluatorSource(section.use, task.root).load(section.with_)
    (name,) = task.files

    def objectives(source: bytes) -> tuple[float, ...]:
        with candidate_of({name: source}, guest_files(evaluator)) as candidate:
            result = evaluator.evaluate(candidate)
        return task.objective.objectives(getattr(result, "metrics", result))

    measured = example.measured
    assert (folder / "best").is_dir() == (measured.best is not None)
    reached = [(measured.seed, [task.files[name]])]
    if measured.best is not None:
        count = len(measured.front)
        stored = [Path("best", str(n), name) for n in range(1, count + 1)] or [Path("best", name)]
        best = [(folder / path).read_bytes() for path in stored]
        assert best != [task.files[name]]
        reached.append((measured.best, best))
    for expected, sources in reached:
        if example.direction == "minimize":
            expected = -expected
        score = task.objective.score([objectives(source) for source in sources])
        assert score == pytest.approx(expected, rel=1e-9)


@contextmanager
def candidate_of(files: Files, guest: Files) -> Iterator[Candidate]:
    """Open a program: in this process where that can be, which is much faster."""
    ((path, source),) = files.items()
    if path.endswith(".py") and not guest:
        yield InProcessCandidate(source.decode())
        return
    settings = SandboxSettings(allow_unisolated=True)
    with (
        closing(LocalSandbox(settings, guest=guest)) as sandbox,
        sandbox.open(Program(0, files), seed=1, timeout=60.0) as candidate,
    ):
        yield candidate
