"""Scopes in a survey: which names they bind, of which types, and how assignments bind them."""

from __future__ import annotations

from dataclasses import dataclass

import libcst as cst

from evolver.operators.genetic.inference import Inference, flow
from evolver.operators.genetic.kinds import SEQUENCE, Names, Type
from evolver.operators.genetic.syntax import is_slice
from evolver.operators.genetic.tree import Path


@dataclass
class Scope:
    """The state of a survey inside one function, class or top level."""

    names: dict[str, Type]  # those that are surely bound
    table: dict[str, Type]  # all that the scope binds anywhere
    function: str = ""
    is_class: bool = False
    in_loop: bool = False
    in_while: bool = False
    line: Path | None = None
    vital: frozenset[str] = frozenset()  # what the tests of the `while`s around read
    gives: Type | None = None
    visible: Names | None = None  # a copy of the names, until one is bound

    def in_scope(self) -> Names:
        """Return the names that are surely bound now."""
        if self.visible is None:
            self.visible = dict(self.names)
        return self.visible

    def bind(self, name: str) -> Type:
        """Bind a name and return its type."""
        found = self.table.get(name)
        if found is None:
            found = self.table[name] = Type()
        if self.names.get(name) is not found:
            self.names[name] = found
            self.visible = None
        return found

    def restore(self, names: dict[str, Type]) -> None:
        """Bind these names and no others."""
        self.names, self.visible = names, None


def bind(of: Inference, target: cst.CSTNode, scope: Scope, value: Type, path: Path = ()) -> None:
    """Bind the names of a target, and note that the value flows there."""
    match target:
        case cst.Name(value=name):
            flow(value, scope.bind(name))
        case cst.Tuple() | cst.List():
            for i, element in enumerate(target.elements):
                part = value.part(i)
                bind(of, element.value, scope, part, (*path, "elements", i, "value"))
            if not value.kind:
                value.be(SEQUENCE)
        case cst.Attribute(attr=cst.Name(value=name)):
            flow(value, of.attributes.setdefault(name, Type()))
        case cst.Subscript() if path:
            container = of.at((*path, "value"))
            container.be(SEQUENCE)
            flow(value.item() if is_slice(target) else value, container.item())


def sink_of(of: Inference, node: cst.CSTNode, path: Path, scope: Scope) -> Type | None:
    """Return the type of the one target that takes a statement's value; None: there is no one."""
    match node:
        case cst.Assign(targets=[target]):
            return _type_of(of, target.target, (*path, "targets", 0, "target"), scope)
        case cst.AugAssign() | cst.AnnAssign():
            return _type_of(of, node.target, (*path, "target"), scope)
        case cst.Return():
            return scope.gives
    return None


def _type_of(of: Inference, target: cst.CSTNode, path: Path, scope: Scope) -> Type | None:
    """Return the type of a target that is one variable, element or attribute."""
    match target:
        case cst.Name(value=name):
            return scope.table.setdefault(name, Type())
        case cst.Attribute(attr=cst.Name(value=name)):
            return of.attributes.setdefault(name, Type())
        case cst.Subscript() if not is_slice(target):
            return of.at((*path, "value")).item()
    return None
