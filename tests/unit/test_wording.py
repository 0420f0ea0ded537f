"""Commands as they are written for people to copy."""

import shlex
from pathlib import Path

import pytest

from evolver.wording import shell


@pytest.mark.parametrize("name", ["plain", "-dash", "--", "a b#c%20[x]", "it's", "$HOME", "/a/-b"])
def test_a_path_in_a_command_is_read_as_that_path(name: str) -> None:
    *command, path, option = shlex.split(shell("evolver", "run", Path(name), "--seed"))
    assert command == ["evolver", "run"]
    assert option == "--seed"
    assert not path.startswith("-")
    assert Path(path) == Path(name)
