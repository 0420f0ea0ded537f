"""Where a fragment can be edited: its expressions, its statements, and what is in scope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import libcst as cst

from evolver.operators.genetic.fragment import Fragment
from evolver.operators.genetic.kinds import INTEGER, NUMBER, Kinds
from evolver.operators.genetic.tree import Operand, Path, at, operands
from evolver.operators.genetic.writing import number


@dataclass(frozen=True, slots=True)
class Site:
    """An expression that may be edited.

    Attributes:
        path: from the fragment's module.
        node: the expression.
        floor: how tightly its replacement must bind, see `writing.placed`.
        kind: what it seems to be, or what its place seems to want.
        names: the variables in scope.
        line: path of the statement before which an intermediate can be assigned, or None.
    """

    path: Path
    node: cst.BaseExpression
    floor: int
    kind: int
    names: tuple[str, ...]
    line: Path | None


@dataclass(frozen=True, slots=True)
class Line:
    """A statement that stands on a line, or on lines, of its own."""

    path: Path  # ends with its position in the suite
    node: cst.BaseStatement
    names: tuple[str, ...]  # the variables in scope before it
    function: str  # qualified name of the function that it stands in, "" at the top level
    is_in_loop: bool


@dataclass(frozen=True)
class Survey:
    """Everything that an edit may choose from, in reading order."""

    sites: tuple[Site, ...]
    lines: tuple[Line, ...]
    functions: Mapping[str, Path]  # qualified name -> path
    kinds: Kinds
    taken: frozenset[str]  # names that the file uses

    def fresh_name(self, also_taken: Iterable[str] = ()) -> str:
        """Return the first of t1, t2, ... that the file does not use."""
        taken = self.taken.union(also_taken)
        number = 1
        while f"t{number}" in taken:
            number += 1
        return f"t{number}"


@dataclass
class _Scope:
    """The state of the walk inside one function, class or top level."""

    names: dict[str, None]
    function: str = ""
    is_class: bool = False
    in_loop: bool = False
    line: Path | None = None
    visible: tuple[str, ...] | None = None  # the names as a tuple, until one is bound

    def in_scope(self) -> tuple[str, ...]:
        if self.visible is None:
            self.visible = tuple(self.names)
        return self.visible

    def bind(self, name: str) -> None:
        if name not in self.names:
            self.names[name] = None
            self.visible = None

    def restore(self, names: dict[str, None]) -> None:
        self.names, self.visible = names, None


@dataclass
class _Walk:
    """One pass over a fragment."""

    fragment: Fragment
    kinds: Kinds = field(default_factory=Kinds)
    sites: list[Site] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    functions: dict[str, Path] = field(default_factory=dict)

    # -- statements ------------------------------------------------------------------------------

    def body(self, body: cst.CSTNode, path: Path, scope: _Scope) -> None:
        """Visit a suite or the top level; statements on their head's line are no lines."""
        if isinstance(body, cst.SimpleStatementSuite):
            scope.line = None
            for i, small in enumerate(body.body):
                self.small(small, (*path, "body", i), scope)
            return
        assert isinstance(body, cst.IndentedBlock | cst.Module)
        for i, statement in enumerate(body.body):
            here = (*path, "body", i)
            scope.line = None if scope.is_class else here
            if isinstance(statement, cst.BaseStatement):
                line = Line(here, statement, scope.in_scope(), scope.function, scope.in_loop)
                self.lines.append(line)
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
            case cst.With():
                self.body(node.body, (*path, "body"), scope)
            case cst.Try() | cst.TryStar() | cst.Match():
                for inner_path, suite in _suites(node):
                    self.nested(suite, (*path, *inner_path), scope)

    def function(self, node: cst.FunctionDef, path: Path, scope: _Scope) -> None:
        separator = "." if scope.function and not scope.is_class else ""
        name = f"{scope.function}{separator}{node.name.value}"
        self.functions.setdefault(name, path)
        names = dict.fromkeys(self.fragment.around.shared)
        if not scope.is_class:
            names.update(scope.names)
        parameters = node.params
        for group in (parameters.posonly_params, parameters.params, parameters.kwonly_params):
            for parameter in group:
                if parameter.name.value not in ("self", "cls"):
                    names[parameter.name.value] = None
                self.kinds.annotate(parameter)
        self.body(node.body, (*path, "body"), _Scope(names, name))

    def branch(self, node: cst.If | cst.While | cst.For, path: Path, scope: _Scope) -> None:
        """Visit a statement of which parts may not run: what only they bind is not bound after."""
        in_loop, line = scope.in_loop, scope.line
        if isinstance(node, cst.While):
            scope.line = None  # its test runs at every turn, a line above it only once
        for operand in operands(node):
            self.operand(node, operand, path, 0, scope)
        before = dict(scope.names)
        if isinstance(node, cst.For):
            self.loop_target(node.target, node.iter, scope)
        scope.in_loop = in_loop or not isinstance(node, cst.If)
        self.body(node.body, (*path, "body"), scope)
        scope.in_loop = in_loop
        bound_in_body = scope.names
        scope.restore(dict(before))
        scope.line = line
        if isinstance(node.orelse, cst.If):
            self.branch(node.orelse, (*path, "orelse"), scope)
        elif node.orelse is not None:
            self.body(node.orelse.body, (*path, "orelse", "body"), scope)
        if isinstance(node, cst.If) and node.orelse is not None:
            both = {name: None for name in bound_in_body if name in scope.names}
            scope.restore({**before, **both})
        else:
            scope.restore(before)

    def nested(self, body: cst.CSTNode, path: Path, scope: _Scope) -> None:
        before = dict(scope.names)
        self.body(body, path, scope)
        scope.restore(before)

    def loop_target(self, target: cst.CSTNode, source: cst.CSTNode, scope: _Scope) -> None:
        called = ""
        if isinstance(source, cst.Call) and isinstance(source.func, cst.Name):
            called = source.func.value
        if called == "range":
            self.kinds.mark(target, INTEGER)
        if called == "enumerate" and isinstance(target, cst.Tuple) and target.elements:
            self.kinds.mark(target.elements[0].value, INTEGER)
        self.bind(target, scope, 0)

    def small(self, node: cst.CSTNode, path: Path, scope: _Scope) -> None:
        """Visit a statement without a suite."""
        if isinstance(node, cst.Expr) and not isinstance(node.value, cst.Call):
            return  # a docstring, a yield or an await
        kind = 0
        for operand in operands(node):
            kind = self.operand(node, operand, path, 0, scope)
        match node:
            case cst.Assign():
                for target in node.targets:
                    self.bind(target.target, scope, kind)
            case cst.AnnAssign():
                self.bind(node.target, scope, kind)
            case cst.AugAssign():
                self.kinds.mark(node.target, kind & NUMBER)

    def bind(self, target: cst.CSTNode, scope: _Scope, kind: int) -> None:
        if isinstance(target, cst.Name):
            scope.bind(target.value)
            self.kinds.mark(target, kind)
        elif isinstance(target, cst.Tuple | cst.List):
            for element in target.elements:
                self.bind(element.value, scope, 0)

    # -- expressions -----------------------------------------------------------------------------

    def operand(
        self, parent: cst.CSTNode, operand: Operand, above: Path, inherited: int, scope: _Scope
    ) -> int:
        """Visit an operand of the node at `above`, and what is under it; return its kind."""
        step, node, floor = operand
        path = (*above, *step)
        wanted = self.kinds.wanted(parent, step, node, inherited)
        line, names = scope.line, scope.names
        if _may_be_skipped(parent, step):
            scope.line = None
        here = scope.line
        if type(node) in _OPEN_SCOPES:
            scope.line = None
            scope.restore({**names, **dict.fromkeys(_bound_inside(node))})
        below: list[int] = []
        if number(node) is None:
            below = [self.operand(node, each, path, wanted, scope) for each in operands(node)]
        if scope.names is not names:
            scope.restore(names)
        scope.line = line
        kind = self.kinds.of(node, below)
        if _is_editable(node) and not _is_named(parent, step):
            self.sites.append(Site(path, node, floor, kind or wanted, scope.in_scope(), here))
        return kind


def _suites(node: cst.CSTNode) -> Iterable[tuple[Path, cst.CSTNode]]:
    if isinstance(node, cst.Match):
        paths: list[Path] = [("cases", i, "body") for i in range(len(node.cases))]
    elif isinstance(node, cst.Try | cst.TryStar):
        paths = [("body",), *(("handlers", i, "body") for i in range(len(node.handlers)))]
        paths += [(name, "body") for name in ("orelse", "finalbody") if at(node, (name,))]
    else:
        paths = []
    for path in paths:
        yield path, at(node, path)


def _may_be_skipped(parent: cst.CSTNode, step: Path) -> bool:
    """May the operand not be evaluated when its parent is?"""
    if type(parent) is cst.BooleanOperation:
        return step == ("right",)
    return type(parent) is cst.IfExp and step != ("test",)


def _is_named(parent: cst.CSTNode, step: Path) -> bool:
    """Is the operand what is called, or what an attribute is taken of?"""
    return step == ("func",) or type(parent) is cst.Attribute


_NEVER_EDITED = frozenset(
    (
        *(cst.Tuple, cst.GeneratorExp, cst.NamedExpr, cst.Yield, cst.Await, cst.Ellipsis),
        *(cst.SimpleString, cst.ConcatenatedString, cst.FormattedString),
    )
)
_OPEN_SCOPES = frozenset((cst.Lambda, cst.ListComp, cst.SetComp, cst.DictComp, cst.GeneratorExp))


def _is_editable(node: cst.BaseExpression) -> bool:
    if type(node) is cst.Name:
        return node.value not in ("None", "self", "cls")
    return type(node) not in _NEVER_EDITED


def _bound_inside(node: cst.CSTNode) -> list[str]:
    if isinstance(node, cst.Lambda):
        return [parameter.name.value for parameter in node.params.params]
    found: list[str] = []
    loop: cst.CompFor | None = node.for_in if isinstance(node, cst.BaseComp) else None
    while loop is not None:
        elements = loop.target.elements if isinstance(loop.target, cst.Tuple) else ()
        for each in (loop.target, *(element.value for element in elements)):
            if isinstance(each, cst.Name):
                found.append(each.value)
        loop = loop.inner_for_in
    return found


def survey(fragment: Fragment) -> Survey:
    """Walk a fragment once and return what can be edited in it."""
    walk = _Walk(fragment)
    names = dict.fromkeys(fragment.around.shared if fragment.is_in_function else ())
    scope = _Scope({**names, **dict.fromkeys(fragment.around.visible)})
    walk.body(at(fragment.module, fragment.root), fragment.root, scope)
    kinds = walk.kinds
    sites = [
        site
        if site.kind or not isinstance(site.node, cst.Name)
        else Site(site.path, site.node, site.floor, kinds.of(site.node), site.names, site.line)
        for site in walk.sites
    ]
    taken = fragment.around.taken.union(kinds.marks, *(site.names for site in sites[-1:]))
    taken = taken.union(name for line in walk.lines for name in line.names)
    return Survey(tuple(sites), tuple(walk.lines), walk.functions, kinds, taken)
