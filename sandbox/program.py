"""A candidate's modules: imported from memory, with replaceable values of float literals.

The program's files and those laid beside them are one tree whose root is on `sys.path`. Python
files are compiled from the bytes that the host sent, never from the disk. Where parameters are set,
each literal that the host named is read from the module's globals. So the modules are compiled once
and another vector of parameters only executes them again.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import linecache
import struct
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any

_NEEDED = ("sys", "builtins")  # by the interpreter
_Position = tuple[int, int]  # line from 1, column in bytes from 0: as in `ast`


def module_name(path: str) -> str:
    """Return the name under which a file is imported: "a/b.py" is "a.b"."""
    name = path.removesuffix(".py").replace("/", ".")
    return name.removesuffix(".__init__")


class Modules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds, loads and forgets the modules of one program.

    Args:
        root: directory on `sys.path` where the files also lie.
        files: path relative to `root` -> contents.
        literals: path, line and column of each parameter.
        values: their values in the source.
        first: path of the program's main file. Its folder, or that of its outermost package, is on
            `sys.path` too, as if the program had been started there.
    """

    def __init__(
        self,
        root: str,
        files: dict[str, bytes],
        literals: Sequence[tuple[str, int, int]],
        values: Sequence[float],
        first: str = "",
    ) -> None:
        self.root = root
        self._sources = {path: files[path] for path in files if path.endswith(".py")}
        self._paths = {module_name(path): path for path in self._sources}
        base = folder = first.rpartition("/")[0]
        while base and f"{base}/__init__.py" in files:
            base = base.rpartition("/")[0]
        self._base = f"{base}/" if base else ""
        self._is_packaged = base != folder
        for path in self._sources:
            if base and path.startswith(self._base):
                self._paths.setdefault(module_name(path.removeprefix(self._base)), path)
        self._indices: dict[str, dict[_Position, int]] = {}
        for index, (path, line, column) in enumerate(literals):
            self._indices.setdefault(path, {})[line, column] = index
        self._codes: dict[tuple[str, bool], CodeType] = {}
        self._own = tuple(values)
        self._values: tuple[Any, ...] | None = None  # None: as in the source
        self._loaded: set[str] = set()  # names of modules
        self._executed_with: object = None  # key of the parameters of the loaded modules
        for path, source in self._sources.items():
            remember_source(self._file_of(path), source)

    @property
    def places(self) -> list[str]:
        """Directories that modules are imported from."""
        return [self.root, *[f"{self.root}/{self._base}".rstrip("/")] * bool(self._base)]

    def name_of(self, path: str) -> str:
        """Return the name of a file's module, with its package."""
        own = path.removeprefix(self._base) if self._is_packaged else path
        return module_name(own)

    @property
    def parameters(self) -> tuple[Any, ...]:
        """The values that the literals have at present."""
        return self._own if self._values is None else self._values

    def set_parameters(self, values: Sequence[float] | None) -> None:
        """Set the literals; None: as in the source.

        Modules executed with other values are forgotten; -0.0 and 0.0 are different values.
        """
        key = b"" if values is None else struct.pack(f"={len(values)}d", *values)
        if key != self._executed_with:
            self.forget()
            self._executed_with = key
        self._values = None if values is None else tuple(values)

    def load(self, path: str, values: Sequence[Any] | None = None) -> ModuleType:
        """Return the module of a file, executed afresh; `values` may be any objects."""
        self.forget()
        before = self._values
        if values is not None:
            if len(values) != len(self._own):
                raise ValueError(f"{len(values)} values for {len(self._own)} literals")
            self._values = tuple(values)
        try:
            module = importlib.import_module(self.name_of(path))
        finally:
            self._values = before
        # These modules hold other values than the next call expects.
        self._executed_with = None
        return module

    def claim_names(self) -> None:
        """Give the program's modules precedence over loaded modules of the same names.

        A program may be called "random.py": later imports find it, as in a script's folder; modules
        imported before keep the library's.
        """
        for name in self._paths:
            if name not in _NEEDED:
                sys.modules.pop(name, None)

    def forget(self) -> None:
        """Drop the program's modules, so that the next import executes them again."""
        for name in self._loaded:
            sys.modules.pop(name, None)
        self._loaded.clear()

    def _file_of(self, path: str) -> str:
        """Return a file's name for tracebacks and `inspect`: libraries look for it on the disk."""
        return f"{self.root}/{path}" if self.root.startswith("/") else path

    # --- called by the import system ----------------------------------------------------------

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a module among the program's files."""
        found = self._paths.get(fullname)
        if found is None:
            return None
        origin = f"{self.root}/{found}"
        is_package = found.endswith("/__init__.py")
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=origin, is_package=is_package)
        spec.has_location = True  # gives the module its __file__
        if is_package:
            spec.submodule_search_locations = [origin.removesuffix("/__init__.py")]
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """Execute a module in its own namespace."""
        self._loaded.add(module.__name__)
        path = self._paths[module.__name__]
        replaced = self._values is not None and path in self._indices
        if replaced:
            assert self._values is not None
            for index in self._indices[path].values():
                module.__dict__[_global_of(index)] = self._values[index]
        code = self._codes.get((path, replaced))
        if code is None:
            source: Any = self._sources[path]
            if replaced:
                source = _Replacement(self._indices[path]).visit(ast.parse(source))
            name = self._file_of(path)
            code = self._codes[path, replaced] = compile(source, name, "exec", dont_inherit=True)
        exec(code, module.__dict__)

    def get_source(self, fullname: str) -> str:
        """Return a module's text, for tracebacks and `inspect`."""
        return self._sources[self._paths[fullname]].decode("utf-8", "replace")


class _Replacement(ast.NodeTransformer):
    """Replaces the literals at given positions by globals."""

    def __init__(self, indices: dict[_Position, int]) -> None:
        self._indices = indices

    def _replaced(self, node: ast.expr, value: object) -> ast.expr | None:
        index = self._indices.get((node.lineno, node.col_offset))
        if index is None or type(value) is not float:
            return None
        return ast.copy_location(ast.Name(_global_of(index), ast.Load()), node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return self._replaced(node, node.value) or node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return self._replaced(node, node.operand.value) or self.generic_visit(node)
        return self.generic_visit(node)


def _global_of(index: int) -> str:
    # Double underscores at both ends: a class body would mangle the name otherwise.
    return f"__literal_{index}__"


def remember_source(path: str, source: bytes) -> None:
    """Let tracebacks show the lines of a file that may lie on no disk."""
    lines = source.decode("utf-8", "replace").splitlines(keepends=True)
    linecache.cache[path] = (len(source), None, lines, path)


class CandidateModule(ModuleType):
    """The module that guest code imports as `candidate`."""

    def __init__(self, modules: Modules, first: str) -> None:
        super().__init__("candidate", "The program that is being judged.")
        self._modules = modules
        self._first = first

    @property
    def parameters(self) -> tuple[float, ...]:
        """The float literals of the program: its own values, or those of `Candidate.at`."""
        return self._modules.parameters

    @property
    def root(self) -> str:
        """The directory in which the program's files and those beside them lie."""
        return self._modules.root

    @property
    def path(self) -> str:
        """The first program file, relative to `root`."""
        return self._first

    def load(self, parameters: Sequence[Any] | None = None) -> ModuleType:
        """Execute the first program file afresh and return its module.

        Args:
            parameters: values for its literals: any objects, for instance symbolic ones, in the
                order of `candidate.parameters`; None for `candidate.parameters` themselves.

        Raises:
            ValueError: the number of values is not the number of literals.
        """
        return self._modules.load(self._first, parameters)
