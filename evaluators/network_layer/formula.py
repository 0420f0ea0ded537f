"""Reads a candidate's function as a formula of tensors, and writes new source from it.

Only this new source is ever executed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evolver.scoring.formulas import Expression, Grammar
from evolver.types import Candidate

#: Functions of each entry: name -> number of arguments.
POINTWISE: Mapping[str, int] = {
    **dict.fromkeys(("max", "min"), 2),
    **dict.fromkeys(("sigmoid", "tanh", "erf", "exp", "log", "abs", "sqrt", "square"), 1),
}
#: Moments of one argument over some of its axes.
MOMENTS: Mapping[str, int] = {
    f"{moment}_{axes}": 1
    for moment in ("mean", "std", "rms")
    for axes in ("wh", "whc", "bwh", "group")
}


def read(candidate: Candidate, name: str, arity: int, functions: Mapping[str, int]) -> str:
    """Return the source of the function, with the candidate's values of its literals.

    Args:
        candidate: a program of one file.
        name: of the function.
        arity: how many arguments it has.
        functions: name -> number of arguments, of those that it may call.

    Raises:
        CandidateOutputError: the program is not one function of this form.
    """
    formula = Grammar(functions).read(candidate.files, name, arity)
    values = candidate.parameters
    lines = [f"{name} = {_written(value, values)}" for name, value in formula.assignments]
    lines.append(f"return {_written(formula.result, values)}")
    return "\n    ".join([f"def {name}({', '.join(formula.arguments)}):", *lines]) + "\n"


def _written(one: Expression, values: Sequence[float]) -> str:
    operands = [_written(operand, values) for operand in one.operands]
    match one.kind, operands:
        case "number", _:
            text = repr(one.value if one.literal is None else float(values[one.literal]))
            return f"({text})" if text.startswith("-") else text
        case "name", _:
            return one.name
        case "-", [operand]:
            return f"(-{operand})"
        case "+" | "-" | "*" | "/" | "**", [left, right]:
            return f"({left} {one.kind} {right})"
    return f"{one.kind}({', '.join(operands)})"
