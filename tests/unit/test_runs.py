"""Directories of runs: each run gets its own."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from evolver.errors import UsageError
from evolver.runs.founding import new_directory
from evolver.runs.recorded import latest_directory
from evolver.storage.database import DATABASE
from evolver.tasks.settings import TaskSettings, validate
from evolver.tasks.task import assemble_task


@pytest.fixture
def task(tmp_path, monkeypatch):
    """A task, in whose folder the tests stand."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.py").write_text("x = 1\n")
    content = {
        "task": {"program": ["p.py"]},
        "evaluator": {"use": "score.py:score"},
        "objective": {"minimize": ["error"]},
    }
    return assemble_task("name", tmp_path, validate(TaskSettings, content, "here"))


def test_runs_that_begin_at_the_same_instant_get_a_directory_each(task):
    number = 16
    barrier = Barrier(number)

    def begin(_):
        barrier.wait()
        return new_directory(task, None)

    with ThreadPoolExecutor(number) as pool:
        made = list(pool.map(begin, range(number)))
    assert len(set(made)) == number
    assert all(path.is_dir() and path.name.startswith("name-2") for path in made)


def test_an_empty_directory_is_taken_and_a_used_one_is_not(task, tmp_path):
    (tmp_path / "empty").mkdir()
    assert new_directory(task, tmp_path / "empty") == tmp_path / "empty"
    (tmp_path / "empty" / "notes").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        new_directory(task, tmp_path / "empty")
    (tmp_path / "empty" / DATABASE).touch()
    with pytest.raises(UsageError, match="holds another run"):
        new_directory(task, tmp_path / "empty")


@pytest.mark.parametrize("out", [None, Path("runs/mine"), Path("runs")])
def test_where_a_file_is_in_the_way_it_is_said(task, tmp_path, out):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(UsageError, match="choose another --out"):
        new_directory(task, out)


def test_the_latest_run_is_the_one_written_last(task):
    with pytest.raises(UsageError, match="no run under"):
        latest_directory()
    first, second = new_directory(task, None), new_directory(task, None)
    for directory, written in ((first, 2_000_000_000), (second, 1_000_000_000)):
        (directory / DATABASE).touch()
        os.utime(directory / DATABASE, (written, written))
    assert latest_directory().resolve() == first
