"""Where a fragment can be edited: its expressions and statements, what is in scope, which kinds.

Python has no static types, and most expressions put in a random place raise. So the survey guesses
the kind of every name from how the program uses it (subscripted, multiplied by a float, compared,
...), and edits put like for like. What nothing is known of fits everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import libcst as cst

from evolver.operators.genetic.fragment import Fragment
from evolver.operators.genetic.tree import LAMBDA, Path, at, binding, operands, symbol

# Kinds are sets of bits; 0 is "nothing known".
INTEGER, REAL, TRUTH, TEXT, SEQUENCE = 1, 2, 4, 8, 16
NUMBER = INTEGER | REAL
_SEEN_AS_NUMBER = 32  # a mark on names only: used in arithmetic, integer or not

_RESULTS = {
    **dict.fromkeys(("len", "int", "ord", "round", "id", "hash"), INTEGER),
    **dict.fromkeys(("float", "divmod", "complex"), REAL),
    **dict.fromkeys(("bool", "any", "all", "isinstance", "callable", "hasattr"), TRUTH),
    **dict.fromkeys(("str", "repr", "chr", "format", "input"), TEXT),
    **dict.fromkeys(
        ("list", "tuple", "sorted", "range", "enumerate", "zip", "reversed", "set", "dict"),
        SEQUENCE,
    ),
}
_TAKE_SEQUENCES = ("len", "sum", "sorted", "list", "tuple", "reversed", "enumerate", "set", "any")
_LIKE_THEIR_ARGUMENT = ("abs", "min", "max", "pow")


@dataclass(frozen=True, slots=True)
class Site:
    """An expression that may be edited.

    Attributes:
        path: from the fragment's module.
        floor: how tightly its replacement must bind, see `tree.placed`.
        kind: what it seems to be, or what its place seems to want.
        names: the variables in scope.
        line: path of the statement before which an intermediate can be assigned, or None.
        depth: number of operators above it in its statement.
    """

    path: Path
    node: cst.BaseExpression
    floor: int
    kind: int
    names: tuple[str, ...]
    line: Path | None
    depth: int


@dataclass(frozen=True, slots=True)
class Line:
    """A statement that stands on a line, or on lines, of its own."""

    path: Path  # ends with its position in the suite
    node: cst.BaseStatement
    names: tuple[str, ...]  # the variables in scope before it
    function: str  # qualified name of the function that it stands in, "" at the top level
    is_in_loop: bool
    siblings: int  # statements in its suite, itself among them


@dataclass(frozen=True)
class Survey:
    """Everything that an edit may choose from, in reading order."""

    sites: tuple[Site, ...]
    lines: tuple[Line, ...]
    functions: Mapping[str, Path]  # qualified name -> path
    marks: Mapping[str, int]
    taken: frozenset[str]

    def kind_of(self, name: str) -> int:
        """Return the kind of a variable."""
        return _resolved(self.marks.get(name, 0))

    def fitting(self, names: Iterable[str], kind: int) -> tuple[str, ...]:
        """Return the names that may stand where `kind` is wanted."""
        if not kind:
            return tuple(names)
        return tuple(name for name in names if not (have := self.kind_of(name)) or have & kind)

    def fresh_name(self) -> str:
        """Return the first of t1, t2, ... that the file does not use."""
        number = 1
        while f"t{number}" in self.taken:
            number += 1
        return f"t{number}"


def _resolved(marks: int) -> int:
    kind = marks & ~_SEEN_AS_NUMBER
    if kind & NUMBER == 0 and marks & _SEEN_AS_NUMBER:
        kind |= NUMBER
    return kind & ~INTEGER if kind & NUMBER == NUMBER and marks & REAL else kind


@dataclass
class _Scope:
    """The state of the walk inside one function."""

    names: dict[str, None]
    function: str = ""
    is_class: bool = False
    in_loop: bool = False
    line: Path | None = None


@dataclass
class _Walk:
    """One pass over a fragment; `marks` grow while it goes."""

    fragment: Fragment
    sites: list[Site] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    functions: dict[str, Path] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    stored: dict[str, None] = field(default_factory=dict)
    _visible: tuple[tuple[int, tuple[str, ...]], ...] = ()

    def mark(self, node: cst.CSTNode, kind: int) -> None:
        if isinstance(node, cst.Name):
            self.marks[node.value] = self.marks.get(node.value, 0) | kind

    # -- statements ------------------------------------------------------------------------------

    def suite(self, statements: Iterable[cst.CSTNode], path: Path, scope: _Scope) -> None:
        """Visit the statements of an indented suite or of the top level."""
        statements = list(statements)
        for i, statement in enumerate(statements):
            here = (*path, "body", i)
            scope.line = None if scope.is_class else here
            if isinstance(statement, cst.BaseStatement):
                self.lines.append(
                    Line(
                        here,
                        statement,
                        tuple(scope.names),
                        scope.function,
                        scope.in_loop,
                        len(statements),
                    )
                )
            self.statement(statement, here, scope)

    def statement(self, node: cst.CSTNode, path: Path, scope: _Scope) -> None:
        match node:
            case cst.SimpleStatementLine():
                for i, small in enumerate(node.body):
                    self.small(small, (*path, "body", i), scope)
            case cst.FunctionDef():
                self.function(node, path, scope)
            case cst.ClassDef():
                inner = _Scope({}, f"{scope.function}{node.name.value}.", is_class=True)
                self.body(node.body, (*path, "body"), inner)
            case cst.If() | cst.While() | cst.For():
                self.branch(node, path, scope)
            case cst.With() | cst.Try():
                for name in ("body", "handlers", "orelse", "finalbody"):
                    part = getattr(node, name, None)
                    parts = part if isinstance(part, list | tuple) else [part]
                    for i, each in enumerate(parts):
                        step: Path = (name, i) if isinstance(part, list | tuple) else (name,)
                        if each is None:
                            continue
                        if isinstance(each, cst.BaseSuite):
                            self.body(each, (*path, *step), scope)
                        else:
                            self.nested(each.body, (*path, *step, "body"), scope)
            case cst.Match():
                for i, case in enumerate(node.cases):
                    self.nested(case.body, (*path, "cases", i, "body"), scope)

    def function(self, node: cst.FunctionDef, path: Path, scope: _Scope) -> None:
        name = f"{scope.function}{node.name.value}"
        if scope.function and not scope.is_class:
            name = f"{scope.function}.{node.name.value}"
        self.functions.setdefault(name, path)
        names = dict.fromkeys(self.fragment.shared)
        if not scope.is_class:
            names.update(scope.names)
        parameters = node.params
        for group in (parameters.posonly_params, parameters.params, parameters.kwonly_params):
            for parameter in group:
                if parameter.name.value not in ("self", "cls"):
                    names[parameter.name.value] = None
                self.annotated(parameter)
                if parameter.default is not None:
                    self.mark(parameter.name, self.literal_kind(parameter.default))
        self.body(node.body, (*path, "body"), _Scope(names, name))

    def annotated(self, parameter: cst.Param) -> None:
        annotation = parameter.annotation
        if annotation is not None and isinstance(annotation.annotation, cst.Name):
            kinds = {"int": INTEGER, "float": REAL, "bool": TRUTH, "str": TEXT, "list": SEQUENCE}
            self.mark(parameter.name, kinds.get(annotation.annotation.value, 0))

    def literal_kind(self, node: cst.BaseExpression) -> int:
        match node:
            case cst.Integer():
                return INTEGER
            case cst.Float():
                return REAL
            case cst.SimpleString() | cst.FormattedString() | cst.ConcatenatedString():
                return TEXT
            case cst.Name(value="True" | "False"):
                return TRUTH
        return 0

    def branch(self, node: cst.If | cst.While | cst.For, path: Path, scope: _Scope) -> None:
        was_in_loop, line = scope.in_loop, scope.line
        if isinstance(node, cst.For):
            self.expression(node.iter, (*path, "iter"), LAMBDA, SEQUENCE, scope, 0)
            self.loop_target(node.target, node.iter, scope)
        else:
            if isinstance(node, cst.While):
                scope.line = None  # its test runs at every turn, a line above it only once
            self.expression(node.test, (*path, "test"), LAMBDA, TRUTH, scope, 0)
        before = dict(scope.names)
        scope.in_loop = was_in_loop or not isinstance(node, cst.If)
        self.body(node.body, (*path, "body"), scope)
        scope.in_loop = was_in_loop
        in_body, scope.names = scope.names, dict(before)
        scope.line = line
        if isinstance(node.orelse, cst.If):
            self.branch(node.orelse, (*path, "orelse"), scope)
        elif node.orelse is not None:
            self.body(node.orelse.body, (*path, "orelse", "body"), scope)
        if isinstance(node, cst.If) and node.orelse is not None:
            both = {name: None for name in in_body if name in scope.names}
            scope.names = {**before, **both}
        else:
            scope.names = before

    def loop_target(
        self, target: cst.BaseExpression, source: cst.BaseExpression, scope: _Scope
    ) -> None:
        called = (
            source.func.value
            if isinstance(source, cst.Call) and isinstance(source.func, cst.Name)
            else ""
        )
        if called == "range":
            self.mark(target, INTEGER)
        if called == "enumerate" and isinstance(target, cst.Tuple) and target.elements:
            self.mark(target.elements[0].value, INTEGER)
        self.bind(target, scope, 0)

    def nested(self, body: cst.BaseSuite, path: Path, scope: _Scope) -> None:
        """Visit a suite that may not run: what it binds is not in scope after it."""
        before = dict(scope.names)
        self.body(body, path, scope)
        scope.names = before

    def body(self, body: cst.BaseSuite | cst.CSTNode, path: Path, scope: _Scope) -> None:
        if isinstance(body, cst.IndentedBlock):
            self.suite(body.body, path, scope)
        elif isinstance(body, cst.SimpleStatementSuite):
            scope.line = None
            for i, small in enumerate(body.body):
                self.small(small, (*path, "body", i), scope)

    def small(self, node: cst.CSTNode, path: Path, scope: _Scope) -> None:
        """Visit a statement without a suite."""
        if isinstance(node, cst.Expr) and not isinstance(node.value, cst.Call):
            return  # a docstring, a yield or an await
        wanted = 0
        if isinstance(node, cst.AugAssign) and symbol(node.operator) not in ("", "@"):
            wanted = self.kind(node.target)
        if isinstance(node, cst.Assert):
            wanted = TRUTH
        kind = 0
        for operand in operands(node):
            here = (*path, *operand.path)
            own = operand.path == ("value",)
            kind = self.operand(
                operand.node, here, operand.floor, wanted if own else 0, node, operand.path, scope
            )
        match node:
            case cst.Assign():
                for target in node.targets:
                    self.bind(target.target, scope, kind)
            case cst.AnnAssign():
                self.bind(node.target, scope, kind)
            case cst.AugAssign():
                if isinstance(node.target, cst.Name):
                    numeric = _SEEN_AS_NUMBER if kind & NUMBER and kind != SEQUENCE else 0
                    self.mark(node.target, kind & REAL and REAL | numeric)
                    self.stored[node.target.value] = None

    def bind(self, target: cst.BaseExpression, scope: _Scope, kind: int) -> None:
        match target:
            case cst.Name():
                scope.names[target.value] = None
                self.stored[target.value] = None
                self.mark(target, kind if kind != NUMBER else _SEEN_AS_NUMBER)
            case cst.Tuple() | cst.List():
                for element in target.elements:
                    self.bind(element.value, scope, 0)

    # -- expressions -----------------------------------------------------------------------------

    def operand(
        self,
        node: cst.BaseExpression,
        path: Path,
        floor: int,
        wanted: int,
        parent: cst.CSTNode,
        step: Path,
        scope: _Scope,
        depth: int = 0,
    ) -> int:
        """Visit an operand after reading off its parent what is wanted there."""
        line = scope.line
        match parent:
            case cst.BinaryOperation() if symbol(parent.operator) != "@":
                self.mark(node, _SEEN_AS_NUMBER)
                wanted = wanted or NUMBER
            case cst.UnaryOperation():
                wanted = TRUTH if isinstance(parent.operator, cst.Not) else NUMBER
            case cst.BooleanOperation():
                wanted = TRUTH
                if step == ("right",):
                    scope.line = None  # it may not be evaluated
            case cst.IfExp():
                wanted = TRUTH if step == ("test",) else wanted
                if step != ("test",):
                    scope.line = None
            case cst.Call(func=cst.Name(value=name)):
                if name == "range":
                    self.mark(node, INTEGER)
                    wanted = INTEGER
                elif name in _TAKE_SEQUENCES:
                    self.mark(node, SEQUENCE)
                    wanted = SEQUENCE
                elif name in _LIKE_THEIR_ARGUMENT and len(parent.args) > 1:
                    wanted = NUMBER
            case cst.Call(func=cst.Attribute(value=cst.Name(value="math"))):
                self.mark(node, _SEEN_AS_NUMBER)
                wanted = NUMBER
            case cst.Subscript() | cst.Assign() | cst.AugAssign() if "slice" in step:
                self.mark(node, INTEGER)
                wanted = INTEGER
            case cst.Subscript() | cst.Assign() | cst.AugAssign() if step[-2:] != ("value",):
                if step[-1] == "value" and step[0] in ("value", "target", "targets"):
                    if len(step) > 1 or isinstance(parent, cst.Subscript):
                        self.mark(node, SEQUENCE)
                        wanted = SEQUENCE
        kind = self.expression(node, path, floor, wanted, scope, depth)
        scope.line = line
        return kind

    def expression(
        self,
        node: cst.BaseExpression,
        path: Path,
        floor: int,
        wanted: int,
        scope: _Scope,
        depth: int,
    ) -> int:
        """Visit an expression and what is under it; return its kind."""
        line, names = scope.line, scope.names
        if isinstance(node, cst.BaseComp | cst.Lambda):
            scope.line = None
            scope.names = {**names, **dict.fromkeys(_bound_inside(node))}
        kinds = []
        literal_number = isinstance(node, cst.UnaryOperation) and isinstance(
            node.expression, cst.Integer | cst.Float
        )
        if not literal_number:
            inner = wanted if isinstance(node, cst.BinaryOperation | cst.IfExp) else 0
            for operand in operands(node):
                kinds.append(
                    self.operand(
                        operand.node,
                        (*path, *operand.path),
                        operand.floor,
                        inner & NUMBER,
                        node,
                        operand.path,
                        scope,
                        depth + 1,
                    )
                )
        scope.line, scope.names = line, names
        kind = self.kind(node, kinds)
        if kind & REAL and isinstance(node, cst.BinaryOperation) and kind == REAL:
            for side in (node.left, node.right):
                if self.kind(side) in (0, NUMBER):
                    self.mark(side, REAL)
        if _is_editable(node):
            self.sites.append(
                Site(path, node, floor, kind or wanted, self.visible(scope), line, depth)
            )
        return kind

    def visible(self, scope: _Scope) -> tuple[str, ...]:
        return tuple(scope.names)

    def kind(self, node: cst.BaseExpression, kinds: list[int] | None = None) -> int:
        """Guess the kind of an expression from those of its operands."""
        match node:
            case cst.Name(value="True" | "False"):
                return TRUTH
            case cst.Name():
                return _resolved(self.marks.get(node.value, 0))
            case cst.BinaryOperation():
                left, right = kinds or (self.kind(node.left), self.kind(node.right))
                if (left | right) & TEXT:
                    return TEXT
                if left == SEQUENCE or right == SEQUENCE:
                    return SEQUENCE
                if symbol(node.operator) == "/" or REAL in (left, right):
                    return REAL
                return INTEGER if left == right == INTEGER else NUMBER
            case cst.UnaryOperation():
                is_not = isinstance(node.operator, cst.Not)
                return TRUTH if is_not else (kinds or [self.kind(node.expression)])[0]
            case cst.Comparison() | cst.BooleanOperation():
                return TRUTH
            case cst.IfExp():
                return self.kind(node.body)
            case cst.Call():
                return self.call_kind(node)
            case cst.BaseComp() | cst.Tuple() | cst.List() | cst.Set() | cst.Dict():
                return SEQUENCE
        return self.literal_kind(node)

    def call_kind(self, node: cst.Call) -> int:
        match node.func:
            case cst.Name(value=name) if name in _LIKE_THEIR_ARGUMENT and node.args:
                kind = self.kind(node.args[0].value)
                return kind & NUMBER or NUMBER
            case cst.Name(value="sum"):
                return NUMBER
            case cst.Name(value=name):
                return _RESULTS.get(name, 0)
            case cst.Attribute(value=cst.Name(value="math"), attr=attribute):
                return INTEGER if attribute.value in ("floor", "ceil", "comb", "gcd") else REAL
            case cst.Attribute(value=cst.Name(value="np" | "numpy" | "torch")):
                return NUMBER | SEQUENCE
        return 0


def _is_editable(node: cst.BaseExpression) -> bool:
    match node:
        case cst.Name(value="None" | "self" | "cls"):
            return False
        case cst.Tuple() | cst.GeneratorExp() | cst.NamedExpr() | cst.Yield() | cst.Await():
            return False
        case cst.FormattedString() | cst.ConcatenatedString() | cst.SimpleString():
            return False
    return binding(node) >= LAMBDA


def _bound_inside(node: cst.BaseComp | cst.Lambda) -> list[str]:
    if isinstance(node, cst.Lambda):
        return [parameter.name.value for parameter in node.params.params]
    found: list[str] = []
    loop: cst.CompFor | None = node.for_in
    while loop is not None:
        target = loop.target
        elements = target.elements if isinstance(target, cst.Tuple) else ()
        for each in (target, *(element.value for element in elements)):
            if isinstance(each, cst.Name):
                found.append(each.value)
        loop = loop.inner_for_in
    return found


def survey(fragment: Fragment) -> Survey:
    """Walk a fragment once and return what can be edited in it."""
    walk = _Walk(fragment)
    scope = _Scope(dict.fromkeys(fragment.visible))
    if fragment.is_in_function:
        scope.names = {**dict.fromkeys(fragment.shared), **scope.names}
    walk.suite(at(fragment.module, (*fragment.root, "body")), fragment.root, scope)
    sites = tuple(
        Site(
            site.path,
            site.node,
            site.floor,
            walk.kind(site.node),
            site.names,
            site.line,
            site.depth,
        )
        if isinstance(site.node, cst.Name) and not site.kind
        else site
        for site in walk.sites
    )
    taken = fragment.taken.union(walk.stored, walk.marks)
    return Survey(sites, tuple(walk.lines), walk.functions, walk.marks, taken)
