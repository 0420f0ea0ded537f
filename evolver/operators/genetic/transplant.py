"""Parts of one program brought into another: renamed, with the lines that they depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import libcst as cst

from evolver.operators.genetic.draft import Draft, assigned, assignment, loads
from evolver.operators.genetic.kinds import NUMBER, Names, Type, alike, fitting, of_same_type
from evolver.operators.genetic.survey import Line, Survey
from evolver.operators.genetic.syntax import names_bound
from evolver.operators.genetic.tree import Path, rewritten
from evolver.operators.genetic.writing import key

_MOST_LINES_BROUGHT = 12


def variables(survey: Survey) -> set[str]:
    """Return the names of variables in a fragment, without functions and modules."""
    return {name for line in survey.lines for name in line.names}.union(
        name for site in survey.sites for name in site.names
    )


def renamed(node: cst.BaseExpression, names: Mapping[str, str]) -> cst.BaseExpression:
    """Return an expression in other names."""

    def rename(part: cst.BaseExpression, floor: int) -> cst.BaseExpression | None:
        new = names.get(part.value) if isinstance(part, cst.Name) else None
        return None if new is None else cst.Name(new)

    return rename(node, 0) or rewritten(node, rename)


def rebound(
    names: Sequence[str], draft: Draft, other: Names, in_scope: Names
) -> dict[str, str] | None:
    """Map variables of the other program to those in scope: the same name, else a similar type.

    Args:
        names: to map.
        draft: for chance.
        other: the types that the names have in the other program.
        in_scope: what they may become.
    """
    found: dict[str, str] = {}
    for name in names:
        own = other.get(name)
        if name in in_scope and (own is None or may_be(in_scope[name], own)):
            continue
        if own is not None and own.kind:
            fits = list(of_same_type(in_scope, own))
        else:
            fits = list(fitting(in_scope, NUMBER))
            fits = fits or [each for each, its in in_scope.items() if not its.kind]
        if not fits:
            return None
        found[name] = draft.rng.choice(fits)
    return found


def may_be(here: Type, there: Type) -> bool:
    """May a variable of one type replace one of the other?"""
    return not (here.kind and there.kind) or alike(here, there)


def _definition(other: Draft, name: str, line: Path) -> Line | None:
    """Return the last line above `line`, in its suite or one around it, that assigns `name`.

    None where the value cannot be moved: a loop binds it, it changes in between, it is not pure.
    """
    found = None
    for each in other.survey.lines:
        suite = len(each.path) - 1
        is_above = each.path[:suite] == line[:suite] and int(each.path[suite]) < int(line[suite])
        value = assigned(each.node)
        if is_above and value is not None and value[0] == name:
            found = each
    if found is None or _changes_before(other, name, found, line):
        return None
    value = assigned(found.node)
    return found if value is not None and other.grammar.is_pure(value[1]) else None


def _changes_before(other: Draft, name: str, definition: Line, line: Path) -> bool:
    """May another statement bind `name` between its definition and the one at `line`?"""
    start = definition.path
    lines = [each for each in other.survey.lines if each.function == definition.function]
    loops = [
        each.path
        for each in lines
        if isinstance(each.node, cst.For | cst.While)
        and line[: len(each.path)] == each.path
        and start[: len(each.path)] != each.path
    ]
    later = [each for each in lines if each.path > start and name in _binds(each.node)]
    return any(
        each.path < line or any(each.path[: len(loop)] == loop for loop in loops) for each in later
    )


def _binds(node: cst.BaseStatement) -> set[str]:
    """Return the names that a statement binds outside its suites."""
    if isinstance(node, cst.For):
        node = node.with_changes(body=cst.IndentedBlock([]), orelse=None)
    elif not isinstance(node, cst.SimpleStatementLine):
        return set()
    return set(names_bound(node))


@dataclass
class Transplant:
    """Brings an expression of the other program into the parent, with the lines that it needs."""

    draft: Draft
    other: Draft
    in_scope: Names
    variables: set[str]
    names: dict[str, str] = field(default_factory=dict)  # of the other program -> of the child
    lines: list[cst.SimpleStatementLine] = field(default_factory=list)

    def bring(
        self, node: cst.BaseExpression, line: Path, types: Names
    ) -> cst.BaseExpression | None:
        """Return the expression in the child's names, and add needed assignments to `lines`."""
        names = dict(self.names)
        for name in loads(node):
            if name not in self.variables:
                continue
            definition = _definition(self.other, name, line)
            if definition is None:
                own = rebound([name], self.draft, types, self.in_scope)
                if own is None:
                    return None
                names.update(own)
            else:
                new = self._brought(name, definition)
                if new is None:
                    return None
                names[name] = new
        return renamed(node, names)

    def _brought(self, name: str, definition: Line) -> str | None:
        found = assigned(definition.node)
        if found is None or len(self.lines) >= _MOST_LINES_BROUGHT:
            return None
        value = self.bring(found[1], definition.path, definition.names)
        if value is None:
            return None
        for line in self.lines:
            same = assigned(line)
            if same is not None and key(same[1]) == key(value):
                return same[0]
        taken = [each[0] for line in self.lines if (each := assigned(line))]
        new = self.draft.survey.fresh_name((*taken, *self.other.survey.taken))
        self.lines.append(assignment(new, value))
        return new


def renamed_statement(
    node: cst.BaseStatement, names: Mapping[str, str]
) -> cst.BaseStatement | None:
    """Return a statement, without the comments above it, in other names."""
    statement = node.with_changes(leading_lines=[]).visit(_Renamer(names))
    return statement if isinstance(statement, cst.BaseStatement) else None


class _Renamer(cst.CSTTransformer):
    """Renames variables, also where they are assigned."""

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__()
        self.names = names

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:  # noqa: N802
        new = self.names.get(original_node.value)
        return updated_node if new is None else updated_node.with_changes(value=new)

    def leave_Attribute(  # noqa: N802
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.Attribute:
        return updated_node.with_changes(attr=original_node.attr)

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:  # noqa: N802
        return updated_node.with_changes(keyword=original_node.keyword)
