"""Simplification of a child: folding, shared and copied values, single uses, dead code.

It keeps children readable, and makes equivalent children identical, so that fewer are judged twice.
A line that was not edited changes only where a value that it reads was edited.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import libcst as cst

from evolver.operators.genetic.algebra import shape
from evolver.operators.genetic.draft import assigned, loads, replace_line, stored
from evolver.operators.genetic.folding import folder
from evolver.operators.genetic.fragment import Fragment
from evolver.operators.genetic.grammar import Grammar
from evolver.operators.genetic.kinds import SEQUENCE, TEXT
from evolver.operators.genetic.survey import Line, Survey
from evolver.operators.genetic.tree import Path, at, replaced, rewritten, walk
from evolver.operators.genetic.writing import key, number, placed

Fold = Callable[[cst.BaseExpression, int], cst.BaseExpression | None]

_INTERMEDIATE = re.compile(r"t\d+")
_LONGEST_INLINED = 60  # characters, with one for each literal
_LONGEST_READER = 80
_SEES_LOCALS = frozenset(("locals", "vars", "eval", "exec"))


def simplify(
    fragment: Fragment, survey: Survey, before: Survey, grammar: Grammar, merge: bool
) -> cst.Module:
    """Return the fragment's tree without code that has no effect.

    Args:
        fragment: after the edits.
        survey: of it.
        before: the survey of the parent's fragment; its lines do not change.
        grammar: which calls are pure.
        merge: see `folding.folder`.
    """
    old = {id(line.node) for line in before.lines}
    changed = [line for line in survey.lines if id(line.node) not in old]
    fold = folder(grammar, survey.kinds, merge)
    module = fragment.module
    for line in changed:
        node = at(module, line.path)
        folded = rewritten(node, fold)
        if folded is not node:
            module = replaced(module, line.path, folded)
    for suite in dict.fromkeys(line.path[:-1] for line in changed):
        body = at(module, suite)
        shared = _share(body, old, survey.kinds, fold, merge)
        if any(one is not other for one, other in zip(shared, body, strict=True)):
            module = replaced(module, suite, shared)
    return _without_dead_code(module, old, fragment, survey, grammar, fold)


def _is_arithmetic(node: cst.CSTNode, kinds: Mapping[str, int]) -> bool:
    """Does it hold numbers, variables and operators only, so that equal text has equal value?"""
    match node:
        case cst.Name():
            return not kinds.get(node.value, 0) & (SEQUENCE | TEXT)
        case cst.Integer() | cst.Float():
            return True
        case cst.BinaryOperation():
            return _is_arithmetic(node.left, kinds) and _is_arithmetic(node.right, kinds)
        case cst.UnaryOperation():
            return _is_arithmetic(node.expression, kinds)
    return False


def _substitution(
    find: Callable[[cst.BaseExpression], cst.BaseExpression | None],
) -> Fold:
    def change(node: cst.BaseExpression, floor: int) -> cst.BaseExpression | None:
        new = find(node)
        return None if new is None else placed(new, floor)

    return change


# --- values that a variable already holds -------------------------------------------------------


class _Holder(NamedTuple):
    """A variable that holds an expression's value until one of `reads` changes."""

    value: cst.BaseExpression
    reads: tuple[str, ...]
    is_old: bool  # is its line the parent's?


def _share(
    body: Sequence[cst.CSTNode], old: set[int], kinds: Mapping[str, int], fold: Fold, merge: bool
) -> list[cst.CSTNode]:
    """Replace repeated expressions, and copies of variables, by the variable that holds them."""
    holders: dict[str, _Holder] = {}
    result: list[cst.CSTNode] = []
    for statement in body:
        if not isinstance(statement, cst.SimpleStatementLine):
            holders.clear()
            result.append(statement)
            continue
        is_old = id(statement) in old
        known = {value: each for value, each in holders.items() if not (is_old and each.is_old)}
        new = rewritten(statement, _substitution(lambda node, known=known: _held(node, known)))  # type: ignore[misc]
        if new is not statement:
            new = rewritten(new, fold)
        changed = set(stored(new))
        holders = {v: h for v, h in holders.items() if not changed.intersection(h.reads)}
        found = assigned(new)
        if found is not None and _is_arithmetic(found[1], kinds):
            name, value = found
            reads = (name, *loads(value))
            if isinstance(value, cst.Name) or (merge and number(value) is not None):
                holders[name] = _Holder(value, reads, is_old)
            elif number(value) is None and name not in reads[1:]:
                holders.setdefault(key(value), _Holder(cst.Name(name), reads, is_old))
        result.append(new)
    return result


def _held(node: cst.BaseExpression, holders: dict[str, _Holder]) -> cst.BaseExpression | None:
    """Return the variable that may replace an expression."""
    if not holders or not isinstance(node, cst.BinaryOperation | cst.UnaryOperation | cst.Name):
        return None
    holder = holders.get(key(node))
    return holder.value if holder is not None else None


# --- single uses and dead code ------------------------------------------------------------------


def _reads(node: cst.CSTNode) -> Iterator[str]:
    """Yield each name that is read under a node, with repetitions."""
    skipped: set[int] = set()
    for part in walk(node):
        kind = type(part)
        if kind is cst.Attribute:
            skipped.add(id(at(part, ("attr",))))
        elif kind is cst.AssignTarget:
            skipped.add(id(at(part, ("target",))))
        elif kind is cst.Name and id(part) not in skipped:
            yield cast(cst.Name, part).value


def _scopes(
    module: cst.Module, fragment: Fragment, survey: Survey
) -> Iterator[tuple[cst.CSTNode, list[Line], frozenset[str]]]:
    """Yield each function's node, its lines, and the names that code elsewhere reads."""
    if fragment.is_in_function:
        lines = [line for line in survey.lines if not line.function]
        yield module, lines, fragment.around.read_after or frozenset()
    for name, path in survey.functions.items():
        lines = [line for line in survey.lines if line.function == name]
        yield at(module, path), lines, frozenset()


def _without_dead_code(
    module: cst.Module,
    old: set[int],
    fragment: Fragment,
    survey: Survey,
    grammar: Grammar,
    fold: Fold,
) -> cst.Module:
    doomed: list[Path] = []
    for scope, lines, read_after in _scopes(module, fragment, survey):
        if id(scope) in old:
            continue
        counts = Counter(_reads(scope))
        hidden = any(isinstance(node, cst.Global | cst.Nonlocal) for node in walk(scope))
        if hidden or counts.keys() & _SEES_LOCALS:
            continue
        counts.update(read_after)
        module = _inline(module, lines, counts, old, survey.kinds, fold, doomed)
        doomed += _dead(module, lines, counts, grammar, doomed)
    for path in sorted(doomed, reverse=True):
        module = replace_line(module, path, [])
    return module


def _inline(
    module: cst.Module,
    lines: Sequence[Line],
    counts: Counter[str],
    old: set[int],
    kinds: Mapping[str, int],
    fold: Fold,
    doomed: list[Path],
) -> cst.Module:
    """Move the value of an intermediate to the only expression that reads it."""
    for line in lines:
        node = at(module, line.path)
        found = assigned(node)
        if found is None or counts[found[0]] != 1 or not _INTERMEDIATE.fullmatch(found[0]):
            continue
        name, value = found
        if not _is_arithmetic(value, kinds) or len(shape(value)) > _LONGEST_INLINED:
            continue
        reader = _reader(module, line.path, name, set(loads(value)))
        if reader is None or (id(node) in old and id(at(module, reader)) in old):
            continue
        put = _substitution(
            lambda node, name=name, value=value: value if key(node) == name else None  # type: ignore[misc]
        )
        read = rewritten(at(module, reader), put)
        if name in _reads(read):
            continue  # in an f-string or a decorator, where no expression can be inserted
        module = replaced(module, reader, rewritten(read, fold))
        counts[name] = 0
        doomed.append(line.path)
    return module


def _reader(module: cst.Module, path: Path, name: str, reads: set[str]) -> Path | None:
    """Return the line of the same suite that reads `name`, if its value can be moved there."""
    suite, position = path[:-1], int(path[-1])
    body = at(module, suite)
    for i in range(position + 1, len(body)):
        statement = body[i]
        if not isinstance(statement, cst.SimpleStatementLine):
            return None
        changed = stored(statement)
        if name in _reads(statement):
            is_short = len(shape(statement)) <= _LONGEST_READER and name not in changed
            return (*suite, i) if is_short else None
        if name in changed or reads.intersection(changed):
            return None
    return None


def _dead(
    module: cst.Module,
    lines: Sequence[Line],
    counts: Counter[str],
    grammar: Grammar,
    doomed: Sequence[Path],
) -> list[Path]:
    """Return the lines that assign a pure expression to a variable that nothing reads."""
    candidates = []
    for line in lines:
        found = assigned(at(module, line.path))
        if found is not None and line.path not in doomed and grammar.is_pure(found[1]):
            candidates.append((line.path, *found))
    dead: list[Path] = []
    while True:
        more = [
            (path, value)
            for path, name, value in candidates
            if path not in dead and (not counts[name] or _is_overwritten(module, path, name))
        ]
        if not more:
            return dead
        for path, value in more:
            dead.append(path)
            counts.subtract(_reads(value))


def _is_overwritten(module: cst.Module, path: Path, name: str) -> bool:
    """Is the variable assigned again, further down the same suite, before anything reads it?"""
    suite, position = path[:-1], int(path[-1])
    for statement in at(module, suite)[position + 1 :]:
        if not isinstance(statement, cst.SimpleStatementLine) or name in _reads(statement):
            return False
        if isinstance(statement.body[0], cst.Return | cst.Raise | cst.Break | cst.Continue):
            return False
        found = assigned(statement)
        if found is not None and found[0] == name:
            return True
    return False
