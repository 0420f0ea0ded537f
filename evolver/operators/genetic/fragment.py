"""Editable regions of Python files as trees: parsed alone, printed back byte for byte."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import libcst as cst

from evolver.edits import Region, find_regions, replace_regions
from evolver.types import Files

_WRAPPER = "if 1:\n"  # makes an indented region a whole program; its printed form is cut off again


@dataclass(frozen=True)
class Fragment:
    """One editable region, with what the rest of its file says about names.

    Attributes:
        region: where it stands in the files that it was read from.
        module: its tree. The statements of an indented region stand in an `if`, see `root`.
        visible: variables that are bound where the region starts.
        shared: variables of the file's top level, which every function sees.
        read_after: variables of the region that code behind it reads; None where every variable
            counts, as at the top level of a module or class.
        taken: every name that occurs in the file.
    """

    region: Region
    module: cst.Module
    is_indented: bool
    visible: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    read_after: frozenset[str] | None = None
    taken: frozenset[str] = field(default_factory=frozenset)

    @property
    def root(self) -> tuple[str | int, ...]:
        """The path of the suite that holds the region's statements."""
        return ("body", 0, "body") if self.is_indented else ()

    @property
    def is_in_function(self) -> bool:
        """Is the region a part of a function's body?"""
        return self.read_after is not None

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


def _stored(nodes: Sequence[ast.stmt], before: int) -> Iterator[str]:
    """Yield the names that statements bind on lines before `before`, not those inside functions."""
    for node in nodes:
        if node.lineno >= before or isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ):
            continue
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                if part.lineno < before:
                    yield part.id


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg not in ("self", "cls"):
            yield argument.arg


def _surroundings(tree: ast.Module, first: int, last: int) -> dict[str, object]:
    """Describe the scope of the lines `first` to `last` of a file, both included."""
    enclosing: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
    names: dict[str, None] = {}
    in_region: list[int] = []
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.alias(name=name):
                names[name] = None
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names[name] = None
        if isinstance(node, ast.stmt) and first <= node.lineno <= last:
            in_region.append(node.lineno)
    start = min(in_region, default=first)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.lineno < first and (node.end_lineno or 0) >= start >= node.body[0].lineno:
                enclosing.append(node)
    visible = dict.fromkeys(() if enclosing else _stored(tree.body, first))
    read_after: frozenset[str] | None = None
    for function in enclosing:
        visible.update(dict.fromkeys(_arguments(function)))
        visible.update(dict.fromkeys(_stored(function.body, first)))
    if enclosing and not _is_in_class(enclosing[-1], start):
        loops = any(
            isinstance(node, ast.For | ast.While)
            and node.lineno < first
            and (node.end_lineno or 0) >= start
            for node in ast.walk(enclosing[-1])
        )
        read_after = frozenset(
            node.id
            for node in ast.walk(enclosing[-1])
            if isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Load)
            and (node.lineno > last or (loops and node.lineno < first))
        )
    shared = tuple(dict.fromkeys(_stored(tree.body, before=1 << 30)))
    return {
        "visible": tuple(visible),
        "shared": shared,
        "read_after": read_after,
        "taken": frozenset(names),
    }


def _is_in_class(function: ast.AST, line: int) -> bool:
    return any(
        isinstance(node, ast.ClassDef) and node.lineno < line <= (node.end_lineno or 0)
        for node in ast.walk(function)
    )


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
    last = first + len(text.splitlines()) - 1
    module, is_indented = parsed
    fragment = Fragment(region, module, is_indented, **_surroundings(tree, first, last))  # type: ignore[arg-type]
    return fragment if fragment.render() == source[region.start : region.end] else None


def read_fragments(files: Files) -> tuple[Fragment, ...]:
    """Return the editable regions that hold Python statements, in the order of `find_regions`."""
    trees: dict[str, ast.Module | None] = {}
    found = []
    for region in find_regions(files):
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
    """Return the files with the regions of these fragments printed anew."""
    bodies: Mapping[Region, bytes] = {each.region: each.render() for each in fragments}
    return replace_regions(files, bodies)
