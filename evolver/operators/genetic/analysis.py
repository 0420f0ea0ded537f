"""The survey of a fragment: passes over its statements and expressions that infer types."""

from __future__ import annotations

from dataclasses import dataclass, field

import libcst as cst

from evolver.operators.genetic.expected import Expected, expected_in, expected_in_target
from evolver.operators.genetic.fragment import Fragment
from evolver.operators.genetic.inference import Inference, augment, flow
from evolver.operators.genetic.kinds import (
    INTEGER,
    NUMBER,
    OTHER,
    REAL,
    SEQUENCE,
    TEXT,
    TRUTH,
    Type,
)
from evolver.operators.genetic.scopes import Scope, bind, sink_of
from evolver.operators.genetic.survey import Line, Site, Survey
from evolver.operators.genetic.syntax import (
    OPEN_SCOPES,
    bound_inside,
    in_order,
    is_editable,
    may_be_skipped,
    names_changed,
    names_in,
    never_goes_on,
    suites,
)
from evolver.operators.genetic.tree import Operand, Path, at, operands
from evolver.operators.genetic.writing import number

_PASSES = 2  # the first infers types, the last one lists the sites
_ANNOTATIONS = {"int": INTEGER, "float": REAL, "bool": TRUTH, "str": TEXT, "list": SEQUENCE}


@dataclass
class _Walk:
    """Passes over a fragment; each starts with the types that the passes before inferred."""

    fragment: Fragment
    inference: Inference = field(default_factory=Inference)
    tables: dict[Path, dict[str, Type]] = field(default_factory=dict)
    sites: list[Site] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    functions: dict[str, Path] = field(default_factory=dict)

    def run(self) -> None:
        around = self.fragment.around
        names = (*(around.shared if self.fragment.is_in_function else ()), *around.visible)
        for turn in range(_PASSES):
            self.inference.is_last = turn == _PASSES - 1
            self.sites, self.lines = [], []
            table = self.table(())
            scope = Scope({name: table.setdefault(name, Type()) for name in names}, table)
            self.body(at(self.fragment.module, self.fragment.root), self.fragment.root, scope)

    def table(self, path: Path) -> dict[str, Type]:
        return self.tables.setdefault(path, {})

    # -- statements ------------------------------------------------------------------------------

    def body(self, body: cst.CSTNode, path: Path, scope: Scope) -> None:
        """Visit a suite or the top level; a statement on the line of its head is no `Line`."""
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
                self.lines.append(self.read(statement, here, scope))
            self.statement(statement, here, scope)

    def read(self, node: cst.BaseStatement, path: Path, scope: Scope) -> Line:
        return Line(
            path,
            node,
            scope.in_scope(),
            scope.function,
            scope.in_loop,
            scope.table,
            scope.vital,
            scope.in_while,
        )

    def is_vital(self, node: cst.CSTNode, scope: Scope) -> bool:
        """May a statement change what the tests of the `while`s around it read?"""
        if not scope.vital or not self.inference.is_last:
            return False
        return not scope.vital.isdisjoint(names_changed(node))

    def statement(self, node: cst.CSTNode, path: Path, scope: Scope) -> None:
        match node:
            case cst.SimpleStatementLine():
                for i, small in enumerate(node.body):
                    self.small(small, (*path, "body", i), scope)
            case cst.FunctionDef():
                self.function(node, path, scope)
            case cst.ClassDef():
                function = f"{scope.function}{node.name.value}."
                self.body(node.body, (*path, "body"), Scope({}, self.table(path), function, True))
            case cst.If() | cst.While() | cst.For():
                self.branch(node, path, scope)
            case cst.With():
                self.body(node.body, (*path, "body"), scope)
            case cst.Try() | cst.TryStar() | cst.Match():
                for inner_path, suite in suites(node):
                    self.nested(suite, (*path, *inner_path), scope)

    def function(self, node: cst.FunctionDef, path: Path, scope: Scope) -> None:
        separator = "." if scope.function and not scope.is_class else ""
        name = f"{scope.function}{separator}{node.name.value}"
        self.functions.setdefault(name, path)
        shared = self.table(())
        names = {each: shared.setdefault(each, Type()) for each in self.fragment.around.shared}
        if not scope.is_class:
            names.update(scope.names)
        own, table = self.inference.function(node.name.value), self.table(path)
        parameters = node.params
        takes = []
        for group in (parameters.posonly_params, parameters.params, parameters.kwonly_params):
            for parameter in group:
                parameter_type = table.setdefault(parameter.name.value, Type())
                if parameter.name.value not in ("self", "cls"):
                    names[parameter.name.value] = parameter_type
                    takes.append(parameter_type)
                self.annotate(parameter, parameter_type)
        if not own.root.takes:
            own.root.takes = takes
        self.body(node.body, (*path, "body"), Scope(names, table, name, gives=own.result()))

    def annotate(self, parameter: cst.Param, own: Type) -> None:
        """Read a parameter's annotation and its default."""
        annotation = parameter.annotation
        if annotation is not None and isinstance(annotation.annotation, cst.Name):
            own.be(_ANNOTATIONS.get(annotation.annotation.value, 0))
        default = parameter.default
        if isinstance(default, cst.Float):
            own.be(REAL)
        elif default is not None and number(default) is not None:
            own.compute()
        elif isinstance(default, cst.Name) and default.value in ("True", "False"):
            own.be(TRUTH)
        elif isinstance(default, cst.Name) and default.value == "None":
            own.be(OTHER)

    def branch(self, node: cst.If | cst.While | cst.For, path: Path, scope: Scope) -> None:
        """Visit a conditional or a loop; after it, names of parts that may not run are unbound."""
        loop, line, vital = (scope.in_loop, scope.in_while), scope.line, scope.vital
        if isinstance(node, cst.While):
            scope.line = None  # its test runs in each iteration, a line above it only once
            expected = Expected(kind=TRUTH, is_risky=True, decides=1)
            scope.vital = vital.union(names_in(node.test))
        else:
            kind = SEQUENCE if isinstance(node, cst.For) else TRUTH
            expected = Expected(kind=kind, is_risky=self.is_vital(node, scope), decides=1)
        types = [self.operand(operand, path, expected, scope) for operand in operands(node)]
        before = dict(scope.names)
        if isinstance(node, cst.For):
            types[0].be(SEQUENCE)
            bind(self.inference, node.target, scope, types[0].item())
        if not isinstance(node, cst.If):
            scope.in_loop, scope.in_while = True, isinstance(node, cst.While)
        self.body(node.body, (*path, "body"), scope)
        (scope.in_loop, scope.in_while), scope.vital = loop, vital
        bound_in_body = scope.names
        ends = never_goes_on(node.body)
        scope.restore(dict(before))
        scope.line = line
        if isinstance(node.orelse, cst.If):
            self.branch(node.orelse, (*path, "orelse"), scope)
        elif node.orelse is not None:
            self.body(node.orelse.body, (*path, "orelse", "body"), scope)
        if isinstance(node, cst.If) and node.orelse is not None:
            both = {n: t for n, t in scope.names.items() if ends or n in bound_in_body}
            if isinstance(node.orelse, cst.Else) and never_goes_on(node.orelse.body):
                both = bound_in_body
            scope.restore({**before, **both})
        else:
            scope.restore(before)

    def nested(self, body: cst.CSTNode, path: Path, scope: Scope) -> None:
        before = dict(scope.names)
        self.body(body, path, scope)
        scope.restore(before)

    def small(self, node: cst.CSTNode, path: Path, scope: Scope) -> None:
        """Visit a statement without a suite."""
        if isinstance(node, cst.Expr) and not isinstance(node.value, cst.Call):
            return  # a docstring, a yield or an await
        sink = sink_of(self.inference, node, path, scope)
        is_risky = self.is_vital(node, scope)
        value = Type()
        for operand in operands(node):
            is_value = operand.path == ("value",)
            expected = (
                Expected(sink)
                if is_value
                else expected_in_target(self.inference, path, operand.path)
            )
            expected = expected.at_risk() if is_risky else expected
            found = self.operand(operand, path, expected, scope)
            value = found if is_value else value
        match node:
            case cst.Assign():
                for i, target in enumerate(node.targets):
                    bind(
                        self.inference, target.target, scope, value, (*path, "targets", i, "target")
                    )
            case cst.AnnAssign():
                if isinstance(node.annotation.annotation, cst.Name) and sink is not None:
                    sink.be(_ANNOTATIONS.get(node.annotation.annotation.value, 0))
                bind(self.inference, node.target, scope, value)
            case cst.AugAssign() if sink is not None:
                augment(sink, value)
            case cst.Return() if sink is not None and node.value is not None:
                flow(value, sink)
                value.seal()

    # -- expressions -----------------------------------------------------------------------------

    def operand(
        self,
        operand: Operand,
        above: Path,
        expected: Expected,
        scope: Scope,
        *,
        is_owner: bool = False,
    ) -> Type:
        """Visit an operand of the node at `above`, and the nodes under it; return its type.

        Args:
            operand: see `tree.operands`.
            above: path of the node that holds it.
            expected: what that node expects there.
            scope: where it stands.
            is_owner: is one of its attributes read, so that it must stay?
        """
        step, node, floor = operand
        path = (*above, *step)
        line, names, table = scope.line, scope.names, scope.table
        is_open = type(node) in OPEN_SCOPES
        if is_open:
            self.open(node, path, scope)
        below: dict[Path, Type] = {}
        if type(node) is cst.Name:
            own = self.named(node, path, scope)
        else:
            if number(node) is None:
                owns = type(node) is cst.Attribute
                for each in in_order(node):
                    scope.line = None if is_open or may_be_skipped(node, each.path) else line
                    inner = expected_in(self.inference, node, each.path, path, expected)
                    below[each.path] = self.operand(each, path, inner, scope, is_owner=owns)
                    if each.path[-1] == "iter":
                        self.loop(node, each.path, below[each.path], scope)
            own = self.inference.result(node, path, below)
        if scope.names is not names:
            scope.restore(names)
            scope.table = table
        scope.line = line
        if expected.is_strict and (own.kind & NUMBER or not own.kind):
            own.need_integer()
        may_change = is_editable(node) and step != ("func",) and not is_owner
        if self.inference.is_last and may_change:
            self.sites.append(
                Site(
                    path,
                    node,
                    floor,
                    own.kind,
                    expected.wants(own),
                    own,
                    scope.in_scope(),
                    line,
                    expected.is_at_risk_of(own),
                    expected.decides,
                )
            )
        return own

    def named(self, node: cst.Name, path: Path, scope: Scope) -> Type:
        """Return the type of a name that is read."""
        name = node.value
        found = scope.names.get(name) or scope.table.get(name)
        if found is None:
            found = self.inference.functions.get(name) or self.inference.at(path)
            if name in ("True", "False"):
                found.be(TRUTH)
            elif name == "None":
                found.be(OTHER)
        self.inference.types[path] = found
        return found

    def open(self, node: cst.CSTNode, path: Path, scope: Scope) -> None:
        """Bind the names of a lambda or a comprehension."""
        table = self.table(path)
        inside = {name: table.setdefault(name, Type()) for name in bound_inside(node)}
        scope.table = {**scope.table, **inside}
        scope.restore({**scope.names, **inside})
        if isinstance(node, cst.Lambda):
            self.inference.at(path).root.takes = list(inside.values())

    def loop(self, node: cst.CSTNode, step: Path, source: Type, scope: Scope) -> None:
        """Infer the types of the names that the loop of a comprehension binds."""
        source.be(SEQUENCE)
        bind(self.inference, at(node, (*step[:-1], "target")), scope, source.item())


def survey(fragment: Fragment) -> Survey:
    """Walk a fragment and return what can be edited in it."""
    walk = _Walk(fragment)
    walk.run()
    kinds: dict[str, int] = {}
    types: dict[str, Type] = {}
    for table in walk.tables.values():
        for name, each in table.items():
            types.setdefault(name, each)
            kind = each.kind
            before = kinds.setdefault(name, kind)
            if before != kind:
                kinds[name] = NUMBER if before & NUMBER and kind & NUMBER else 0
    taken = fragment.around.taken.union(kinds)
    return Survey(tuple(walk.sites), tuple(walk.lines), walk.functions, kinds, types, taken)
