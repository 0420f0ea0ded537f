"""Reads a candidate's function as a formula, for tasks that never run the candidate.

A formula consists of arithmetic and of calls of known functions. The evaluator computes it, or
writes its own source from it, so a formula has no access to anything but its arguments.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from evolver.errors import CandidateOutputError
from evolver.programs import literals
from evolver.scoring import sources
from evolver.types import Files

_SIGNS: Mapping[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**",
}  # fmt: skip


@dataclass(frozen=True)
class Expression:
    """A part of a formula.

    Attributes:
        kind: "+", "-", "*", "/" or "**" with two operands, "-" with one; the name of a function or
            a constant; "number"; or "name" for an argument or a variable.
        operands: of an operation or a function.
        value: of a number or a constant.
        name: of an argument or a variable.
        literal: index of a number in `Candidate.parameters`; None for a number that is none of
            them, such as an integer.
    """

    kind: str
    operands: tuple[Expression, ...] = ()
    value: float = 0.0
    name: str = ""
    literal: int | None = None


@dataclass(frozen=True)
class Formula:
    """A function that assigns to variables and returns a value.

    Attributes:
        arguments: their names.
        assignments: (variable, value), in order; a variable may be assigned to again.
        result: the returned value.
    """

    arguments: tuple[str, ...]
    assignments: tuple[tuple[str, Expression], ...]
    result: Expression


@dataclass(frozen=True)
class Grammar:
    """What a task allows in a formula besides + - * / ** and numbers.

    Attributes:
        functions: name in the source, such as "exp" or "math.exp" -> number of arguments.
        constants: name in the source, such as "math.pi" -> value.
        nodes: largest size of the function's syntax tree.
        is_alone: must the program consist of this function and docstrings? Otherwise other code,
            and statements after the `return`, are ignored.
    """

    functions: Mapping[str, int]
    constants: Mapping[str, float] = field(default_factory=dict)
    nodes: int = 400
    is_alone: bool = True

    def read(self, files: Files, name: str, arity: int) -> Formula:
        """Read a function of a program.

        Args:
            files: of the program.
            name: of the function.
            arity: how many arguments it has.

        Raises:
            CandidateOutputError: the function is missing, or is not such a formula.
        """
        (source, *others) = files.values()
        if others:
            raise CandidateOutputError("the program must be one file")
        function = self._function(sources.parse(source), name)
        if sum(1 for _ in ast.walk(function)) > self.nodes:
            raise CandidateOutputError(f"{name} is too long for a formula; make it half as long")
        places = {(one.line, one.column): i for i, one in enumerate(literals.find(files))}
        return _Reading(self, source, places).read(function, arity)

    def _function(self, tree: ast.Module, name: str) -> ast.FunctionDef:
        body = [
            node
            for node in tree.body
            if (not _is_docstring(node) if self.is_alone else _is_function(node, name))
        ]
        match body:
            case [ast.FunctionDef(name=found) as function] if found == name:
                return function
        alone = ", without imports or anything else beside it" if self.is_alone else ""
        raise CandidateOutputError(
            f"the program must define the function {name} once, at the top level{alone}; "
            f"{self.described}"
        )

    @property
    def described(self) -> str:
        """The allowed parts of a formula, for messages."""
        names = [*(f"{name}/{arity}" for name, arity in self.functions.items()), *self.constants]
        return f"a formula has + - * / **, numbers, and {', '.join(names)}"


class _Reading:
    """Reads one function.

    Args:
        grammar: of the formula.
        source: of the program, for messages.
        places: line and column of each float literal -> its index.
    """

    def __init__(
        self, grammar: Grammar, source: bytes, places: Mapping[tuple[int, int], int]
    ) -> None:
        self._grammar = grammar
        self._lines = source.decode("utf-8", "replace").splitlines()
        self._places = places
        self._names: set[str] = set()
        # A variable of such a name would hide a function, a constant or its module.
        known = (*grammar.functions, *grammar.constants)
        self._taken = {name.partition(".")[0] for name in known}

    def read(self, function: ast.FunctionDef, arity: int) -> Formula:
        arguments = function.args
        plain = ast.arguments([], arguments.args, None, [], [], None, [])
        if (
            ast.dump(arguments) != ast.dump(plain)
            or len(arguments.args) != arity
            or (function.decorator_list and self._grammar.is_alone)
        ):
            raise CandidateOutputError(
                f"{function.name} must have {arity} arguments, no defaults and no decorator"
            )
        names = tuple(one.arg for one in arguments.args)
        for name in names:
            self._bind(name)
        body = [node for node in function.body if not _is_docstring(node)]
        assignments: list[tuple[str, Expression]] = []
        for index, node in enumerate(body):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    assignments.append((name, self._expression(value)))
                    self._bind(name)
                case ast.Return(value=ast.expr() as value) if (
                    index == len(body) - 1 or not self._grammar.is_alone
                ):
                    return Formula(names, tuple(assignments), self._expression(value))
                case _:
                    raise self._refused(
                        node,
                        "every statement must assign to one name, as in y = x * x, and the last "
                        "one must return the result",
                    )
        raise CandidateOutputError(f"{function.name} must return the result")

    def _bind(self, name: str) -> None:
        if name in self._taken or name.startswith("__"):
            raise CandidateOutputError(f"{name} may not be assigned to; take another name")
        self._names.add(name)

    def _expression(self, node: ast.expr) -> Expression:
        if (leaf := self._leaf(node)) is not None:
            return leaf
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Expression("-", (self._expression(operand),))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._expression(operand)
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _SIGNS:
                operands = (self._expression(left), self._expression(right))
                return Expression(_SIGNS[type(op)], operands)
            case ast.Call(func=function, args=values, keywords=[]):
                name = _dotted(function)
                if self._grammar.functions.get(name) == len(values):
                    return Expression(name, tuple(map(self._expression, values)))
        raise self._refused(
            node, f"{_shortened(ast.unparse(node))} is not allowed there; {self._grammar.described}"
        )

    def _leaf(self, node: ast.expr) -> Expression | None:
        """Return a number, a constant or a name; None for anything else."""
        place = self._places.get((node.lineno, node.col_offset))
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=float() as value)) if (
                place is not None
            ):
                return Expression("number", value=-value, literal=place)
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return Expression("number", value=self._number(node, value), literal=place)
            case ast.Name(id=name):
                if name not in self._names:
                    raise self._refused(node, f"{name} is used before it is assigned")
                return Expression("name", name=name)
            case ast.Attribute() if (name := _dotted(node)) in self._grammar.constants:
                return Expression(name, value=self._grammar.constants[name])
        return None

    def _number(self, node: ast.expr, value: float) -> float:
        try:
            value = float(value)  # integers of Python would be exact, and grow without bound
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise self._refused(node, "every number must be finite")
        return value

    def _refused(self, node: ast.stmt | ast.expr, reason: str) -> CandidateOutputError:
        line = self._lines[node.lineno - 1 : node.lineno] or [""]
        return CandidateOutputError(f"line {node.lineno} ({_shortened(line[0].strip())}): {reason}")


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_function(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == name


def _dotted(node: ast.expr) -> str:
    """Return the name that "exp" or "math.exp" is; "" for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            return f"{module}.{name}"
    return ""


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
