"""Fixtures of the end-to-end tests: a command line, tasks, a finished run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from command_line import CommandLine, MakeTask, write_task


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    with closing(CommandLine(tmp_path)) as commands:
        yield commands


@pytest.fixture
def make_task(tmp_path: Path) -> MakeTask:
    """Make a task folder; any of its three files can be given."""
    return partial(write_task, tmp_path / "curve")


@pytest.fixture
def task(make_task: MakeTask) -> Path:
    return make_task()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of forty evaluations, made once."""
    folder = tmp_path_factory.mktemp("finished")
    CommandLine(folder)(
        "run", write_task(folder / "curve"), "--evaluations", 40, "--seed", 3, "--out", "one"
    )
    return folder / "one"


@pytest.fixture
def run_dir(finished: Path, tmp_path: Path) -> Path:
    """A finished run of forty evaluations, of this test alone."""
    return Path(shutil.copytree(finished, tmp_path / "one", symlinks=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here as slow: each starts processes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
