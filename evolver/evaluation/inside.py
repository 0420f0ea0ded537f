"""Evaluators of the form `evaluate(program_path)`: they run in the sandbox, beside the candidate.

Other systems use this form. Candidate and scorer share a process, so a candidate can give itself
any score. Such evaluations are marked untrusted.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from evolver.bundled import bundled
from evolver.errors import CandidateOutputError, EvaluatorError, UsageError
from evolver.programs import literals
from evolver.programs.imports import own_modules, parsed
from evolver.tasks.plugins import nearest
from evolver.types import Candidate, Files, Printing, Result

Function = ast.FunctionDef | ast.AsyncFunctionDef

_GUEST = "evolver_inside"  # the name of sandbox/inside.py in the candidate's process
_LARGEST = 16 * 2**20  # bytes of all the evaluator's files, which are sent with each evaluation
_SHOWN = 2000  # characters of a text that become feedback


@dataclass(frozen=True)
class InsideResult(Result):
    """What an evaluator returned that ran beside the candidate.

    Attributes:
        not_finite: metrics that are not finite; an error only if the task needs them.
    """

    not_finite: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class InsideEvaluator:
    """Runs a function of a program's path in the candidate's process.

    Attributes:
        path: the file that defines it.
        function: its name.
        settings: its keyword arguments.
    """

    path: Path
    function: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    is_trusted: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the settings against the function's parameters.

        Raises:
            UsageError: the function has no such parameter.
        """
        arguments = self._functions[self.function].args
        known = [argument.arg for argument in (*arguments.args[1:], *arguments.kwonlyargs)]
        for name in self.settings:
            if name not in known and arguments.kwarg is None:
                raise UsageError(f"[evaluator] with: unknown key '{name}'; {nearest(name, known)}")

    @property
    def guest(self) -> Files:
        """The guest code that runs the function in the candidate's process."""
        return {f"{_GUEST}.py": (bundled("sandbox") / "inside.py").read_bytes()}

    def at_stage(self, name: str, settings: Mapping[str, Any]) -> InsideEvaluator:
        """Return the evaluator of a stage: the function of that name, if there is one."""
        function = name if name in self._functions else self.function
        return InsideEvaluator(self.path, function, settings)

    @cached_property
    def _functions(self) -> Mapping[str, Function]:
        return {node.name: node for node in functions(self.path)}

    @cached_property
    def files(self) -> Files:
        """The function's file and the modules beside it that it imports."""
        return dict(sources(self.path))

    def evaluate(self, candidate: Candidate) -> InsideResult:
        """Run the function. The candidate can change what it returns.

        Raises:
            CandidateError: the function raised, or did not return in time.
            EvaluatorError: the evaluator's file has the name of a file of the program.
        """
        program = candidate.files
        if self.path.name in program:
            raise EvaluatorError(
                f"the program and its evaluator are both called {self.path.name}; rename one"
            )
        # An evaluator that imports the program by name must not get the seed.
        own = {path: content for path, content in self.files.items() if path not in program}
        now = literals.substitute(program, candidate.parameters)
        changed = {path: content for path, content in now.items() if content != program[path]}
        returned = candidate.call(
            f"{_GUEST}:evaluate",
            own,
            changed,
            self.path.name,
            self.function,
            dict(self.settings),
        )
        # Both ran in one process, so this is the output of both.
        print(candidate.printed() if isinstance(candidate, Printing) else "", end="")
        match returned:
            case {"metrics": dict(metrics), "artifacts": dict(artifacts)}:
                return _result(metrics, artifacts)
        raise CandidateOutputError("it interfered with its evaluator, whose result is malformed")


def find_inside(use: str, root: Path) -> InsideEvaluator | None:
    """Return the evaluator that "file.py:function" names, if its first parameter is a path.

    The file is parsed, not imported: it may import modules that only the sandbox has.
    """
    place, _, name = use.rpartition(":")
    path = root / place
    if not place.endswith(".py") or not path.is_file():
        return None
    found = [function for function in functions(path) if function.name == name]
    return InsideEvaluator(path, name) if found and takes_path(found[-1]) else None


def inside_of(function: Callable[..., Any]) -> InsideEvaluator | None:
    """Return a function as an evaluator, if its first parameter is a path.

    Raises:
        UsageError: the function is not defined in a module.
    """
    if not inspect.isfunction(function):
        return None
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None or not (first.name == "program_path" or first.annotation in (str, "str")):
        return None
    source = inspect.getsourcefile(function)
    is_public = function.__qualname__ == function.__name__  # else defined in another function
    if function.__module__ == "__main__" or source is None or not is_public:
        raise UsageError(
            f"the evaluator {function.__name__}({first.name}) runs inside the sandbox, so it must "
            "be defined in a module; move it into one, or let it take a candidate to run outside"
        )
    return InsideEvaluator(Path(source), function.__name__)


def takes_path(function: Function) -> bool:
    """Tell whether a function's first parameter is a program's path."""
    parameters = [*function.args.posonlyargs, *function.args.args]
    if not parameters:
        return False
    annotation = parameters[0].annotation
    wants_text = isinstance(annotation, ast.Name) and annotation.id == "str"
    return parameters[0].arg == "program_path" or wants_text


def functions(path: Path) -> Sequence[Function]:
    """Return the functions that a file defines.

    Raises:
        UsageError: it does not parse.
    """
    return [node for node in parsed(path).body if isinstance(node, Function)]


def sources(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield a file and the modules beside it that it imports, directly or through each other.

    A package that it imports is included whole, because it may hold data.

    Raises:
        UsageError: one of them does not parse, or they are too large.
    """
    folder, size = path.parent, 0
    for file in with_packages(path):
        content = file.read_bytes()
        size += len(content)
        if size > _LARGEST:
            raise UsageError(f"{path} and what it imports are larger than 16 MiB; import less")
        yield file.relative_to(folder).as_posix(), content


def with_packages(path: Path) -> Sequence[Path]:
    """Return a file, the modules beside it that it imports, and the whole of their packages.

    Raises:
        UsageError: one of them does not parse.
    """
    folder = path.parent
    files = dict.fromkeys([path])
    for module in own_modules(path, [folder]):
        if not module.is_relative_to(folder):
            continue
        files[module] = None
        package = folder / module.relative_to(folder).parts[0]
        if (package / "__init__.py").is_file():
            files |= dict.fromkeys(
                inner
                for inner in package.rglob("*")
                if inner.is_file() and "__pycache__" not in inner.parts
            )
    return list(files)


def _result(metrics: Mapping[str, Any], artifacts: Mapping[str, Any]) -> InsideResult:
    """Sort the values: finite numbers are metrics, texts are feedback, bytes are artifacts."""
    finite: dict[str, float] = {}
    not_finite: dict[str, float] = {}
    kept: dict[str, bytes] = {}
    texts: list[str] = []
    for name, value in _leaves("", metrics):
        if isinstance(value, bytes):
            kept[name] = value
        elif isinstance(value, int | float) and math.isfinite(value):
            finite[name] = float(value)
        elif isinstance(value, float | str):
            texts.append(f"{name}: {str(value).strip()[:_SHOWN]}")
            if isinstance(value, float):
                not_finite[name] = value
    for name, value in artifacts.items():
        if isinstance(value, str):
            texts.append(f"{name}: {value.strip()[:_SHOWN]}")
        kept[name] = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    return InsideResult(finite, {}, {}, "\n".join(texts), kept, not_finite)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values in nested mappings, each with its path as its name."""
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, inner in value.items():
        yield from _leaves(f"{name}.{key}" if name else str(key), inner)
