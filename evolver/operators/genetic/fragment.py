"""Editable regions of Python files as trees: parsed alone, printed back byte for byte."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import libcst as cst

from evolver.operators.genetic.surroundings import Surroundings, surroundings
from evolver.programs.edits import Region, find_regions, replace_regions
from evolver.types import Files

_WRAPPER = "if 1:\n"  # makes an indented region a whole program; removed again after printing


@dataclass(frozen=True)
class Fragment:
    """One editable region.

    Attributes:
        region: its position in the files.
        module: its tree; the statements of an indented region stand in an `if`, see `root`.
        is_indented: does it stand in a class or a function?
        around: its scope.
    """

    region: Region
    module: cst.Module
    is_indented: bool
    around: Surroundings

    @property
    def root(self) -> tuple[str | int, ...]:
        """The path of the suite that holds the region's statements."""
        return ("body", 0, "body") if self.is_indented else ()

    @property
    def is_in_function(self) -> bool:
        """Is the region a part of a function's body?"""
        return self.around.read_after is not None

    def with_module(self, module: cst.Module) -> Fragment:
        """Return the same region with another tree."""
        return replace(self, module=module)

    def render(self) -> bytes:
        """Return the region's text."""
        text = self.module.code
        return text[text.index("\n") + 1 :].encode() if self.is_indented else text.encode()


def _parse(source: str) -> tuple[cst.Module, bool] | None:
    lines = (line for line in source.splitlines() if line.strip())
    first = next((line for line in lines if not line.lstrip().startswith("#")), "")
    is_indented = first[:1] in (" ", "\t")
    wrapper = _WRAPPER.replace("\n", "\r\n") if "\r\n" in source else _WRAPPER
    try:
        module = cst.parse_module(wrapper + source if is_indented else source)
    except (cst.ParserSyntaxError, cst.CSTValidationError, RecursionError):
        return None
    whole = isinstance(module.body[0], cst.If) and len(module.body) == 1 if is_indented else True
    return (module, is_indented) if module.body and whole else None


def _read(files: Files, region: Region, tree: ast.Module) -> Fragment | None:
    source = files[region.path]
    try:
        text = source[region.start : region.end].decode()
    except UnicodeDecodeError:
        return None
    parsed = _parse(text)
    if parsed is None:
        return None
    first = source.count(b"\n", 0, region.start) + 1
    last = first + text.removesuffix("\n").count("\n")
    around = surroundings(tree, first, last)
    return None if around is None else Fragment(region, *parsed, around)


def read_fragments(files: Files) -> tuple[Fragment, ...]:
    """Return the editable regions that hold Python statements, in the order of `find_regions`."""
    trees: dict[str, ast.Module | None] = {}
    found = []
    for region in find_regions(files, is_recorded=True):
        if not region.path.endswith(".py"):
            continue
        if region.path not in trees:
            try:
                trees[region.path] = ast.parse(files[region.path])
            except (SyntaxError, ValueError, RecursionError):
                trees[region.path] = None
        tree = trees[region.path]
        fragment = _read(files, region, tree) if tree is not None else None
        if fragment is not None:
            found.append(fragment)
    return tuple(found)


def write_fragments(files: Files, fragments: Sequence[Fragment]) -> dict[str, bytes]:
    """Return the files with the regions of these fragments."""
    bodies: Mapping[Region, bytes] = {each.region: each.render() for each in fragments}
    return replace_regions(files, bodies)
