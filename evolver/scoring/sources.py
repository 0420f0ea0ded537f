"""Reads what a program is written in, before any of it runs: for tasks that limit what it may use.

Reading stops whoever does not set out to deceive. What has to hold against others, an evaluator
measures or computes besides. A program that is a formula need not run at all: `formulas` reads it.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import NoReturn

from evolver.errors import CandidateOutputError
from evolver.types import Files

#: What a kernel on the processor needs of numpy and numba, their arrays, and math.
ARRAYS = frozenset({
    "shape", "size", "ndim", "dtype", "T", "strides", "itemsize", "flat", "array", "asarray",
    "ascontiguousarray", "asfortranarray", "empty", "empty_like", "zeros", "zeros_like", "ones",
    "ones_like", "full", "full_like", "arange", "copy", "copyto", "astype", "reshape", "ravel",
    "flatten", "transpose", "swapaxes", "fill", "view", "add", "subtract", "multiply", "sum",
    "reduce", "concatenate", "stack", "hstack", "vstack", "pad", "tile", "repeat", "broadcast_to",
    "expand_dims", "squeeze", "newaxis", "split", "where", "minimum", "maximum", "min", "max",
    "abs", "ndarray", "bool_", "int8", "int16", "int32", "int64", "intp", "uint8", "uint16",
    "uint32", "uint64", "float16", "float32", "float64", "njit", "jit", "prange", "vectorize",
    "guvectorize", "literal_unroll", "types", "boolean", "void", "ceil", "floor", "sqrt", "isqrt",
    "log2", "inf", "nan", "append", "extend", "get", "items", "keys", "values", "setdefault",
})  # fmt: skip
#: Builtins that reach other names, code or files.
BUILTINS = frozenset({
    "getattr", "eval", "exec", "compile", "globals", "vars", "locals", "open", "breakpoint",
})  # fmt: skip
_SPLICE = re.compile(rb"\\[ \t\v\f\r]*\n")
# Assembler, what would put the word together, and what glibc's headers write it in.
_ASSEMBLER = re.compile(rb"(?<!\w)_*asm_*(?!\w)|##|%:%:|__REDIRECT", re.ASCII)
# As of an #include or a target. Other strings reach the assembler as they are, in the name of a
# section, say. None of these characters ends a comment, so no quote in one makes a pair.
_PLAIN = re.compile(rb'"[\w.,=+\- /<>]*"', re.ASCII)


def parse(source: bytes) -> ast.Module:
    """Return the syntax tree of Python code.

    Raises:
        CandidateOutputError: it is no Python, or nested deeper than the parser can read.
    """
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CandidateOutputError(f"it is no Python: {error or type(error).__name__}") from None


@dataclass(frozen=True)
class Language:
    """The part of Python that a task allows.

    Names that begin with two underscores are never allowed, but for `methods`; nor are class
    patterns, which read attributes by names that the program makes up, and writing to a module.

    Attributes:
        reason: why the rest is not allowed: the end of every message.
        modules: that may be imported, by the first part of their names.
        attributes: all that may be used of modules and of objects; None for any.
        forbidden: names that may not be used anywhere; of a mapping, each with its reason.
        methods: names with two underscores that are allowed.
        syntax: nodes of the syntax tree that are not allowed -> what a message calls them.
        submodules: all the modules that may be reached through others, by their full names, and no
            module may be a value; None for any. The modules are imported to tell.
        is_stateless: is nothing kept between two calls? The program is functions and constants, and
            writes to no attribute.
        numbers: constants that are allowed; None for any number of them.
        text: characters of a constant that is no docstring; None for any number of them.
    """

    reason: str
    modules: Collection[str]
    attributes: Collection[str] | None = None
    forbidden: Collection[str] | Mapping[str, str] = BUILTINS
    methods: Collection[str] = ()
    syntax: Mapping[type[ast.AST], str] = field(default_factory=dict)
    submodules: Collection[str] | None = None
    is_stateless: bool = False
    numbers: int | None = None
    text: int | None = None

    def check(self, files: Files) -> None:
        """Check the Python files of a program.

        Raises:
            CandidateOutputError: one uses something else; the message says what. Or it is no
                Python.
        """
        for path, content in files.items():
            if path.endswith(".py"):
                _Check(self).file(parse(content))

    def refuse(self, what: str, more: str = "", reason: str = "") -> NoReturn:
        """Raise the error that says that something is not allowed.

        Args:
            what: the name.
            more: what follows the reason.
            reason: another one than that of the language.
        """
        raise CandidateOutputError(f"{what} is not allowed: {reason or self.reason}{more}")


class _Check:
    """Checks one file."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._imported: set[str] = set()  # names that imports bind
        self._known: dict[str, ModuleType] = {}  # those of modules, where `submodules` are named

    def file(self, tree: ast.Module) -> None:
        if self._language.is_stateless:
            for statement in tree.body:
                self._top_level(statement)
        self._constants(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
        owners = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(tree):
            self._node(node)
            if self._language.is_stateless:
                self._state(node)
            module = self._module(node)
            if module is not None and id(node) not in owners:
                self._language.refuse(f"the module {module.__name__} as a value")

    def _top_level(self, node: ast.stmt) -> None:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef():
                return
            case ast.Expr(value=ast.Constant()):
                return
            case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
                if _is_constant(value):
                    return
        self._language.refuse(f"line {node.lineno}, outside a function and no constant,")

    def _constants(self, tree: ast.Module) -> None:
        numbers, text = self._language.numbers, self._language.text
        said = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        found = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and n not in said]
        count = sum(isinstance(value, int | float | complex) for value in found)
        longest = max((len(value) for value in found if isinstance(value, str | bytes)), default=0)
        if numbers is not None and count > numbers:
            self._language.refuse(f"a program of {count} numbers", f"; it may have {numbers}")
        if text is not None and longest > text:
            self._language.refuse(f"a text of {longest} characters", f"; it may have {text}")

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = self._path(alias.name)
                first = alias.name.partition(".")[0]
                self._imported.add(alias.asname or first)
                if module is not None:
                    self._known[alias.asname or first] = (
                        module if alias.asname else importlib.import_module(first)
                    )
            return
        if node.level:
            self._language.refuse(f"importing {'.' * node.level}{node.module or ''}")
        module = self._path(node.module or "")
        for alias in node.names:
            self._imported.add(alias.asname or alias.name)
            part = self._part(module, alias.name)
            if part is not None:
                self._known[alias.asname or alias.name] = part

    def _path(self, name: str) -> ModuleType | None:
        """Check the name of an imported module; return it where `submodules` are named."""
        first, *rest = name.split(".")
        if first not in self._language.modules:
            self._language.refuse(f"importing {name}")
        named = self._language.submodules is not None
        module = importlib.import_module(first) if named else None
        for part in rest:
            module = self._part(module, part)
        return module

    def _part(self, module: ModuleType | None, name: str) -> ModuleType | None:
        """Check a name that is imported from a module; return the module that it is."""
        self._attribute(name)
        return None if module is None else self._submodule(module, name)

    def _submodule(self, module: ModuleType, name: str) -> ModuleType | None:
        """Check an attribute of a module; return it where it is a module itself."""
        found = getattr(module, name, None)
        if not isinstance(found, ModuleType):
            return None
        whole = f"{module.__name__}.{name}"
        if whole not in (self._language.submodules or ()):
            self._language.refuse(whole)
        return found

    def _module(self, node: ast.AST) -> ModuleType | None:
        """Return the module that an expression names, where `submodules` are named."""
        match node:
            case ast.Name(id=name):
                return self._known.get(name)
            case ast.Attribute(value=value, attr=name):
                owner = self._module(value)
                return None if owner is None else self._submodule(owner, name)
        return None

    def _node(self, node: ast.AST) -> None:
        if (what := self._language.syntax.get(type(node))) is not None:
            self._language.refuse(what)
        match node:
            case ast.MatchClass():
                self._language.refuse("a class pattern of match")
            case ast.Attribute(attr=name, ctx=ast.Store() | ast.Del()) if (
                self._language.is_stateless or _root(node) in self._imported
            ):
                self._language.refuse(f"writing to the attribute {name} of {_root(node)}")
            case ast.Attribute(attr=name):
                self._attribute(name)
            case ast.Name(id=name):
                self._name(name)

    def _attribute(self, name: str) -> None:
        self._name(name)
        allowed = self._language.attributes
        if allowed is not None and name not in allowed and name not in self._language.modules:
            more = f"; of modules and objects it may use only {', '.join(sorted(allowed))}"
            self._language.refuse(name, more)

    def _name(self, name: str) -> None:
        forbidden = self._language.forbidden
        if name in forbidden:
            reason = forbidden[name] if isinstance(forbidden, Mapping) else ""
            self._language.refuse(name, reason=reason)
        if name.startswith("__") and name not in self._language.methods:
            self._language.refuse(name)

    def _state(self, node: ast.AST) -> None:
        match node:
            case ast.FunctionDef(decorator_list=[_, *_]):
                self._language.refuse("a decorator")
            case ast.FunctionDef(args=arguments) | ast.Lambda(args=arguments):
                values = [*arguments.defaults, *arguments.kw_defaults]
                if not all(value is None or _is_constant(value) for value in values):
                    self._language.refuse("a default value that is no constant")
            case ast.Attribute(attr=name) if name.startswith("_"):
                self._language.refuse(name)
            case ast.arg(arg=name):
                self._name(name)


def _root(node: ast.expr) -> str:
    """Return the name that an attribute is reached from."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else "an expression"


def _is_constant(node: ast.expr) -> bool:
    return all(
        isinstance(
            part,
            ast.Constant | ast.Tuple | ast.UnaryOp | ast.BinOp | ast.Name | ast.Attribute
            | ast.operator | ast.unaryop | ast.expr_context,
        )
        for part in ast.walk(node)
    )  # fmt: skip


def forbid_assembler(files: Mapping[str, bytes]) -> None:
    """Refuse C code that has assembler in it, or could have, by the text alone.

    Comments are not told from code, which would be to do what the compiler does.

    Args:
        files: of the program, path -> content.

    Raises:
        CandidateOutputError: it has; the message says what.
    """
    for path, content in files.items():
        text = _SPLICE.sub(b"", content)
        if found := _ASSEMBLER.search(text):
            raise CandidateOutputError(
                f"{path} has '{found[0].decode()}' in it: write C and no assembler, and put no "
                "words together by ##, not even in a comment"
            )
        if b'"' in _PLAIN.sub(b"", text):
            raise CandidateOutputError(
                f"{path} has a string with other characters than letters, digits and '.,=+- /<>' "
                "in it, and a function of numbers needs none, not even in a comment"
            )
