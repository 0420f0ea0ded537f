"""The Python that an optimiser may use: arithmetic on arrays, without any state.

The evaluator also measures that calls give the same result whenever they are made.
"""

from __future__ import annotations

import ast

from evolver.scoring import sources

#: Names that give access to files, to the memory behind an array, to state or to other names.
_FORBIDDEN = {
    "getattr", "setattr", "delattr", "vars", "globals", "locals", "eval", "exec", "compile", "open",
    "input", "breakpoint", "help", "type", "super", "object", "base", "flags", "setflags", "ctypes",
    "data", "getbuffer", "tofile", "dump", "dumps", "load", "save", "savez", "savez_compressed",
    "savetxt", "loadtxt", "genfromtxt", "fromfile", "fromregex", "memmap", "DataSource",
    "frompyfunc", "vectorize", "seterr", "seterrcall", "setbufsize", "set_printoptions", "nditer",
    "from_dlpack", "frombuffer", "require", "info", "test", "cache", "lru_cache", "*",
}  # fmt: skip

LANGUAGE = sources.Language(
    reason=(
        "an optimiser computes with numpy and math, and keeps nothing between two calls but the "
        "two arrays that it returns"
    ),
    modules=("numpy", "math"),
    forbidden=_FORBIDDEN,
    submodules=("numpy.linalg", "numpy.fft"),
    is_stateless=True,
    syntax={
        ast.Global: "global",
        ast.Nonlocal: "nonlocal",
        ast.ClassDef: "a class",
        ast.AsyncFunctionDef: "a coroutine",
        ast.Await: "a coroutine",
        ast.Yield: "a generator",
        ast.YieldFrom: "a generator",
        ast.Match: "match",
    },
)
