"""What gcc made of a program is looked into before any of it runs."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolver.errors import CandidateOutputError
from evolver.scoring import objects

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed here")


@given(st.binary(max_size=200))
def test_what_is_no_object_file_is_refused(content: bytes) -> None:
    for data in (content, b"\x7fELF\x02\x01" + content):
        with pytest.raises(CandidateOutputError):
            objects.check(data)


def test_an_object_file_that_is_cut_is_refused() -> None:
    with pytest.raises(CandidateOutputError, match="no valid object file"):
        objects.check(b"\x7fELF\x02\x01" + bytes(34) + struct.pack("<Q", 10**9))


@needs_gcc
@pytest.mark.parametrize(("times", "is_refused"), [(100, False), (3000, True)])
def test_code_has_a_size(times: int, is_refused: bool, tmp_path: Path) -> None:
    body = "    x = x * x + 1;\n" * times
    (tmp_path / "a.c").write_text(f"float approximate(float x) {{\n{body}    return x; }}\n")
    words = ["gcc", "-O0", "-fno-asynchronous-unwind-tables", "-c", "a.c"]
    subprocess.run(words, cwd=tmp_path, check=True)
    content = (tmp_path / "a.o").read_bytes()
    if not is_refused:
        objects.check(content, code=32768)
        return
    with pytest.raises(CandidateOutputError, match="bytes of code when compiled; 32768 are"):
        objects.check(content, code=32768)


@needs_gcc
@pytest.mark.parametrize(
    ("calls", "tables", "reason"),
    [((), None, "it calls other"), ((b"other",), None, ""), ((b"other",), 8, "constants")],
)
def test_what_is_called_and_held_is_told(
    calls: tuple[bytes, ...], tables: int | None, reason: str, tmp_path: Path
) -> None:
    source = "double other(double); double held[9] = {1}; double f(void) { return other(held[3]); }"
    (tmp_path / "a.c").write_text(source)
    subprocess.run(["gcc", "-fPIC", "-c", "a.c"], cwd=tmp_path, check=True)
    content = (tmp_path / "a.o").read_bytes()
    if not reason:
        objects.check(content, calls=calls, tables=tables)
        return
    with pytest.raises(CandidateOutputError, match=reason):
        objects.check(content, calls=calls, tables=tables)
