"""Filters: checks that save an evaluation of a child. Pure functions."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from functools import lru_cache
from types import CodeType

from evolver.programs import literals
from evolver.programs.edits import violation
from evolver.types import Context, Files


@lru_cache(
    maxsize=512
)  # each candidate is looked up several times, and as the parent of its children
def _normalised(content: bytes) -> bytes:
    """Hash the bytecode of Python: without layout, comments, docstrings' texts, folded constants.

    Compiling takes 0.9 ms for 4 KiB; dumping the syntax tree took 2.9 ms.

    Raises:
        SyntaxError: it does not parse, or is nested too deeply for the compiler.
        ValueError: it holds a null byte.
    """
    # The sandbox runs assertions, so they are part of the program.
    optimize = 0 if b"assert" in content or b"__debug__" in content else 2
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # warnings about a candidate's style do not interest the user
        try:
            code = compile(content, "<candidate>", "exec", dont_inherit=True, optimize=optimize)
        except (RecursionError, MemoryError) as error:  # nested too deeply for the parser
            raise SyntaxError("nested too deeply") from error
    digest = hashlib.sha256()
    waiting: list[CodeType] = [code]
    while waiting:
        code = waiting.pop()
        nested = [const for const in code.co_consts if isinstance(const, CodeType)]
        plain = [const for const in code.co_consts if not isinstance(const, CodeType)]
        names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        digest.update(code.co_code + code.co_exceptiontable)
        digest.update(repr((plain, names, counts, len(nested))).encode())
        waiting.extend(nested)
    return digest.digest()


def normalised_hash(files: Files) -> str:
    """Hash a program up to formatting: Python by its bytecode, other files by their bytes."""
    digest = hashlib.sha256()
    for path in sorted(files):
        content = files[path]
        if path.endswith(".py"):
            with contextlib.suppress(SyntaxError, ValueError):
                content = _normalised(bytes(content))
        digest.update(f"{path}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def structure_hash(files: Files) -> str:
    """Hash a program up to formatting and the values of its float literals."""
    values = [number + 0.5 for number in range(len(literals.find(files)))]
    return normalised_hash(literals.substitute(files, values))


def outside_regions(files: Files, context: Context) -> str | None:
    """Reject a child that differs from the seed outside its editable regions."""
    return violation(context.brief.seed, files)


def syntax_error(files: Files) -> str | None:
    """Return where and why a Python file does not parse; None where all files do."""
    for path, content in files.items():
        if path.endswith(".py"):
            try:
                _normalised(bytes(content))
            except SyntaxError as error:
                line = "" if error.lineno is None else f":{error.lineno}"
                return f"{path}{line}: {error.msg}"
            except ValueError as error:
                return f"{path}: {error}"
    return None


def unparsable(files: Files, _context: Context) -> str | None:
    """Reject Python that does not parse."""
    return syntax_error(files)


def already_seen(files: Files, context: Context) -> str | None:
    """Reject a program that was judged before, up to formatting."""
    return "the same program was judged before" if context.is_seen(files) else None


FILTERS = (outside_regions, unparsable, already_seen)
