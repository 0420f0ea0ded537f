"""Edits of expressions: each returns a change of its draft, or None where it finds no site."""

from __future__ import annotations

import math

import libcst as cst

from evolver.operators.genetic.draft import (
    Change,
    Draft,
    accepts,
    loads,
    overlap,
)
from evolver.operators.genetic.grammar import Grammar, may_be_zero
from evolver.operators.genetic.inference import DIVISIONS
from evolver.operators.genetic.kinds import INTEGER, NUMBER, REAL, TRUTH
from evolver.operators.genetic.reads import is_there
from evolver.operators.genetic.survey import Line, Site
from evolver.operators.genetic.tree import AUGMENTED, COMPARISONS, replaced, symbol
from evolver.operators.genetic.writing import boolean, brief, join, key, literal, number, placed


def described(site: Site, new: cst.BaseExpression) -> str:
    """Return the summary of a replacement."""
    return f"{brief(site.node)} -> {brief(new)}"


def rounded(value: float, digits: int) -> float:
    """Round to significant digits, so that new literals stay readable."""
    return float(f"{value:.{digits}g}")


def constant(draft: Draft) -> Change | None:
    """Perturb a number, or flip a truth value.

    Floats move by a relative gaussian step of random size, by a factor 2**a with a normal (as in
    Real 2020, https://arxiv.org/abs/2003.03384, for a constant's scale), change sign, or are drawn
    anew; integers move by one, double, halve.
    """
    rng = draft.rng
    sites = [
        site
        for site in draft.survey.sites
        if site.wants & (NUMBER | TRUTH) or not site.kind
        if number(site.node) is not None or key(site.node) in ("True", "False")
    ]
    site = draft.pick(sites)
    if site is None:
        return None
    value = number(site.node)
    if value is None:
        new = literal(key(site.node) != "True")
    elif isinstance(value, int):
        steps = (
            value + 1,
            value - 1,
            value + 1,
            value - 1,
            value * 2,
            value // 2,
            value + 2,
            -value,
        )
        new = literal(rng.choice([step for step in steps if step != value] or [value + 1]))
    else:
        moved = _moved(draft, value)
        if moved == value or not math.isfinite(moved):
            return None
        new = literal(moved)
    return Change(draft.put(site, new), described(site, new))


def _moved(draft: Draft, value: float) -> float:
    rng = draft.rng
    way = rng.random()
    if value == 0.0 or way > 0.85:
        fresh = number(draft.grammar.constant(rng, REAL))
        return 1.0 if fresh is None else float(fresh)
    if way < 0.5:
        exponent = rng.uniform(0, 3)
        return rounded(value * (1 + rng.gauss(0, 10**-exponent)), 3 + math.ceil(exponent))
    if way < 0.78:
        return rounded(value * 2 ** rng.gauss(0, 1), 4)
    return -value


def operator(draft: Draft) -> Change | None:
    """Change an arithmetic, comparison, boolean or augmented operator, or min into max."""
    rng, grammar = draft.rng, draft.grammar
    places = [(site, others) for site in draft.survey.sites if (others := _others(site, grammar))]
    lines = [
        (line, small)
        for line in draft.survey.lines
        if isinstance(line.node, cst.SimpleStatementLine)
        and isinstance(small := line.node.body[0], cst.AugAssign)
        and not line.is_vital
        and _is_number(draft, small.target)
    ]
    if lines and rng.randrange(len(places) + len(lines)) >= len(places):
        return _augmented(draft, *rng.choice(lines))
    site = draft.pick([site for site, _ in places])
    if site is None:
        return None
    others = next(others for each, others in places if each is site)
    new = _with_operator(site.node, rng.choice(others))
    return Change(draft.put(site, new), described(site, new))


def _others(site: Site, grammar: Grammar) -> list[str]:
    """Return the operators that may replace a site's own."""
    node = site.node
    others: tuple[str, ...] = ()
    match node:
        case cst.BinaryOperation() if site.kind & NUMBER or not site.kind:
            others = grammar.arithmetic(site.wants)
            if may_be_zero(node.right, site.names):
                others = tuple(op for op in others if op not in DIVISIONS)
        case cst.Comparison(comparisons=[target]) if symbol(target.operator):
            others = grammar.comparisons
        case cst.BooleanOperation():
            others = grammar.boolean
        case cst.Call(func=cst.Name(value="min" | "max")):
            names = {function.name for function in grammar.functions}
            others = ("min", "max") if grammar.comparisons or {"min", "max"} <= names else ()
    return [other for other in others if other != _operator_of(node)]


def _augmented(draft: Draft, line: Line, node: cst.AugAssign) -> Change | None:
    old = symbol(node.operator)
    is_strict = isinstance(node.target, cst.Name) and (
        draft.survey.types[node.target.value].root.is_strict
    )
    kind = INTEGER if is_strict else NUMBER
    others = [op for op in draft.grammar.arithmetic(kind) if op != old and op in AUGMENTED]
    if may_be_zero(node.value, line.names):
        others = [op for op in others if op not in DIVISIONS]
    if not others:
        return None
    new = draft.rng.choice(others)
    module = replaced(draft.module, (*line.path, "body", 0, "operator"), AUGMENTED[new]())
    return Change(module, f"{brief(node.target)} {old}= ... -> {new}=")


def _is_number(draft: Draft, target: cst.BaseExpression) -> bool:
    if isinstance(target, cst.Name):
        return bool(draft.survey.kinds.get(target.value, 0) & NUMBER)
    return True


def _operator_of(node: cst.BaseExpression) -> str:
    match node:
        case cst.BinaryOperation() | cst.BooleanOperation():
            return symbol(node.operator)
        case cst.Comparison():
            return symbol(node.comparisons[0].operator)
        case cst.Call():
            return key(node.func)
    return ""


def _with_operator(node: cst.BaseExpression, new: str) -> cst.BaseExpression:
    match node:
        case cst.BinaryOperation():
            return join(node.left, new, node.right)
        case cst.BooleanOperation():
            return boolean(node.left, new, node.right)
        case cst.Comparison():
            return replaced(node, ("comparisons", 0, "operator"), COMPARISONS[new]())
        case cst.Call():
            return node.with_changes(func=cst.Name(new))
    raise TypeError(f"{type(node).__name__} has no operator")


def delete(draft: Draft) -> Change | None:
    """Replace an expression by one of its operands."""
    parents = draft.parents()
    sites = [
        site
        for site in draft.survey.sites
        if (above := parents.get(site.path)) is not None
        and above.names.keys() == site.names.keys()
        and not isinstance(above.node, cst.Attribute | cst.Subscript | cst.List | cst.Dict)
        and (accepts(above, site.kind, site.type) or not (above.kind or site.kind))
    ]
    above = draft.pick([parents[site.path] for site in sites])
    if above is None:
        return None
    site = draft.rng.choice([site for site in sites if parents[site.path] is above])
    if not (is_there(draft.survey, above, site.node) or draft.is_bold):
        return None
    return Change(draft.put(above, site.node), described(above, site.node))


def replace(draft: Draft) -> Change | None:
    """Replace a subexpression by a fresh small one."""
    rng = draft.rng
    numbers = draft.numeric()
    sites = numbers + [s for s in draft.survey.sites if s.kind == TRUTH and draft.grammar.control]
    site = draft.pick(sites)
    if site is None:
        return None
    new = draft.grammar.tree(rng, draft.survey, site, site.wants or NUMBER)
    if key(new) == key(site.node):
        return None
    return Change(draft.put(site, new), described(site, new))


def swap(draft: Draft) -> Change | None:
    """Swap the operands of an operator that does not commute, or two subexpressions."""
    rng = draft.rng
    sites = draft.numeric()
    pairs = [
        site
        for site in sites
        if isinstance(site.node, cst.BinaryOperation) and symbol(site.node.operator) not in "+*"
    ]
    site = draft.pick(pairs) if rng.random() < 0.5 else None
    if site is not None and isinstance(site.node, cst.BinaryOperation):
        if may_be_zero(site.node.left, site.names):
            return None
        new = join(site.node.right, symbol(site.node.operator), site.node.left)
        return Change(draft.put(site, new), described(site, new))
    one = draft.pick(sites)
    if one is None:
        return None
    variables = set(draft.survey.kinds)
    others = [
        site
        for site in sites
        if not overlap(site.path, one.path)
        and accepts(site, one.kind)
        and accepts(one, site.kind)
        and key(site.node) != key(one.node)
        and set(loads(site.node)) & variables <= set(one.names)
        and set(loads(one.node)) & variables <= set(site.names)
    ]
    other = draft.pick(others)
    if other is None:
        return None
    here, there = is_there(draft.survey, one, other.node), is_there(draft.survey, other, one.node)
    if not (here and there) and not draft.is_bold:
        return None
    module = replaced(draft.put(one, other.node), other.path, placed(one.node, other.floor))
    return Change(module, f"{brief(one.node)} <-> {brief(other.node)}")
