"""Edits of statements: each returns a change of its draft, or None where it finds no site."""

from __future__ import annotations

import libcst as cst

from evolver.operators.genetic.draft import (
    Change,
    Draft,
    assigned,
    assignment,
    insert_lines,
    is_movable,
    loads,
    overlap,
    replace_line,
    stored,
)
from evolver.operators.genetic.kinds import NUMBER, fitting, of_same_type
from evolver.operators.genetic.survey import Line, Site
from evolver.operators.genetic.tree import at, follows, replaced, walk
from evolver.operators.genetic.writing import brief, key, placed


def insert_statement(draft: Draft) -> Change | None:
    """Assign a fresh expression to a new intermediate and use it."""
    rng, grammar = draft.rng, draft.grammar
    sites = [site for site in draft.numeric() if site.line is not None]
    site = draft.pick(sites)
    if site is None:
        return None
    assert site.line is not None
    value = grammar.tree(rng, draft.survey, site, site.wants or NUMBER)
    name = draft.survey.fresh_name()
    used: cst.BaseExpression = cst.Name(name)
    operators = grammar.arithmetic(site.wants)
    if operators and rng.random() < 0.5:
        used = grammar.joined(rng, site.node, operators, used, site.names)
    module = insert_lines(draft.put(site, used), site.line, [assignment(name, value)])
    return Change(module, f"{name} = {brief(value)} for {brief(site.node)}")


def delete_statement(draft: Draft) -> Change | None:
    """Delete a statement; a variable that only it assigned is replaced by another in scope."""
    lines = [line for line in draft.survey.lines if is_movable(line) and not line.is_vital]
    if not draft.grammar.control:
        lines = [line for line in lines if assigned(line.node)]
    if not lines:
        return None
    line = draft.rng.choice(lines)
    module: cst.Module | None = draft.module
    found = assigned(line.node)
    if found is not None and found[0] not in line.names:
        module = _without_variable(draft, line, found[0])
    elif found is None and not set(stored(line.node)) <= line.names.keys():
        return None
    if module is None:
        return None
    return Change(replace_line(module, line.path, []), brief(line.node))


def _without_variable(draft: Draft, line: Line, name: str) -> cst.Module | None:
    """Return the tree with another variable wherever `name`, assigned at `line`, is read."""
    uses = [
        site
        for site in draft.survey.sites
        if isinstance(site.node, cst.Name)
        and site.node.value == name
        and follows(site.path, line.path)
    ]
    own = draft.survey.types.get(name)
    others = [] if own is None else list(of_same_type(line.names, own))
    path = draft.survey.functions.get(line.function, ())
    elsewhere = _count(at(draft.module, path), name) - _count(line.node, name)
    if elsewhere > len(uses) or (uses and not others):
        return None
    module, other = draft.module, cst.Name(draft.rng.choice(others or [name]))
    for site in uses:
        module = replaced(module, site.path, placed(other, site.floor))
    return module


def _count(node: cst.CSTNode, name: str) -> int:
    return sum(isinstance(part, cst.Name) and part.value == name for part in walk(node))


def duplicate_statement(draft: Draft) -> Change | None:
    """Repeat a statement whose repetition does something."""
    if not draft.grammar.control:
        return None
    lines = []
    for line in draft.survey.lines:
        found = assigned(line.node)
        repeats = found is None or found[0] in loads(found[1])
        if is_movable(line) and repeats:
            lines.append(line)
    if not lines:
        return None
    line = draft.rng.choice(lines)
    module = replace_line(draft.module, line.path, [line.node, _without_comments(line.node)])
    return Change(module, brief(line.node))


def _without_comments(node: cst.BaseStatement) -> cst.BaseStatement:
    return node.with_changes(leading_lines=[])


def swap_statements(draft: Draft) -> Change | None:
    """Swap two adjacent statements."""
    if not draft.grammar.control:
        return None
    by_path = {line.path: line for line in draft.survey.lines}
    pairs = []
    for line in draft.survey.lines:
        below = by_path.get((*line.path[:-1], int(line.path[-1]) + 1))
        if below is None or not (is_movable(line) and is_movable(below)):
            continue
        fresh = set(stored(line.node)) - line.names.keys()
        if not fresh & set(loads(below.node)):
            pairs.append((line, below))
    if not pairs:
        return None
    above, below = draft.rng.choice(pairs)
    module = replaced(draft.module, above.path, below.node)
    module = replaced(module, below.path, above.node)
    return Change(module, f"{brief(above.node, 30)} <-> {brief(below.node, 30)}")


def interchange(draft: Draft) -> Change | None:
    """Swap the headers of two directly nested loops that are independent."""
    if not draft.grammar.control:
        return None
    loops = []
    for line in draft.survey.lines:
        outer = line.node
        if isinstance(outer, cst.For) and isinstance(outer.body, cst.IndentedBlock):
            for index, inner in enumerate(outer.body.body):
                if isinstance(inner, cst.For) and not set(loads(outer.target)) & set(
                    loads(inner.iter)
                ):
                    loops.append((line, outer, index, inner))
    if not loops:
        return None
    line, outer, index, inner = draft.rng.choice(loops)
    body = list(outer.body.body)
    body[index] = inner.with_changes(target=outer.target, iter=outer.iter)
    swapped = outer.with_changes(
        target=inner.target, iter=inner.iter, body=outer.body.with_changes(body=body)
    )
    names = f"{brief(outer.target)} and {brief(inner.target)}"
    return Change(replaced(draft.module, line.path, swapped), f"the loops over {names}")


def extract(draft: Draft) -> Change | None:
    """Assign a repeated subexpression to an intermediate."""
    groups: dict[str, list[Site]] = {}
    for site in draft.survey.sites:
        if not isinstance(site.node, cst.Name) and draft.can_extract(site):
            groups.setdefault(key(site.node), []).append(site)
    repeated = [sites for sites in groups.values() if len(sites) > 1]
    if not repeated:
        return None
    first, *rest = draft.rng.choice(repeated)
    assert first.line is not None
    same = [
        site
        for site in rest
        if follows(site.path, first.line)
        and not overlap(site.path, first.path)
        and not _is_changed_between(draft, first, site)
    ]
    if not same:
        return None
    name = draft.survey.fresh_name()
    module = draft.module
    for site in (first, *same):
        module = replaced(module, site.path, cst.Name(name))
    module = insert_lines(module, first.line, [assignment(name, first.node)])
    return Change(module, f"{name} = {brief(first.node)}")


def _is_changed_between(draft: Draft, first: Site, later: Site) -> bool:
    """May a statement between two sites bind a name that the first site reads?"""
    assert first.line is not None
    suite, start = first.line[:-1], int(first.line[-1])
    end = int(later.path[len(suite)])
    between = at(draft.module, suite)[start : end + 1]
    read = set(loads(first.node))
    writers = between[:-1] if isinstance(between[-1], cst.SimpleStatementLine) else between
    return any(read & set(stored(statement)) for statement in writers)


def guard(draft: Draft) -> Change | None:
    """Put a statement under a new condition, or insert a conditional `break` or `continue`."""
    rng, grammar = draft.rng, draft.grammar
    if not grammar.control or not grammar.comparisons:
        return None
    lines = [line for line in draft.survey.lines if line.function and _may_be_skipped(line)]
    if not lines:
        return None
    line = rng.choice(lines)
    numbers = fitting(line.names, NUMBER)
    if not numbers:
        return None
    first = line.names[numbers[0]]
    place = Site(
        (*line.path, "guard"),  # the condition reads nothing of the statement
        cst.Name(numbers[0]),
        1,
        first.kind,
        NUMBER,
        first,
        line.names,
        line.path,
    )
    test = grammar.condition(rng, draft.survey, place)
    if test is None:
        return None
    if line.is_in_loop and not line.in_while and rng.random() < 0.25:
        word = cst.Break() if rng.random() < 0.5 else cst.Continue()
        inner: cst.BaseStatement = cst.SimpleStatementLine([word])
        module = insert_lines(draft.module, line.path, [_under(test, inner)])
        name = type(word).__name__.lower()
        return Change(module, f"{name} if {brief(test)}")
    inner = line.node.with_changes(leading_lines=[])
    module = replace_line(draft.module, line.path, [_under(test, inner)])
    return Change(module, f"only if {brief(test)}: {brief(line.node)}")


def _under(test: cst.BaseExpression, inner: cst.BaseStatement) -> cst.If:
    return cst.If(test, cst.IndentedBlock([inner]))


def _may_be_skipped(line: Line) -> bool:
    return is_movable(line) and not line.is_vital and set(stored(line.node)) <= line.names.keys()


def unwrap(draft: Draft) -> Change | None:
    """Replace a conditional statement, or a branch without loops, by its body."""
    if not draft.grammar.control:
        return None
    lines = [
        line
        for line in draft.survey.lines
        if isinstance(line.node, cst.If) and isinstance(line.node.body, cst.IndentedBlock)
    ]
    if not lines:
        return None
    line = draft.rng.choice(lines)
    node = line.node
    assert isinstance(node, cst.If)
    body = node.body
    if isinstance(node.orelse, cst.Else) and draft.rng.random() < 0.5:
        body = node.orelse.body
    if not isinstance(body, cst.IndentedBlock):
        return None
    module = replace_line(draft.module, line.path, list(body.body))
    return Change(module, f"always do what was under if {brief(node.test)}")


def conditional(draft: Draft) -> Change | None:
    """Replace `e` by `e if condition else other`."""
    rng, grammar = draft.rng, draft.grammar
    if not grammar.control or not grammar.comparisons:
        return None
    sites = [site for site in draft.numeric() if site.kind]
    site = draft.pick(sites)
    if site is None:
        return None
    test = grammar.condition(rng, draft.survey, site)
    if test is None:
        return None
    other = grammar.tree(rng, draft.survey, site, site.wants, depth=1)
    new = cst.IfExp(test=placed(test, 3), body=placed(site.node, 3), orelse=placed(other, 2))
    return Change(draft.put(site, new), f"{brief(site.node)} only if {brief(test)}")
