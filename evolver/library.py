"""What a program calls by name: for tasks in which it is to do the work by itself."""

from __future__ import annotations

import ast
from collections.abc import Collection

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


def forbid(
    source: bytes,
    *,
    modules: Collection[str],
    attributes: Collection[str] = ARRAYS,
    operators: Collection[type[ast.operator]] = (),
) -> None:
    """Refuse Python code that has a library do its work.

    It reads the names that the code uses, which stops whoever does not set out to deceive.

    Args:
        source: the code.
        modules: all that it may import: "numpy", and in names with dots each part of them.
        attributes: all that it may use of modules and of objects, by name.
        operators: that it may not use.

    Raises:
        CandidateOutputError: it does; the message says by which name. Or it is no Python.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise CandidateOutputError(f"it is no Python: {error}") from None
    for node in ast.walk(tree):
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
