"""What ARCHITECTURE.md names is there, and a candidate's walk is short."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import evolver

PACKAGE = Path(evolver.__file__).parent
ROOT = PACKAGE.parent
PAGE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
WALK = re.findall(r"^\| \d+\. .*$", PAGE, re.M)


def named_files(text: str) -> set[str]:
    return set(re.findall(r"`([a-z0-9_/]+\.py)`", text))


def methods(path: Path) -> set[str]:
    """The methods of a file's classes, as "Class.method"."""
    return {
        f"{kind.name}.{member.name}"
        for kind in ast.parse(path.read_bytes()).body
        if isinstance(kind, ast.ClassDef)
        for member in kind.body
        if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_file_that_the_page_names_is_there() -> None:
    files = named_files(PAGE)
    assert len(files) > 50
    missing = {name for name in files if not any((at / name).is_file() for at in (PACKAGE, ROOT))}
    assert missing == {"run.py"}  # which its last section says is a folder


def test_the_walk_of_a_candidate_has_ten_steps_in_ten_files() -> None:
    assert len(WALK) == 10
    assert len(set().union(*map(named_files, WALK))) <= 10
    for step in WALK:
        places = re.findall(r"`([a-z_/]+\.py)`: ((?:`\w+\.\w+`(?:, )?)+)", step)
        assert places, step
        for file, names in places:
            assert set(re.findall(r"`(.*?)`", names)) <= methods(PACKAGE / file), step
