"""Reads what a program is written in, before any of it runs: for tasks that limit what it may use.

Reading stops whoever does not set out to deceive. What has to hold against others, an evaluator
measures or computes besides.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping

from evolver.errors import CandidateOutputError

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
_BUILTINS = {
    "getattr", "eval", "exec", "compile", "globals", "vars", "locals", "open", "breakpoint",
}  # fmt: skip
_SIGNS: dict[type[ast.operator], str] = {ast.MatMult: "@"}
_SPLICE = re.compile(rb"\\[ \t\v\f\r]*\n")
# Assembler, what would put the word together, and what glibc's headers write it in.
_ASSEMBLER = re.compile(rb"(?<!\w)_*asm_*(?!\w)|##|%:%:|__REDIRECT", re.ASCII)
# As of an #include or a target. Other strings reach the assembler as they are, in the name of a
# section, say. None of these characters ends a comment, so no quote in one makes a pair.
_PLAIN = re.compile(rb'"[\w.,=+\- /<>]*"', re.ASCII)


def parse(source: bytes) -> ast.Module:
    """Return the syntax tree of Python code.

    Raises:
        CandidateOutputError: it is no Python, or nested deeper than anybody can read.
    """
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CandidateOutputError(f"it is no Python: {error or type(error).__name__}") from None


def forbid(
    source: bytes,
    *,
    modules: Collection[str],
    attributes: Collection[str] = ARRAYS,
    operators: Collection[type[ast.operator]] = (),
) -> None:
    """Refuse Python code that has a library do its work, by the names that it uses.

    Args:
        source: the code.
        modules: all that it may import: "numpy", and in names with dots each part of them.
        attributes: all that it may use of modules and of objects, by name.
        operators: that it may not use.

    Raises:
        CandidateOutputError: it does; the message says by which name. Or it is no Python.
    """
    for node in ast.walk(parse(source)):
        named = [_SIGNS.get(one, one.__name__) for one in _operators(node) if one in operators]
        if named := named or _unwanted(node, modules, {*modules, *attributes}):
            reason = "the result is to be computed by the program itself"
            if isinstance(node, ast.Attribute | ast.ImportFrom):
                reason += ", which may use of modules and objects only "
                reason += ", ".join(sorted(attributes))
            raise CandidateOutputError(f"{named[0]} is not allowed: {reason}")


def _operators(node: ast.AST) -> list[type[ast.operator]]:
    return [type(node.op)] if isinstance(node, ast.BinOp | ast.AugAssign) else []


def _unwanted(node: ast.AST, modules: Collection[str], attributes: Collection[str]) -> list[str]:
    match node:
        case ast.Import(names=imported):
            parts = [part for alias in imported for part in alias.name.split(".")]
            return [part for part in parts if part not in modules]
        case ast.ImportFrom(module=module, names=imported):
            first, *parts = [*(module or ".").split("."), *(alias.name for alias in imported)]
            named = [] if first in modules else [first or "."]
            return named + [part for part in parts if part not in attributes]
        case ast.Attribute(attr=name):
            return [] if name in attributes else [name]
        case ast.Name(id=name):
            return [name] if name in _BUILTINS or name.startswith("__") else []
        case ast.MatchClass():  # reads attributes, by names that the program may make up
            return ["a pattern of a class"]
    return []


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
