"""Elements and attributes that an edit may read: `weights[i]`, `item[1]`, `job.length`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import libcst as cst

from evolver.operators.genetic.kinds import INTEGER, NUMBER, SEQUENCE, Names, Type, alike
from evolver.operators.genetic.survey import Site
from evolver.operators.genetic.syntax import constant_index
from evolver.operators.genetic.tree import replaced, rewritten, walk
from evolver.operators.genetic.writing import key, literal


def readable(sites: Iterable[Site], site: Site, kind: int) -> list[cst.BaseExpression]:
    """Return what can be read at a site and surely is of this kind.

    That is what the program reads itself, also by another variable of the same type, and by another
    constant where elements differ: where it reads `item[0]` and unpacks `value, weight = item`,
    `item[1]` can be read.
    """
    found: dict[str, cst.BaseExpression] = {}
    for other in sites:
        if not isinstance(other.node, cst.Subscript | cst.Attribute) and not _is_length(other):
            continue
        for node, own in _variants(other):
            is_wanted = own.kind & NUMBER if kind & ~INTEGER else own.kind == INTEGER
            new = _renamed(node, other.names, site.names) if is_wanted else None
            if new is not None:
                found.setdefault(key(new), new)
    return list(found.values())


def _is_length(site: Site) -> bool:
    match site.node:
        case cst.Call(func=cst.Name(value="len"), args=[cst.Arg(value=cst.Name())]):
            return True
    return False


def _variants(site: Site) -> Iterator[tuple[cst.BaseExpression, Type]]:
    """Yield an expression, and it with other constants for an index."""
    node = site.node
    yield node, site.type
    index = constant_index(node)
    if not isinstance(node, cst.Subscript) or index is None:
        return
    container = _type_of(node.value, site.names)
    if container is None:
        return
    for each, own in container.root.parts.items():
        if each != index:
            new = literal(each) if isinstance(each, int) else cst.SimpleString(repr(each))
            yield replaced(node, ("slice", 0, "slice", "value"), new), own


def _type_of(node: cst.BaseExpression, names: Names) -> Type | None:
    match node:
        case cst.Name(value=name):
            return names.get(name)
        case cst.Subscript(value=value):
            container = _type_of(value, names)
            index = constant_index(node)
            if container is None or container.kind != SEQUENCE:
                return None
            own = container.root
            return own.element if index is None else own.parts.get(index, own.element)
    return None


def _renamed(node: cst.BaseExpression, before: Names, names: Names) -> cst.BaseExpression | None:
    """Return an expression in the names of another place, None where they do not fit."""
    changed: dict[str, str] = {}
    for part in walk(node):
        if isinstance(part, cst.Lambda) or (isinstance(part, cst.Call) and part is not node):
            return None
        if isinstance(part, cst.Name) and part.value in before:
            new = _counterpart(part.value, before[part.value], names)
            if new is None:
                return None
            changed[part.value] = new

    def rename(part: cst.BaseExpression, floor: int) -> cst.BaseExpression | None:
        new = changed.get(part.value) if isinstance(part, cst.Name) else None
        return None if new is None else cst.Name(new)

    return rename(node, 0) or rewritten(node, rename)


def _counterpart(name: str, own: Type, names: Names) -> str | None:
    """Return the variable that holds the same, else one of the same type."""
    if name in names and names[name].root is own.root:
        return name
    same = [each for each, its in names.items() if its.root is own.root]
    if own.kind & NUMBER:  # another number would be another index
        others = [name] if name in names and names[name].kind == own.kind else []
    else:
        others = [each for each, its in names.items() if own.kind and alike(its, own)]
    return next(iter((*same, *others)), None)
