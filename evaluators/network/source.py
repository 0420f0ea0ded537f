"""What the source of a network may not hold: other data than it is given, and chance of its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from evolver.errors import CandidateOutputError
from evolver.scoring import sources
from evolver.types import Files

_MODULES = {"torch", "math", "functools", "collections", "dataclasses", "typing", "__future__"}
#: Ways to other modules, files and processes; `torch` has some of these as attributes.
_DOORS = {
    "open", "eval", "exec", "compile", "globals", "locals", "vars", "getattr", "builtins", "os",
    "sys", "io", "importlib", "subprocess", "ctypes", "hub", "load", "save", "from_file",
    "load_library", "load_inline", "multiprocessing", "distributed", "numpy", "sklearn", "inspect",
}  # fmt: skip
#: With a seed of its own a program could draw the same random numbers for training and for
#: prediction, and need not hand them on, where they count.
_SEEDS = {
    "manual_seed", "seed", "Generator", "default_generator", "get_rng_state", "set_rng_state",
    "fork_rng", "random",
}  # fmt: skip
#: Weights that were learnt elsewhere could stand in the source, where nobody counts them.
_LONGEST = 100  # characters of a text that is no docstring
_NUMBERS = 200


def check_source(files: Files) -> None:
    """Raise CandidateOutputError where a program holds or names what a network has no need of.

    It reads the code, which stops whoever does not set out to deceive.
    """
    for path, content in files.items():
        if not path.endswith(".py"):
            continue
        tree = sources.parse(content)
        _check_constants(tree)
        for name in _named(tree):
            if name in _SEEDS:
                raise CandidateOutputError(
                    f"{name} is not allowed: the random numbers are the evaluator's, and what "
                    "prediction needs of them belongs into the network's parameters"
                )
            if name in _DOORS or (name.startswith("__") and name != "__init__"):
                raise CandidateOutputError(
                    f"{name} is not allowed: a network is built of torch and math alone, and "
                    "learns from the images that it is given"
                )


def _check_constants(tree: ast.AST) -> None:
    # Docstrings, and other texts that nobody reads.
    said = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    texts = [one.value for one in found if isinstance(one.value, str | bytes) and one not in said]
    numbers = [node.value for node in found if isinstance(node.value, int | float | complex)]
    if len(numbers) > _NUMBERS or any(len(text) > _LONGEST for text in texts):
        raise CandidateOutputError(
            f"it has {len(numbers)} numbers and texts of up to {max(map(len, texts), default=0)} "
            f"characters; {_NUMBERS} and {_LONGEST} are allowed, for weights are learnt from the "
            "images and count as parameters"
        )


def _named(tree: ast.AST) -> Iterator[str]:
    modules = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        match node:
            case ast.MatchClass():  # its keywords are attributes by another name
                yield "__match__"
            case ast.Attribute(ctx=ast.Store()) if (name := _root(node)) in modules:
                yield f"__setattr__ of {name}"
            case ast.Import(names=names):
                for alias in names:
                    yield from _parts(alias.name)
            case ast.ImportFrom(module=module, names=names):
                yield from _parts(module or "__")
                yield from (alias.name for alias in names if alias.name != "*")
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _parts(module: str) -> Iterator[str]:
    first, *rest = module.split(".")
    if first not in _MODULES:
        yield f"__import__('{first}')"
    yield from rest
