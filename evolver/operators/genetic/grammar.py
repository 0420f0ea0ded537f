"""What may be inserted: operators, functions, constants, variables, and trees of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import libcst as cst

from evolver.errors import UsageError
from evolver.operators.genetic.inference import DIVISIONS, zero_of
from evolver.operators.genetic.kinds import (
    INTEGER,
    NUMBER,
    REAL,
    SEQUENCE,
    TEXT,
    TRUTH,
    Names,
    fitting,
)
from evolver.operators.genetic.reads import readable
from evolver.operators.genetic.survey import Site, Survey
from evolver.operators.genetic.tree import BINARY, BOOLEAN, COMPARISONS, symbol, walk
from evolver.operators.genetic.writing import join, key, literal, number

_PURE = frozenset(
    [
        "abs",
        "all",
        "any",
        "bool",
        "complex",
        "divmod",
        "enumerate",
        "float",
        "int",
        "isinstance",
        "len",
        "list",
        "max",
        "min",
        "ord",
        "pow",
        "range",
        "reversed",
        "round",
        "set",
        "sorted",
        "str",
        "sum",
        "tuple",
        "zip",
    ]
)
_PURE_MODULES = ("math", "cmath")


@dataclass(frozen=True)
class Function:
    """A callable that may be inserted."""

    name: str  # as it is called: "math.sqrt"
    takes: tuple[int, ...]  # the kind of each argument
    gives: int


def parse_functions(texts: Iterable[str]) -> tuple[Function, ...]:
    """Parse settings such as "math.sqrt" or "max/2": functions of numbers.

    Raises:
        UsageError: a text is not a dotted name with an optional arity after a slash.
    """
    functions = []
    for text in texts:
        name, slash, arity = text.partition("/")
        if not all(part.isidentifier() for part in name.split(".")) or (
            slash and (not arity.isdigit() or int(arity) < 1)
        ):
            raise UsageError(
                f'functions: "{text}" is no callable; write its name and, if it takes more than '
                'one argument, how many, as in "math.sqrt" or "max/2"'
            )
        functions.append(Function(name, (NUMBER,) * int(arity or 1), NUMBER))
    return tuple(functions)


@dataclass(frozen=True)
class Grammar:
    """What edits may insert. Where the task says nothing, `derive` takes it from the program."""

    binary: tuple[str, ...]
    comparisons: tuple[str, ...]
    boolean: tuple[str, ...]
    functions: tuple[Function, ...]
    constants: tuple[float, ...] = ()
    floats: bool = True  # are new numbers floats, where both kinds are possible?
    control: bool = True  # may `if` be inserted, and statements be moved, deleted, repeated?

    def arithmetic(self, kind: int) -> tuple[str, ...]:
        """Return the binary operators that may give this kind."""
        if kind == INTEGER:
            return tuple(op for op in self.binary if op not in ("/", "**", "@"))
        return tuple(op for op in self.binary if op not in ("<<", ">>", "&", "|", "^"))

    def constant(self, rng: Random, kind: int = NUMBER) -> cst.BaseExpression:
        """Return a new number."""
        if kind == TRUTH:
            return literal(rng.random() < 0.5)
        if kind != INTEGER and self.constants:
            return literal(rng.choice(self.constants))
        if kind == INTEGER or (kind != REAL and not self.floats):
            return literal(rng.choice((1, 1, 1, 2, 2, 3, 0, -1)))
        magnitude = float(f"{10 ** rng.gauss(0.0, 0.7):.3g}")
        return literal(-magnitude if rng.random() < 0.3 else magnitude)

    def leaf(self, rng: Random, survey: Survey, site: Site, kind: int) -> cst.BaseExpression:
        """Return a variable in scope at `site`, or a constant."""
        found: list[cst.BaseExpression] = [cst.Name(name) for name in fitting(site.names, kind)]
        found += readable(survey, site, kind, rng)
        if not found and kind & REAL:  # a variable that the program never reads may be a number
            found = [cst.Name(name) for name, each in site.names.items() if not each.is_known]
        if found and rng.random() < 0.6:
            return rng.choice(found)
        return self.constant(rng, kind)

    def tree(
        self, rng: Random, survey: Survey, site: Site, kind: int, depth: int = 2
    ) -> cst.BaseExpression:
        """Grow a random expression with at most `depth` nested operators."""
        if depth == 0 or kind & (SEQUENCE | TEXT) or rng.random() < 0.25:
            return self.leaf(rng, survey, site, kind)
        if kind == TRUTH:
            return self.condition(rng, survey, site) or self.leaf(rng, survey, site, kind)
        functions = tuple(f for f in self.functions if f.gives & kind or not f.gives)
        operators = self.arithmetic(kind)
        if functions and (not operators or rng.random() < 0.25):
            function = rng.choice(functions)
            arguments = [self.tree(rng, survey, site, k, depth - 1) for k in function.takes]
            return call(function.name, arguments)
        if not operators:
            return self.leaf(rng, survey, site, kind)
        left = self.tree(rng, survey, site, kind, depth - 1)
        right = self.tree(rng, survey, site, kind, depth - 1)
        return self.joined(rng, left, operators, right, site.names)

    def joined(
        self,
        rng: Random,
        left: cst.BaseExpression,
        operators: Sequence[str],
        right: cst.BaseExpression,
        names: Names,
    ) -> cst.BaseExpression:
        """Join two expressions by one of `operators`, not into `e - e`, `e / e` or `e / 0`."""
        if key(left) == key(right):
            operators = [op for op in operators if op in ("+", "*")] or operators
        if may_be_zero(right, names):
            operators = [op for op in operators if op not in DIVISIONS] or operators
        operator = rng.choice(operators)
        value = number(right)
        opposite = {"+": "-", "-": "+"}.get(operator, "")
        if value is not None and value < 0 and opposite in self.binary:
            return join(left, opposite, literal(-value))
        return join(left, operator, right)

    def condition(self, rng: Random, survey: Survey, site: Site) -> cst.BaseExpression | None:
        """Return a comparison of variables in scope; None where comparisons may not be inserted."""
        names = fitting(site.names, NUMBER)
        if not self.comparisons or not names:
            return None
        left = cst.Name(rng.choice(names))
        kind = site.names[left.value].kind
        right = self.leaf(rng, survey, site, NUMBER)
        if key(left) == key(right) or (kind == INTEGER and isinstance(right, cst.Float)):
            right = self.constant(rng, kind)
        target = cst.ComparisonTarget(COMPARISONS[rng.choice(self.comparisons)](), right)
        return cst.Comparison(left, [target])

    def is_pure(self, node: cst.CSTNode) -> bool:
        """Can the expression be moved, repeated and dropped without an effect?"""
        for part in walk(node):
            if isinstance(part, cst.Call):
                name = key(part.func)
                root, _, rest = name.partition(".")
                if name in _PURE or (rest and root in _PURE_MODULES):
                    continue
                return False
            if isinstance(part, cst.Await | cst.Yield | cst.NamedExpr | cst.Lambda):
                return False
        return True


def may_be_zero(node: cst.BaseExpression, names: Names) -> bool:
    """Is it 0 often, as the first value of a range is?"""
    match node:
        case cst.Name(value=name):
            return name in names and names[name].root.may_be_zero
        case cst.BinaryOperation():
            left, right = (may_be_zero(each, names) for each in (node.left, node.right))
            return zero_of(symbol(node.operator), left, right)
    return number(node) == 0


def call(name: str, arguments: Iterable[cst.BaseExpression]) -> cst.Call:
    """Return a call of a dotted name."""
    first, *rest = name.split(".")
    function: cst.BaseExpression = cst.Name(first)
    for part in rest:
        function = cst.Attribute(function, cst.Name(part))
    return cst.Call(function, [cst.Arg(argument) for argument in arguments])


_NEVER_INSERTED = frozenset(
    ["print", "input", "open", "exec", "eval", "exit", "range", "super", "isinstance"]
)


def _called(surveys: Iterable[Survey]) -> tuple[Function, ...]:
    """Return the functions that the program calls with positional arguments, with their kinds."""
    found: dict[tuple[str, int], Function] = {}
    for survey in surveys:
        by_path = {site.path: site for site in survey.sites}
        own = {name.rpartition(".")[2] for name in survey.functions}
        for site in survey.sites:
            node = site.node
            if not isinstance(node, cst.Call) or not node.args:
                continue
            name = key(node.func)
            dotted = all(part.isidentifier() for part in name.split("."))
            if not dotted or name.split(".")[0] in {*survey.kinds, *own, *_NEVER_INSERTED}:
                continue
            if any(argument.star or argument.keyword for argument in node.args):
                continue
            inner = [by_path.get((*site.path, "args", i, "value")) for i in range(len(node.args))]
            takes = tuple(each.wants if each else 0 for each in inner)
            if site.kind & NUMBER and all(each & NUMBER for each in takes):
                found.setdefault((name, len(takes)), Function(name, takes, site.kind))
    return tuple(found.values())


def derive(
    surveys: Sequence[Survey],
    operators: Sequence[str],
    functions: Sequence[Function] | None,
    constants: Sequence[float],
    statements: bool,
    tune: bool,
) -> Grammar:
    """Return what may be inserted into a program.

    Args:
        surveys: of all its fragments.
        operators: those that the task allows; empty means + - * / and those of the program, and
            all comparisons if the program has any decision.
        functions: those that the task allows; None means those that the program calls.
        constants: the only floats that may be inserted; empty means any.
        statements: may statements be inserted under conditions, moved, deleted, repeated?
        tune: will a tuner fit the floats? Then new numbers are floats.
    """
    used: dict[str, None] = {}
    floats = tune
    for survey in surveys:
        for site in survey.sites:
            node = site.node
            if isinstance(node, cst.BinaryOperation | cst.BooleanOperation):
                used[symbol(node.operator)] = None
            floats = floats or site.kind == REAL or isinstance(node, cst.Float)
    if operators:
        binary = tuple(op for op in operators if op in BINARY)
        comparisons = tuple(op for op in operators if op in COMPARISONS)
        boolean = tuple(op for op in operators if op in BOOLEAN)
    else:
        binary = tuple(op for op in BINARY if op in used or op in ("+", "-", "*"))
        if "/" not in binary:
            binary = (*binary, "/")
        decides = any(
            isinstance(line.node, cst.If | cst.While | cst.For)
            for survey in surveys
            for line in survey.lines
        ) or any(
            isinstance(site.node, cst.Comparison | cst.IfExp)
            for survey in surveys
            for site in survey.sites
        )
        comparisons = tuple(COMPARISONS) if decides else ()
        boolean = tuple(BOOLEAN) if decides else ()
    if functions is None:
        functions = _called(surveys)
    return Grammar(
        binary,
        comparisons,
        boolean,
        tuple(functions),
        tuple(float(value) for value in constants),
        floats,
        statements,
    )
