"""What the source of an optimiser may hold: arithmetic on arrays, and nothing that remembers."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterable, Mapping
from types import ModuleType

from evolver.errors import CandidateOutputError
from evolver.scoring import sources

_MODULES = ("numpy", "math")
_PARTS = ("linalg", "fft")  # of numpy, of the modules in it
#: They read or write files, reach what an array is a part of, keep something, or reach anything.
_FORBIDDEN = {
    "getattr", "setattr", "delattr", "vars", "globals", "locals", "eval", "exec", "compile", "open",
    "input", "breakpoint", "help", "type", "super", "object", "base", "flags", "setflags", "ctypes",
    "data", "getbuffer", "tofile", "dump", "dumps", "load", "save", "savez", "savez_compressed",
    "savetxt", "loadtxt", "genfromtxt", "fromfile", "fromregex", "memmap", "DataSource",
    "frompyfunc", "vectorize", "seterr", "seterrcall", "setbufsize", "set_printoptions", "nditer",
    "from_dlpack", "frombuffer", "require", "info", "test", "cache", "lru_cache",
}  # fmt: skip


def check(source: bytes) -> None:
    """Raise CandidateOutputError where a program could keep something between two calls.

    Only numpy and math are imported, the module holds functions and constants, and no function
    writes to anything but its own variables. It reads names, which stops whoever does not set out
    to deceive; that calls give the same again, whenever they are made, is measured besides.
    """
    tree = sources.parse(source)
    for statement in tree.body:
        _check_statement(statement)
    known: dict[str, ModuleType] = {}  # what names of the program stand for
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            _check_import(node, known)
    owners = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        _check_node(node)
        module = _module(node, known)
        if module is not None and id(node) not in owners:
            _refuse(f"the module {module.__name__} as a value")
        if isinstance(node, ast.Attribute) and (owner := _module(node.value, known)) is not None:
            _check_member(owner, node.attr)


def _refuse(what: str) -> None:
    raise CandidateOutputError(
        f"{what} is not allowed: an optimiser computes with numpy and math, and keeps nothing "
        "between two calls but the two arrays that it returns"
    )


def _check_statement(node: ast.stmt) -> None:
    """Let the module hold imports, functions, docstrings and constants."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef():
            return
        case ast.Expr(value=ast.Constant()):
            return
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            if _is_constant(value):
                return
    _refuse(f"line {node.lineno}, outside a function and no constant,")


def _is_constant(node: ast.expr) -> bool:
    return all(
        isinstance(
            part,
            ast.Constant | ast.Tuple | ast.UnaryOp | ast.BinOp | ast.Name | ast.Attribute
            | ast.operator | ast.unaryop | ast.expr_context,
        )
        for part in ast.walk(node)
    )  # fmt: skip


def _check_import(node: ast.Import | ast.ImportFrom, known: dict[str, ModuleType]) -> None:
    if isinstance(node, ast.ImportFrom):
        if node.level or node.module not in _MODULES:
            _refuse(f"importing {'.' * node.level}{node.module or ''}")
        module = importlib.import_module(str(node.module))
        for alias in node.names:
            _check_member(module, alias.name)
            if isinstance(part := getattr(module, alias.name, None), ModuleType):
                known[alias.asname or alias.name] = part
        return
    for alias in node.names:
        if alias.name not in _MODULES:
            _refuse(f"importing {alias.name}")
        known[alias.asname or alias.name] = importlib.import_module(alias.name)


def _module(node: ast.AST, known: Mapping[str, ModuleType]) -> ModuleType | None:
    """Return the module that an expression names; None for anything else."""
    found: object = None
    match node:
        case ast.Name(id=name):
            found = known.get(name)
        case ast.Attribute(value=value, attr=name):
            owner = _module(value, known)
            found = None if owner is None else getattr(owner, name, None)
    return found if isinstance(found, ModuleType) else None


def _check_member(module: ModuleType, name: str) -> None:
    is_module = isinstance(getattr(module, name, None), ModuleType)
    is_part = module.__name__ == "numpy" and name in _PARTS
    if name == "*" or name in _FORBIDDEN or (is_module and not is_part):
        _refuse(f"{module.__name__}.{name}")


def _check_node(node: ast.AST) -> None:
    match node:
        case ast.Global() | ast.Nonlocal():
            _refuse("global" if isinstance(node, ast.Global) else "nonlocal")
        case ast.ClassDef() | ast.AsyncFunctionDef() | ast.Yield() | ast.YieldFrom() | ast.Await():
            _refuse("a class, a generator or a coroutine")
        case ast.Match():  # a class pattern reads any attribute
            _refuse("match")
        case ast.FunctionDef(args=arguments, decorator_list=decorators):
            if decorators:
                _refuse("a decorator")
            _check_defaults([*arguments.defaults, *arguments.kw_defaults])
        case ast.Lambda(args=arguments):
            _check_defaults([*arguments.defaults, *arguments.kw_defaults])
    match node:
        case ast.Attribute(attr=name, ctx=ast.Store() | ast.Del()):
            _refuse(f"writing to the attribute {name}")
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            if name in _FORBIDDEN or name.startswith("__") or (
                name.startswith("_") and isinstance(node, ast.Attribute)
            ):  # fmt: skip
                _refuse(name)


def _check_defaults(values: Iterable[ast.expr | None]) -> None:
    if not all(value is None or _is_constant(value) for value in values):
        _refuse("a default value that is no constant")
