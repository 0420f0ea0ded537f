"""Winners become commits on a new branch; what the user had is not touched."""

from __future__ import annotations

import subprocess
from pathlib import Path
from random import Random

import pytest

from evolver.errors import UsageError
from evolver.runs import repository
from evolver.runs.repository import Step
from evolver.search.evidence import Evidence, Verdict
from evolver.storage.facts import Confirmation, Round
from evolver.types import Elite, Evaluation, Program

SEED = {"solver.py": b"x = 1\n", "lib/part.py": b"y = 1\n"}


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, check=True)
    return done.stdout.decode()


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task in a folder of a repository with two commits; the program is executable."""
    folder = tmp_path / "project" / "tasks" / "one"
    for path, content in SEED.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "solver.py").chmod(0o755)
    root = tmp_path / "project"
    (root / "other.txt").write_text("other\n")
    git(tmp_path, "init", "--quiet", "--initial-branch", "main", str(root))
    git(root, "config", "user.name", "A User")
    git(root, "config", "user.email", "user@example.org")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    return folder


def everything(root: Path) -> tuple[object, ...]:
    """All that `apply` must leave alone."""
    return (
        git(root, "status", "--porcelain=v2", "--branch"),
        git(root, "ls-files", "--stage"),
        (root / ".git" / "index").read_bytes(),
        {path: path.read_bytes() for path in sorted(root.rglob("*.py"))},
    )


def test_state_of_a_folder(task: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    clean = repository.state(task)
    assert clean is not None
    assert (clean.root, clean.branch, clean.dirty) == (root, "main", False)
    assert clean.commit == git(root, "rev-parse", "HEAD").strip()
    (root / "other.txt").write_text("changed\n")
    changed = repository.state(task)
    assert changed is not None
    assert changed.dirty


def test_state_outside_and_before_the_first_commit(tmp_path: Path) -> None:
    assert repository.state(tmp_path) is None
    git(tmp_path, "init", "--quiet", "--initial-branch", "trunk")
    empty = repository.state(tmp_path)
    assert empty is not None
    assert (empty.commit, empty.branch, empty.dirty) == ("", "trunk", False)


def test_one_commit_that_touches_nothing_else(task: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "other.txt").write_text("work in progress\n")
    (root / "staged.txt").write_text("staged\n")
    git(root, "add", "staged.txt")
    before = everything(root)
    commit = repository.apply(
        task, SEED, [Step({**SEED, "solver.py": b"x = 2\n"}, "better\n\nbody")], "evolved"
    )
    assert everything(root) == before
    assert git(root, "rev-parse", "evolved").strip() == commit
    assert git(root, "log", "--format=%s|%b", "main..evolved").strip() == "better|body"
    assert git(root, "show", "evolved:tasks/one/solver.py") == "x = 2\n"
    changed = git(root, "diff", "--raw", "--no-abbrev", "main", "evolved").split()
    assert changed[:2] == [":100755", "100755"]  # still executable
    assert changed[-1] == "tasks/one/solver.py"  # and the only one


def test_a_commit_for_every_step_that_changes_something(task: Path, tmp_path: Path) -> None:
    steps = [
        Step({**SEED, "solver.py": b"x = 2\n"}, "one"),
        Step({**SEED, "solver.py": b"x = 2\n"}, "nothing"),
        Step({"solver.py": b"x = 2\n", "lib/part.py": b"y = 3\n"}, "two"),
    ]
    repository.apply(task, SEED, steps, "evolved")
    log = git(tmp_path / "project", "log", "--reverse", "--format=%s", "main..evolved")
    assert log.split() == ["one", "two"]


def test_line_endings_are_stored_as_git_would(task: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / ".gitattributes").write_text("*.py text eol=crlf\n")
    git(root, "add", ".gitattributes")
    git(root, "commit", "--quiet", "--message", "endings")
    seed = {path: content.replace(b"\n", b"\r\n") for path, content in SEED.items()}
    repository.apply(task, seed, [Step({**seed, "solver.py": b"x = 2\r\n"}, "m")], "evolved")
    assert git(root, "show", "evolved:tasks/one/solver.py") == "x = 2\n"


def test_the_recorded_commit_serves_where_the_program_moved_on(task: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    recorded = git(root, "rev-parse", "HEAD").strip()
    (task / "solver.py").write_text("x = 100\n")
    git(root, "commit", "--quiet", "--all", "--message", "rewritten")
    step = Step({**SEED, "solver.py": b"x = 2\n"}, "better")
    with pytest.raises(UsageError, match=r"tasks/one/solver\.py differs from commit"):
        repository.apply(task, SEED, [step], "evolved")
    repository.apply(task, SEED, [step], "evolved", recorded=recorded)
    assert git(root, "rev-parse", "evolved~1").strip() == recorded


def test_refusals(task: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    better = [Step({**SEED, "solver.py": b"x = 2\n"}, "better")]
    git(root, "branch", "taken")
    with pytest.raises(UsageError, match="'taken' exists already"):
        repository.apply(task, SEED, better, "taken")
    with pytest.raises(UsageError, match="is no valid branch name"):
        repository.apply(task, SEED, better, "two..dots")
    with pytest.raises(UsageError, match="nothing to apply"):
        repository.apply(task, SEED, [Step(SEED, "same")], "evolved")
    with pytest.raises(UsageError, match="no longer exists"):
        repository.apply(tmp_path / "gone", SEED, better, "evolved")
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(UsageError, match="is not in a git repository"):
        repository.apply(outside, SEED, better, "evolved")
    assert git(root, "branch", "--format=%(refname:short)").split() == ["main", "taken"]


def test_an_unknown_author_is_named(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "project"
    git(root, "config", "--unset", "user.name")
    git(root, "config", "--unset", "user.email")
    git(root, "config", "user.useConfigOnly", "true")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    with pytest.raises(UsageError, match="git config"):
        repository.apply(task, SEED, [Step({**SEED, "solver.py": b"x = 2\n"}, "b")], "evolved")


LINEAGE = [
    Elite(
        Program(number, SEED, operator=operator, summary=summary),
        Evaluation(
            "ok", {"digits": digits, "cost": 4.0}, objectives=(digits, -4.0), isolation="A"
        ),
    )
    for number, operator, summary, digits in [
        (0, "seed", "", 2.0), (7, "mutate", "swap a and b", 3.0), (9, "mutate", "", 3.5),
    ]
]  # fmt: skip
DIRECTIONS = (("digits", "maximize"), ("cost", "minimize"))


def evidence(*programs: int, noise: float = 0.0, gain: float = 0.0) -> Evidence:
    """Return what is known after a round of seven repeats; each program is better by the gain."""
    found = Evidence()
    chance = Random(0)
    rows = []
    for program in programs:
        for repeat in range(7):
            value = 2.0 + gain * (program > 0) + chance.gauss(0, noise)
            metrics = {"digits": value, "cost": 4.0}
            made = Evaluation("ok", metrics, objectives=(value, -4.0))
            rows.append(Confirmation(program, made, 9, 9, 1, repeat))
    found.add(Verdict.of(Round(1, programs, 1, 7, 7, seen=9, begun=9, is_exact=not noise), rows))
    return found


def messages(found: Evidence, *, each: bool) -> list[str]:
    chain = [
        found.confirmed[elite.program.id].revalued(elite)
        if elite.program.id in found.confirmed
        else elite
        for elite in LINEAGE
    ]
    steps = repository.steps_of(chain, DIRECTIONS, found, "Run r1.", each=each)
    return [step.message for step in steps]


def test_messages_state_the_change_and_the_gain_where_the_evaluator_repeats_itself() -> None:
    found = evidence(0)  # nothing was found to vary, so what the search measured once stands
    each = messages(found, each=True)
    assert [message.splitlines()[0] for message in each] == [
        "evolver: digits 2 -> 3",
        "evolver: digits 3 -> 3.5",
    ]
    assert "swap a and b" in each[0]
    assert "the evaluator repeats itself exactly" in each[0]
    (whole,) = messages(found, each=False)
    assert "digits 2 -> 3.5 (maximized)" in whole
    assert "cost 4 -> 4 (minimized)" in whole
    assert whole.endswith("Run r1.")


def test_a_step_that_was_measured_once_is_no_gain() -> None:
    found = evidence(0, 9, noise=0.1, gain=1.0)
    first, last = messages(found, each=True)
    for message in (first, last):  # program 7 was not confirmed
        assert message.splitlines()[0].startswith("evolver: program ")
        assert "Not confirmed" in message
    assert "All steps together:\ndigits " in last
    assert last.endswith(
        "Confirmed on 7 fresh inputs: better than the seed by more than the noise."
    )
    assert "All steps" not in first
    (whole,) = messages(found, each=False)
    own, seed = (found.confirmed[program] for program in (9, 0))
    title = f"evolver: digits {seed.objectives[0]:.6g} -> {own.objectives[0]:.6g}"
    assert whole.splitlines()[0] == title
    low, high = own.intervals[0][1:]
    assert f"{own.objectives[0]:.6g} [{low:.6g}, {high:.6g}] (maximized)" in whole
    assert "Confirmed on 7 fresh inputs: better than the seed by more than the noise." in whole


def test_what_is_no_better_within_the_noise_is_said_to_be_so() -> None:
    (whole,) = messages(evidence(0, 9, noise=0.5), each=False)
    assert "no better than the seed within the noise" in whole


def test_what_would_be_refused_is_refused_before_anything_is_measured(
    task: Path, tmp_path: Path
) -> None:
    repository.check(task, SEED, "new")
    git(tmp_path / "project", "branch", "taken")
    with pytest.raises(UsageError, match="'taken' exists already"):
        repository.check(task, SEED, "taken")
    with pytest.raises(UsageError, match="not committed"):
        repository.check(task, {**SEED, "solver.py": b"x = 9\n"}, "new")
    with pytest.raises(UsageError, match="is not in a git repository"):
        repository.check(tmp_path, SEED, "new")


def test_without_git_nothing_is_known_and_nothing_can_be_applied(
    task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(task / "no-git-here"))
    assert repository.state(task) is None
    steps = [Step({**SEED, "solver.py": b"x = 2\n"}, "m")]
    with pytest.raises(UsageError, match="needs git, which is not installed"):
        repository.apply(task, SEED, steps, "new")
