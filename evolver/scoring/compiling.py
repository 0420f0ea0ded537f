"""Compiles C with gcc: a candidate's, which it checks before any of it runs, and an evaluator's.

Compiling and linking are two commands: where gcc links with -ffast-math, it adds code that makes
the whole process take denormal numbers for zero.
"""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

from evolver.errors import CandidateOutputError, UsageError
from evolver.scoring import objects, sources, verify
from evolver.types import Candidate

#: Functions of the C library that manage memory, for programs that may call them.
MEMORY = frozenset({
    b"malloc", b"calloc", b"realloc", b"aligned_alloc", b"posix_memalign", b"free",
})  # fmt: skip
_SAID = 4000  # characters of gcc's messages


def compile_program(
    candidate: Candidate,
    library: str,
    flags: Sequence[str],
    *,
    before: str = "",
    calls: Collection[bytes] = (),
    tables: int | None = None,
    code: int | None = None,
    timeout: float | None = None,
) -> None:
    """Compile a program in C to a shared library in its directory, and check the object file.

    Args:
        candidate: a program with one file in C.
        library: the library's name without its ending: "kernel" for "kernel.so".
        flags: of gcc.
        before: the evaluator's own C, compiled before the program in the same unit.
        calls: functions that the program may call, besides its own.
        tables: bytes of constants and variables allowed; None for any.
        code: bytes of code allowed; None for any.
        timeout: seconds for each of the two commands.

    Raises:
        CandidateOutputError: the program contains assembler, does not compile, calls other
            functions, has code that runs when it is loaded, or is too large.
    """
    source = verify.one_file(candidate.files, ".c")
    sources.forbid_assembler(candidate.files)
    if before:
        unit = f"evolver_{library}.c"
        candidate.write(unit, f'{before}\n#line 1\n#include "{source}"\n'.encode())
        source = unit
    for command in _commands(source, library, flags):
        done = candidate.run(command, timeout=timeout)
        if done.code:
            said = done.stderr.decode("utf-8", "replace")[-_SAID:]
            raise CandidateOutputError(f"gcc does not compile the program:\n{said}")
    # The program has not run yet, so it cannot have changed the file.
    objects.check(candidate.read(f"{library}.o"), calls=calls, tables=tables, code=code)


def compile_own(source: str, flags: Sequence[str], folder: Path) -> Path:
    """Compile an evaluator's own C; return the path of the shared library.

    Args:
        source: the text.
        flags: of gcc.
        folder: where the library is written.

    Raises:
        UsageError: gcc does not compile it.
    """
    (folder / "own.c").write_text(source, "utf-8")
    for command in _commands("own.c", "own", flags):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise UsageError(
                f"gcc does not compile the evaluator's own code here; check the flags "
                f"{' '.join(flags)}:\n{done.stderr}"
            )
    return folder / "own.so"


def _commands(source: str, library: str, flags: Sequence[str]) -> tuple[list[str], list[str]]:
    return (
        ["gcc", *flags, "-fPIC", "-c", "-o", f"{library}.o", source],
        ["gcc", "-shared", "-o", f"{library}.so", f"{library}.o", "-lm"],
    )
