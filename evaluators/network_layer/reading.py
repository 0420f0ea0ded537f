"""Reads a candidate's function as a formula of tensors, and writes it down anew.

Only what is written down is ever executed. It consists of arithmetic and of calls of the functions
below, so it can look at nothing but its arguments, keep nothing, and change nothing.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence

from evolver.errors import CandidateOutputError
from evolver.programs import literals
from evolver.scoring import sources
from evolver.types import Candidate

MOST = 400  # nodes of the syntax tree of a function

#: Of each entry: name -> number of arguments.
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
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)


def read(candidate: Candidate, name: str, arity: int, functions: Mapping[str, int]) -> str:
    """Return the source of the function, with the candidate's values of its literals.

    Args:
        candidate: a program of one file.
        name: of the function.
        arity: how many arguments it has.
        functions: that it may call, with the number of their arguments.

    Raises:
        CandidateOutputError: it is no docstring and one function of this form.
    """
    (source, *others) = literals.substitute(candidate.files, candidate.parameters).values()
    if others:
        raise CandidateOutputError("the program must be one file")
    tree = sources.parse(source)
    match [node for node in tree.body if not _is_docstring(node)]:
        case [ast.FunctionDef(name=found) as function] if found == name:
            lines = source.decode("utf-8", "replace").splitlines()
            return _Reader(functions, lines).read(function, arity)
    raise CandidateOutputError(
        f"the program must be one function {name}, without imports or anything else beside it; "
        f"it may call {', '.join(functions)}"
    )


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


class _Reader:
    """Checks the statements of a function and copies them.

    Args:
        functions: that may be called.
        lines: of the program, for messages.
    """

    def __init__(self, functions: Mapping[str, int], lines: Sequence[str]) -> None:
        self._functions = functions
        self._lines = lines
        self._names: set[str] = set()

    def read(self, function: ast.FunctionDef, arity: int) -> str:
        arguments = function.args
        names = [one.arg for one in arguments.args]
        if (
            len(names) != arity
            or arguments.posonlyargs
            or arguments.kwonlyargs
            or arguments.defaults
            or arguments.vararg
            or arguments.kwarg
            or function.decorator_list
        ):
            raise CandidateOutputError(
                f"{function.name} must have {arity} arguments, no defaults and no decorator"
            )
        if sum(1 for _ in ast.walk(function)) > MOST:
            raise CandidateOutputError(f"{function.name} is too long; make it half as long")
        for name in names:
            self._bind(name)
        body = [node for node in function.body if not _is_docstring(node)]
        lines = [self._statement(node, is_last=node is body[-1]) for node in body]
        if not lines:
            raise CandidateOutputError(f"{function.name} must return a tensor")
        return "\n    ".join([f"def {function.name}({', '.join(names)}):", *lines]) + "\n"

    def _statement(self, node: ast.stmt, *, is_last: bool) -> str:
        match node:
            case ast.Return(value=ast.expr() as value) if is_last:
                return f"return {self._expression(value)}"
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if not is_last:
                text = self._expression(value)
                self._bind(name)
                return f"{name} = {text}"
        raise CandidateOutputError(
            f"{self._place(node)}: every statement must assign to one name, as in y = x * v, "
            "and the last one must return a tensor"
        )

    def _bind(self, name: str) -> None:
        if name in self._functions or name.startswith("__"):
            raise CandidateOutputError(f"{name} may not be assigned to; take another name")
        self._names.add(name)

    def _expression(self, node: ast.expr) -> str:
        match node:
            case ast.Name(id=name):
                if name not in self._names:
                    raise CandidateOutputError(f"{name} is used before it is assigned")
                return name
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return _number(value)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return f"(-{self._expression(operand)})"
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._expression(operand)
            case ast.BinOp(op=op, left=left, right=right) if isinstance(op, _OPERATORS):
                sign = ast.unparse(ast.BinOp(ast.Name("_"), op, ast.Name("_"))).strip("_")
                return f"({self._expression(left)}{sign}{self._expression(right)})"
            case ast.Call(func=ast.Name(id=name), args=values, keywords=[]):
                if len(values) == self._functions.get(name):
                    return f"{name}({', '.join(map(self._expression, values))})"
        raise CandidateOutputError(
            f"{self._place(node)}: {type(node).__name__} is not allowed there; there are "
            "+ - * / **, numbers, and "
            + ", ".join(f"{name}/{arity}" for name, arity in self._functions.items())
        )

    def _place(self, node: ast.stmt | ast.expr) -> str:
        line = self._lines[node.lineno - 1 : node.lineno] or [""]
        return f"line {node.lineno} ({line[0].strip()[:60]})"


def _number(value: float) -> str:
    try:
        value = float(value)  # an integer would be computed with to the last digit
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise CandidateOutputError("every number must be finite")
    return repr(value)
