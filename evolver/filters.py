"""Filters: pure reasons not to spend an evaluation on a child."""

from __future__ import annotations

import ast
import contextlib
import hashlib

from evolver.edits import violation
from evolver.types import Context, Files


def normalised_hash(files: Files) -> str:
    """Hash a program up to formatting: Python without comments and layout, the rest verbatim."""
    digest = hashlib.sha256()
    for path in sorted(files):
        content = files[path]
        if path.endswith(".py"):
            with contextlib.suppress(SyntaxError, ValueError):
                content = ast.dump(ast.parse(content)).encode()
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def outside_regions(files: Files, context: Context) -> str | None:
    """Reject a child that differs from the seed outside its editable regions."""
    return violation(context.brief.seed, files)


def unparsable(files: Files, _context: Context) -> str | None:
    """Reject Python that does not parse."""
    for path, content in files.items():
        if path.endswith(".py"):
            try:
                ast.parse(content, path)
            except SyntaxError as error:
                return f"{path}:{error.lineno}: {error.msg}"
            except ValueError as error:
                return f"{path}: {error}"
    return None


def already_seen(files: Files, context: Context) -> str | None:
    """Reject a program that was judged before, up to formatting."""
    return "the same program was judged before" if context.is_seen(files) else None


FILTERS = (outside_regions, unparsable, already_seen)
