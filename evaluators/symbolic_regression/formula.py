"""Reads a candidate's function as steps, which the evaluator computes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolver.scoring.formulas import Expression, Formula, Grammar
from evolver.types import Files

Array = NDArray[np.float64]

_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
}
_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "math.sin": np.sin,
    "math.cos": np.cos,
    "math.tan": np.tan,
    "math.tanh": np.tanh,
    "math.exp": np.exp,
    "math.log": np.log,
    "math.sqrt": np.sqrt,
}
_GRAMMAR = Grammar(
    dict.fromkeys(_FUNCTIONS, 1), constants={"math.pi": np.pi}, nodes=500, is_alone=False
)


@dataclass(frozen=True)
class Step:
    """One value of a formula, from those of earlier steps.

    Attributes:
        compute: the operation; None for an input, a literal or a constant.
        operands: indices of steps.
        source: without operation, ("input", index), ("literal", index) or ("constant", value).
    """

    compute: Callable[..., Any] | None
    operands: tuple[int, ...] = ()
    source: tuple[str, float] = ("", 0)


@dataclass(frozen=True)
class Steps:
    """The steps that a result needs; it is the last one, and each takes earlier ones."""

    each: tuple[Step, ...]

    @property
    def size(self) -> int:
        """Operations, functions, constants and uses of variables."""
        return len(self.each)

    @np.errstate(all="ignore")
    def run(self, inputs: Sequence[Array], parameters: Array) -> Array:
        """Return the values (k, m) at m points for k vectors of the n literals.

        Args:
            inputs: an array (m,) for each.
            parameters: (k, n).
        """
        values: list[Any] = []
        for step in self.each:
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


def read(files: Files, function: str, arity: int) -> Steps:
    """Read the function of a program: assignments to plain names, and a `return` at the end.

    Raises:
        CandidateOutputError: the function is not such a formula.
    """
    return _Steps(_GRAMMAR.read(files, function, arity)).needed


class _Steps:
    """Turns a formula into steps."""

    def __init__(self, formula: Formula) -> None:
        self._steps: list[Step] = []
        self._inputs = {name: number for number, name in enumerate(formula.arguments)}
        self._variables: dict[str, int] = {}  # the index of each one's step
        for name, value in formula.assignments:
            self._variables[name] = self._add(value)
        self._result = self._add(formula.result)

    def _add(self, one: Expression) -> int:
        """Append the steps of an expression; return the index of its value."""
        operands = tuple(map(self._add, one.operands))
        self._steps.append(self._step(one, operands))
        return len(self._steps) - 1

    def _step(self, one: Expression, operands: tuple[int, ...]) -> Step:
        match one.kind:
            case "name" if one.name in self._variables:
                return Step(operator.pos, (self._variables[one.name],))
            case "name":
                return Step(None, source=("input", self._inputs[one.name]))
            case "number" if one.literal is not None:
                return Step(None, source=("literal", one.literal))
            case "-" if len(operands) == 1:
                return Step(operator.neg, operands)
            case kind if kind in _BINARY:
                return Step(_BINARY[kind], operands)
            case kind if kind in _FUNCTIONS:
                return Step(_FUNCTIONS[kind], operands)
        return Step(None, source=("constant", one.value))

    @property
    def needed(self) -> Steps:
        """The steps that the result depends on, numbered anew."""
        needed = {self._result}
        for index in range(self._result, -1, -1):
            if index in needed:
                needed.update(self._steps[index].operands)
        numbers = {index: number for number, index in enumerate(sorted(needed))}
        return Steps(
            tuple(
                Step(step.compute, tuple(numbers[one] for one in step.operands), step.source)
                for step in (self._steps[index] for index in sorted(needed))
            )
        )
