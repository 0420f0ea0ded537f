"""Reads a candidate's function as a formula: it is never run, so it can be nothing else."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolver.errors import CandidateOutputError
from evolver.programs import literals
from evolver.types import Files

Array = NDArray[np.float64]
MOST = 500  # nodes of the syntax tree of a function

_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
}


@dataclass(frozen=True)
class Step:
    """One value of a formula, from those of earlier steps.

    Attributes:
        compute: of the operands; None for an input, a literal or a constant.
        operands: indices of steps.
        source: ("input", index), ("literal", index) or ("constant", value), where it has none.
    """

    compute: Callable[..., Any] | None
    operands: tuple[int, ...] = ()
    source: tuple[str, float] = ("", 0)


@dataclass(frozen=True)
class Formula:
    """Steps that the result, the last one, needs; each takes earlier ones."""

    steps: tuple[Step, ...]

    @property
    def size(self) -> int:
        """Operations, functions, constants and uses of variables."""
        return len(self.steps)

    @np.errstate(all="ignore")
    def run(self, inputs: Sequence[Array], parameters: Array) -> Array:
        """Return the values (k, m) at m points for k vectors of the n literals.

        Args:
            inputs: an array (m,) for each.
            parameters: (k, n).
        """
        values: list[Any] = []
        for step in self.steps:
            kind, value = step.source
            if step.compute is not None:
                values.append(step.compute(*(values[operand] for operand in step.operands)))
            elif kind == "input":
                values.append(inputs[int(value)])
            elif kind == "literal":
                values.append(parameters[:, int(value), None])
            else:
                values.append(np.float64(value))
        result: Array = np.broadcast_to(values[-1], (len(parameters), len(inputs[0])))
        return result


def read(files: Files, function: str, arity: int) -> Formula:
    """Read the function of a program: assignments to plain names, and a `return` at the end.

    Raises:
        CandidateOutputError: it is anything else.
    """
    (path, source), *others = files.items()
    if others:
        raise CandidateOutputError("the program must be one file")
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CandidateOutputError(f"the program does not parse: {error}") from None
    found = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function
    ]
    if len(found) != 1:
        raise CandidateOutputError(f"the program must define {function} once, at the top level")
    if sum(1 for _ in ast.walk(found[0])) > MOST:
        raise CandidateOutputError(f"{function} is too long to be a formula")
    places = {
        (literal.line, literal.column): index
        for index, literal in enumerate(literals.find({path: source}))
    }
    return _Reader(places).read(found[0], arity)


class _Reader:
    """Turns the statements of a function into steps.

    Args:
        places: line and column of each float literal -> its index among the parameters.
    """

    def __init__(self, places: Mapping[tuple[int, int], int]) -> None:
        self._places = places
        self._steps: list[Step] = []
        self._names: dict[str, int | Step] = {}  # an input, or the index of a variable's step

    def read(self, function: ast.FunctionDef, arity: int) -> Formula:
        arguments = function.args
        plain = ast.arguments([], arguments.args, None, [], [], None, [])
        if ast.dump(arguments) != ast.dump(plain) or len(arguments.args) != arity:
            raise CandidateOutputError(f"{function.name} must take {arity} plain arguments")
        for index, argument in enumerate(arguments.args):
            self._names[argument.arg] = Step(None, source=("input", index))
        for statement in function.body:
            match statement:
                case ast.Expr(value=ast.Constant(value=str())):
                    continue
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._names[name] = self._visit(value)
                case ast.Return(value=ast.expr() as value):
                    return self._needed(self._visit(value))
                case _:
                    raise _refused(statement)
        raise CandidateOutputError(f"{function.name} returns nothing")

    def _add(self, step: Step) -> int:
        self._steps.append(step)
        return len(self._steps) - 1

    def _visit(self, node: ast.expr) -> int:
        """Append the steps of an expression; return the index of its value."""
        leaf = self._leaf(node)
        if leaf is not None:
            return self._add(leaf)
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._add(Step(operator.neg, (self._visit(operand),)))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._visit(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                operands = (self._visit(left), self._visit(right))
                return self._add(Step(_BINARY[type(op)], operands))
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="math"), attr=name),
                args=[argument],
                keywords=[],
            ) if name in _FUNCTIONS:
                return self._add(Step(_FUNCTIONS[name], (self._visit(argument),)))
        raise _refused(node)

    def _leaf(self, node: ast.expr) -> Step | None:
        """Return the step of a number or a name, None for anything else."""
        place = self._places.get((node.lineno, node.col_offset))
        match node:
            case (
                ast.Constant(value=float())
                | ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=float()))
            ) if place is not None:
                return Step(None, source=("literal", place))
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return Step(None, source=("constant", _as_float(value)))
            case ast.Attribute(value=ast.Name(id="math"), attr="pi"):
                return Step(None, source=("constant", np.pi))
            case ast.Name(id=name) if name in self._names:
                known = self._names[name]
                return known if isinstance(known, Step) else Step(operator.pos, (known,))
        return None

    def _needed(self, result: int) -> Formula:
        """Return the steps that a result hangs on, numbered anew."""
        needed = {result}
        for index in range(result, -1, -1):
            if index in needed:
                needed.update(self._steps[index].operands)
        numbers = {index: number for number, index in enumerate(sorted(needed))}
        return Formula(
            tuple(
                Step(step.compute, tuple(numbers[one] for one in step.operands), step.source)
                for step in (self._steps[index] for index in sorted(needed))
            )
        )


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise CandidateOutputError("an integer of the formula is too large") from None


def _refused(node: ast.AST) -> CandidateOutputError:
    text = ast.unparse(node)
    return CandidateOutputError(
        f"{text if len(text) < 80 else text[:77] + '...'}: a formula has only assignments, a "
        f"return, + - * / **, numbers, math.pi and math.{', math.'.join(_FUNCTIONS)}"
    )
