"""Checks a program's source before it runs, for tasks that limit the language.

The check is of names: it stops a program that does not set out to deceive. An evaluator that must
withstand one that does also measures or computes what the rule stands for. A program that is a
formula need not run at all: see `formulas`.
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

#: Names of numpy, numba, arrays and math that a kernel on the processor needs.
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
#: Builtins that give access to other names, code or files.
BUILTINS = frozenset({
    "getattr", "eval", "exec", "compile", "globals", "vars", "locals", "open", "breakpoint",
})  # fmt: skip
_SPLICE = re.compile(rb"\\[ \t\v\f\r]*\n")
# Assembler, operators that could build the word, and the macro in glibc's headers that holds it.
_ASSEMBLER = re.compile(rb"(?<!\w)_*asm_*(?!\w)|##|%:%:|__REDIRECT", re.ASCII)
# Strings as in an #include or a target. Other strings could reach the assembler unchanged, for
# instance in the name of a section. None of these characters ends a comment, so that a quote in a
# comment cannot pair with one in code.
_PLAIN = re.compile(rb'"[\w.,=+\- /<>]*"', re.ASCII)


def parse(source: bytes) -> ast.Module:
    """Return the syntax tree of Python code.

    Raises:
        CandidateOutputError: it does not parse, or is nested too deeply.
    """
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error or type(error).__name__
        raise CandidateOutputError(f"the program is not valid Python: {reason}") from None


@dataclass(frozen=True)
class Language:
    """The part of Python that a task allows.

    Names with two leading underscores are refused, except `methods`. So are class patterns, which
    read attributes by keyword, and assignments to an attribute of a module.

    Attributes:
        reason: why the rest is not allowed; it ends every message.
        modules: top-level modules that may be imported.
        attributes: the only names that may be used of modules and objects; None for any.
        forbidden: names that may not be used anywhere; as a mapping, name -> reason.
        methods: names with two leading underscores that are allowed.
        syntax: types of syntax nodes that are refused -> their names in messages.
        submodules: full names of the only submodules that may be used, and a module may not be a
            value; None for no such limit. Needs the modules to be installed.
        is_stateless: must the program keep nothing between two calls? Then it consists of functions
            and constants, and assigns to no attribute.
        numbers: how many number constants are allowed; None for any.
        text: longest string constant that is allowed, docstrings aside; None for any.
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
            CandidateOutputError: a file uses something else, does not parse, or is nested too
                deeply.
        """
        for path, content in files.items():
            if path.endswith(".py"):
                try:
                    _Check(self).file(parse(content))
                except RecursionError:
                    raise CandidateOutputError(f"{path} is nested too deeply") from None

    def refuse(self, what: str, more: str = "", reason: str = "") -> NoReturn:
        """Raise a CandidateOutputError: WHAT is not allowed: REASON MORE.

        Args:
            what: a name, or another part of the program.
            more: follows the reason.
            reason: replaces that of the language.
        """
        raise CandidateOutputError(f"{what} is not allowed: {reason or self.reason}{more}")


class _Check:
    """Checks one file against a language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._imported: set[str] = set()  # names that imports bind
        self._known: dict[str, ModuleType] = {}  # which of them are modules, if submodules matter

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
            module = self._module(node) if self._known else None
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
        self._language.refuse(f"line {node.lineno}, code outside a function that is no constant,")

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
        """Check the name of an imported module; return the module if `submodules` matter."""
        first, *rest = name.split(".")
        if first not in self._language.modules:
            self._language.refuse(f"importing {name}")
        named = self._language.submodules is not None
        module = importlib.import_module(first) if named else None
        for part in rest:
            module = self._part(module, part)
        return module

    def _part(self, module: ModuleType | None, name: str) -> ModuleType | None:
        """Check a name that is imported from a module; return it if it is a module too."""
        self._attribute(name)
        return None if module is None else self._submodule(module, name)

    def _submodule(self, module: ModuleType, name: str) -> ModuleType | None:
        """Check an attribute of a module; return it if it is a module too."""
        found = getattr(module, name, None)
        if not isinstance(found, ModuleType):
            return None
        whole = f"{module.__name__}.{name}"
        if whole not in (self._language.submodules or ()):
            self._language.refuse(whole)
        return found

    def _module(self, node: ast.AST) -> ModuleType | None:
        """Return the module that an expression names, if `submodules` matter."""
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
    """Refuse C code that contains assembler, or could, by its text alone.

    Comments are checked as code is: to tell them apart takes a preprocessor.

    Args:
        files: of the program, path -> content.

    Raises:
        CandidateOutputError: a file contains it, or a string that could.
    """
    for path, content in files.items():
        text = _SPLICE.sub(b"", content)
        if found := _ASSEMBLER.search(text):
            raise CandidateOutputError(
                f"{path} has '{found[0].decode()}' in it: write C without assembler and without "
                "##, in comments too"
            )
        if b'"' in _PLAIN.sub(b"", text):
            raise CandidateOutputError(
                f"{path} has a string with other characters than letters, digits and '.,=+- /<>': "
                "remove it, in a comment too"
            )
