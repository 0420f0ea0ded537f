"""Tasks: what is read from a folder, what a run keeps of it, and what is refused, in words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evolver.errors import UsageError
from evolver.programs.edits import find_regions
from evolver.runs.founding import copy_task
from evolver.runs.recorded import TASK
from evolver.storage.database import DATABASE
from evolver.tasks.task import assemble_task, load_task

PROGRAM = "def f(x):\n    return x * 1.5\n"


def write(folder, toml="", **sections):
    """Write a task's folder; `sections` are bodies of sections besides what every task has."""
    folder.mkdir(exist_ok=True)
    body = {
        "task": 'program = ["p.py"]',
        "evaluator": 'use = "score.py:score"',
        "objective": 'minimize = ["error"]',
        **sections,
    }
    text = "".join(f"[{name}]\n{lines}\n" for name, lines in body.items())
    (folder / "task.toml").write_text(text + toml)
    for name in ("p.py", "score.py"):
        (folder / name).write_text(PROGRAM)
    return folder


def put(folder, path, content=PROGRAM):
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)


def copied(task, directory):
    """The task as a run reads it again."""
    directory.mkdir(parents=True)
    copy_task(task, directory.resolve())
    return assemble_task(task.name, directory / TASK, task.settings)


def kept(task, directory):
    """The settings of a run's copy."""
    directory.mkdir()
    return copy_task(task, directory.resolve())


@pytest.mark.parametrize("pattern", ["**/p.py", "*/p.py", "**/*.py", "*.py"])
def test_a_run_reads_from_its_copy_what_was_read_from_the_task(tmp_path, pattern):
    """Runs, hidden folders and caches hold files that patterns would match."""
    folder = write(tmp_path / "task", task=f'program = ["p.py", "{pattern}"]\nedit = ["p.py"]')
    for place in ("runs/1/task", ".hidden", "__pycache__", "a/node_modules", "a/.git", "a/b", "c"):
        put(folder, f"{place}/p.py")
    put(folder, f"elsewhere/{DATABASE}", "")
    put(folder, "elsewhere/task/p.py")
    task = load_task(folder)
    wanted = {
        "p.py": {"**/p.py", "**/*.py", "*.py", "*/p.py"},
        "score.py": set(),  # the evaluator
        "a/b/p.py": {"**/p.py", "**/*.py"},
        "c/p.py": {"**/p.py", "**/*.py", "*/p.py"},
    }
    assert {*task.files, *task.readonly} == {p for p in wanted if pattern in wanted[p]}
    again = copied(task, tmp_path / "out")
    assert (again.files, again.readonly, again.main) == (task.files, task.readonly, task.main)


def test_what_is_named_is_copied_wherever_it_lies(tmp_path):
    folder = write(
        tmp_path / "task",
        task='program = ["runs/p.py", ".hidden/*.py"]\ncontext = ["node_modules/notes.md"]',
        evaluator='use = ".judge/score.py:score"',
    )
    for path in ("runs/p.py", ".hidden/q.py", ".judge/score.py", "node_modules/notes.md"):
        put(folder, path)
    put(folder, "runs/other.py")
    task = load_task(folder)
    assert list(task.files) == ["runs/p.py", ".hidden/q.py"]
    again = copied(task, folder / "runs" / "now")
    assert (again.files, again.context) == (task.files, task.context)
    assert (again.root / ".judge/score.py").is_file()
    assert not (again.root / "runs/other.py").exists()
    assert not (again.root / "runs/now").exists()


def test_links_are_followed_unless_they_lead_nowhere_or_home(tmp_path):
    folder = write(tmp_path / "task", task='program = ["**/*.py"]')
    (tmp_path / "outside.py").write_text("x = 1\n")
    put(folder, "sub/q.py")
    (folder / "sub" / "linked.py").symlink_to("../../outside.py")
    (folder / "nothing.py").symlink_to("no-such-file")
    (folder / "sub" / "home").symlink_to(folder)
    os.mkfifo(folder / "pipe.py")
    task = load_task(folder)
    assert "sub/linked.py" in task.files
    assert not {"nothing.py", "pipe.py"} & {*task.files}
    assert copied(task, tmp_path / "out").files == task.files


@pytest.mark.parametrize("absolute", [False, True])
def test_a_run_reads_its_copy_of_a_folder_in_the_task(tmp_path, absolute):
    root = tmp_path / "task" / "src" if absolute else "src"
    folder = tmp_path / "task"
    put(folder, "src/p.py")
    task = load_task(write(folder, task=f'root = "{root}"\nprogram = ["p.py"]'))
    settings = kept(task, tmp_path / "out")
    (folder / "src").rename(folder / "gone")
    again = assemble_task(task.name, tmp_path / "out" / TASK, settings)
    assert again.files == task.files
    assert again.program_root == tmp_path / "out" / TASK / "src"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read every file")
def test_a_file_that_cannot_be_read_is_named(tmp_path):
    folder = write(tmp_path / "task")
    put(folder, "secret.txt")
    (folder / "secret.txt").chmod(0)
    with pytest.raises(UsageError, match=r"secret\.txt cannot be copied"):
        copied(load_task(folder), tmp_path / "out")


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"task": "program = []"}, "names no file"),
        ({"task": 'program = ["q.py"]'}, "'q.py' matches no file"),
        ({"task": 'program = ["../p.py"]'}, "lies outside .*move the file into it, or let"),
        ({"task": 'program = ["/etc/passwd"]'}, "lies outside .*move the file into it, or let"),
        ({"task": 'program = ["**p.py"]'}, "'\\*\\*p.py' is not a valid pattern"),
        ({"task": 'program = [""]'}, "'' is not a valid pattern"),
        ({"task": 'program = ["p.py"]\nedits = []'}, "did you mean 'edit'"),
        ({"evaluator": "timeout = 1"}, "'evaluator.use' is missing"),
        ({"evaluator": 'use = "score.py:score"\ntimeout = 0'}, "evaluator.timeout"),
        ({"objective": ""}, "names no metric"),
        ({"islands": "number = 0"}, "islands.number"),
        ({"sandbox": 'require = "D"'}, "sandbox.require: .*'A', 'B' or 'C'"),
        ({"budgets": "evaluations = 3"}, "did you mean 'budget'"),
    ],
)
def test_a_mistake_is_one_sentence_that_says_where(tmp_path, sections, said):
    with pytest.raises(UsageError, match=said) as caught:
        load_task(write(tmp_path / "task", **sections))
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_task_is_refused(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        load_task(tmp_path / "none")
    with pytest.raises(UsageError, match="evolver init"):
        load_task(tmp_path)


def test_one_name_needs_no_list_and_the_file_stands_for_its_folder(tmp_path):
    (tmp_path / "task.toml").write_text(
        '[task]\nprogram = "a.py"\n[evaluator]\nuse = "s.py:s"\n[objective]\nminimize = "error"\n'
    )
    (tmp_path / "a.py").write_text("x = 1\n")
    task = load_task(tmp_path / "task.toml")
    assert task.settings.task.program == ("a.py",)
    assert task.objective.minimize == ("error",)


def test_a_pattern_takes_in_neither_the_evaluator_nor_bad_examples(tmp_path):
    folder = write(
        tmp_path / "task",
        task='program = ["*.py", "cheats/*.py"]\ncontext = ["**/*.py"]',
        evaluator='use = "./score.py:score"\nmust_reject = ["cheats/*.py"]',
    )
    put(folder, "cheats/noop.py")
    put(folder, "more.py")
    task = load_task(folder)
    assert set(task.files) == set(task.context) == {"p.py", "more.py"}
    assert set(task.must_reject) == {"cheats/noop.py"}
    spelled = write(tmp_path / "two", task='program = ["p.py"]\ncontext = ["score.py"]')
    assert set(load_task(spelled).context) == {"score.py"}


def test_a_task_is_where_it_is_wherever_one_goes_from_there(tmp_path, monkeypatch):
    settings = load_task(write(tmp_path / "task")).settings
    monkeypatch.chdir(tmp_path)
    assert assemble_task("t", Path("task"), settings).root == tmp_path / "task"


def test_a_program_may_lie_outside_its_task(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    folder = write(
        project / "task", task='root = ".."\nprogram = ["**/*.py"]\ncontext = ["notes.md"]'
    )
    put(project, "src/p.py")
    put(project, "notes.md")
    task = load_task(folder)
    assert task.program_root == project
    assert set(task.files) == {"src/p.py", "task/p.py"}  # and not the evaluator
    again = assemble_task("t", tmp_path / "run" / TASK, kept(task, tmp_path / "run"))
    assert (again.files, again.context, again.base) == (task.files, task.context, task.base)
    assert not (tmp_path / "run" / "src").exists()
    inner = write(tmp_path / "inner", task='root = "src"\nprogram = ["p.py"]')
    put(inner, "src/p.py", "x = 3\n")
    task = load_task(inner)
    assert task.files == {"p.py": b"x = 3\n"}
    assert copied(task, tmp_path / "other").files == task.files
    with pytest.raises(UsageError, match=r"\[task\] root: the folder .*nowhere does not exist"):
        load_task(write(tmp_path / "two", task='root = "nowhere"\nprogram = ["p.py"]'))


def test_with_one_region_the_first_file_or_the_first_block_is_open(tmp_path):
    folder = write(tmp_path / "task", task='program = ["p.py", "q.py"]')
    toml = folder / "task.toml"
    toml.write_text('ablate = ["one-region"]\n' + toml.read_text())
    put(folder, "q.py")
    task = load_task(folder)
    assert (set(task.files), set(task.readonly)) == ({"p.py"}, {"q.py"})
    block = "# EVOLVE-BLOCK-START\nx = 1\n# EVOLVE-BLOCK-END"
    put(folder, "p.py", "y = 1\n")
    put(folder, "q.py", f"{block}\n{block}")
    task = load_task(folder)
    assert set(task.files) == {"q.py"}
    fixed = block.replace("EVOLVE", "FIXED")
    assert task.files["q.py"].decode() == f"{block}\n{fixed}"
    assert [region.start for region in find_regions(task.files)] == [21]


@pytest.mark.parametrize("folder", ["../prompts", "nowhere", "p.py"])
def test_a_folder_of_prompts_is_in_the_task(tmp_path, folder):
    (tmp_path / "prompts").mkdir()
    with pytest.raises(UsageError, match="has no folder"):
        load_task(write(tmp_path / "task", prompts=f'folder = "{folder}"'))


def test_prompts_are_found_and_copied(tmp_path):
    folder = write(tmp_path / "task", objective='minimize = ["error"]\nunits = { error = "m" }')
    assert load_task(folder).brief.prompts.folder == ""
    put(folder, "prompts/diff.user.md.j2")
    task = load_task(folder)
    assert task.brief.prompts.folder == str(folder / "prompts")
    assert task.brief.units == {"error": "m"}
    again = copied(task, tmp_path / "run")
    assert again.brief.prompts.folder == str((tmp_path / "run" / TASK / "prompts").resolve())
    hidden = write(tmp_path / "two", prompts='folder = ".words"')
    put(hidden, ".words/diff.user.md.j2")
    again = copied(load_task(hidden), tmp_path / "other")
    assert (tmp_path / "other" / TASK / ".words" / "diff.user.md.j2").is_file()
    assert again.brief.prompts.folder.endswith(".words")
