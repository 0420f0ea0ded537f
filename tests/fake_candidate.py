"""A `Candidate` that runs its program and an evaluator's guest code in this very process.

For tests of evaluators and tuning: no sandbox, no fork, no timeouts. The values that pass are
those that would pass a sandbox's channel, and an exception becomes the same `CandidateCrashed`.
"""

from __future__ import annotations

import ast
import subprocess
import tempfile
import time
import traceback
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path
from random import Random
from types import CodeType, ModuleType
from typing import Any

from evolver.errors import CandidateCrashed, CandidateOutputError, CandidateTimeout
from evolver.programs import literals
from evolver.sandboxes import clocks, timing, wire
from evolver.types import Account, Files, Output, Timing


class _Parameterised(ast.NodeTransformer):
    """Puts `__parameters__[i]` in the place of the i-th float literal."""

    def __init__(self, found: Sequence[literals.Literal]) -> None:
        self.places = {(one.line, one.column): i for i, one in enumerate(found)}

    def _replaced(self, node: ast.expr) -> ast.expr:
        index = self.places.pop((node.lineno, node.col_offset))
        return ast.parse(f"__parameters__[{index}]", mode="eval").body

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        is_literal = isinstance(node.operand, ast.Constant) and isinstance(node.op, ast.USub)
        if is_literal and (node.lineno, node.col_offset) in self.places:
            return self._replaced(node)
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, float) and (node.lineno, node.col_offset) in self.places:
            return self._replaced(node)
        return node


class InProcessCandidate:
    """A program of one file, judged in this process."""

    def __init__(
        self,
        source: str,
        *,
        guest: Path | None = None,
        seed: int = 0,
        parameters: Sequence[float] | None = None,
    ) -> None:
        self.files: Files = {"program.py": source.encode()}
        self.rng = Random(seed)
        self._guest = guest
        self._seed = seed
        found = literals.find(self.files)
        tree = _Parameterised(found).visit(ast.parse(source))
        self._code = compile(ast.fix_missing_locations(tree), "program.py", "exec")
        self._values = tuple(literal.value for literal in found)
        if parameters is not None:
            self._values = tuple(float(value) for value in parameters)

    @property
    def parameters(self) -> Sequence[float]:
        return self._values

    def at(self, parameters: Sequence[float]) -> InProcessCandidate:
        source = self.files["program.py"].decode()
        return InProcessCandidate(source, guest=self._guest, seed=self._seed, parameters=parameters)

    def call(self, function: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        module, _, name = function.rpartition(":")
        try:
            if module == "guest":
                return getattr(self._guest_module(), name)(*args, **kwargs)
            return getattr(self._load(), name)(*args, **kwargs)
        except Exception as error:  # the boundary: whatever a candidate raises is its verdict
            raise CandidateCrashed("".join(traceback.format_exception(error))) from error

    def restart(self) -> None:
        pass  # each call executes the program and the guest code afresh

    def time(self, function: str, inputs: Iterable[Sequence[Any]], **options: Any) -> Timing:
        return timing.measure(_Bench(self, function), inputs, **options)

    def account(self) -> Account:
        return Account(time.process_time(), 0.0)

    def run(
        self, command: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
    ) -> Output:
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, timeout=timeout, cwd=self._directory
            )
        except subprocess.TimeoutExpired as error:
            raise CandidateTimeout(str(error), error.stdout or b"") from None
        except OSError as error:
            raise CandidateCrashed(str(error)) from None
        return Output(done.returncode, done.stdout, done.stderr)

    def read(self, path: str) -> bytes:
        try:
            return (self._directory / path).read_bytes()
        except OSError as error:
            raise CandidateOutputError(str(error)) from None

    def write(self, path: str, data: bytes) -> None:
        target = self._directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    @cached_property
    def _directory(self) -> Path:
        self._temporary = tempfile.TemporaryDirectory()  # goes with this object
        folder = Path(self._temporary.name)
        for path, content in literals.substitute(self.files, self._values).items():
            (folder / path).write_bytes(content)
        return folder

    def _load(self, parameters: Sequence[Any] | None = None) -> ModuleType:
        module = ModuleType("program")
        module.__dict__["__parameters__"] = self._values if parameters is None else parameters
        exec(self._code, module.__dict__)
        return module

    def _guest_module(self) -> ModuleType:
        """Execute the guest code, with a module `candidate` for it as the sandbox's runner has."""
        assert self._guest is not None
        port = ModuleType("candidate")
        port.load = self._load  # type: ignore[attr-defined]
        port.parameters = self._values  # type: ignore[attr-defined]
        guest = ModuleType("guest")
        guest.__dict__["__candidate__"] = port
        exec(_compiled_guest(self._guest), guest.__dict__)
        return guest


class _Bench:
    """Batches of calls in this process; what they return is copied as a sandbox would copy it."""

    room = 1 << 23

    def __init__(self, candidate: InProcessCandidate, function: str) -> None:
        self.rng = candidate.rng
        self._candidate = candidate
        self._function = function
        self._batch: Sequence[Sequence[Any]] | None = None
        self._results: list[Any] = []
        self._cpu_time = 0.0

    def stage(self, batch: Sequence[Sequence[Any]] | None) -> None:
        self._batch = batch

    def go(self) -> float:
        wall, cpu = clocks.now(), time.process_time()
        call = self._candidate.call
        self._results = [call(self._function, *one) for one in self._batch or ()]
        self._cpu_time += time.process_time() - cpu
        return clocks.now() - wall

    def results(self) -> Sequence[Any]:
        tree, buffers = wire.encode(self._results)
        return wire.decode(tree, bytearray(b"".join(buffers)))  # type: ignore[no-any-return]

    def account(self) -> Account:
        return Account(self._cpu_time, 0.0)


@cache
def _compiled_guest(path: Path) -> CodeType:
    code = path.read_text().replace("import candidate ", "candidate = __candidate__ ")
    return compile(code, str(path), "exec")
