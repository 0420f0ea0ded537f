"""Edits that make expressions larger, or use an expression twice."""

from __future__ import annotations

import libcst as cst

from evolver.operators.genetic.draft import (
    Change,
    Draft,
    accepts,
    assignment,
    insert_lines,
    loads,
    overlap,
)
from evolver.operators.genetic.expressions import described, rounded
from evolver.operators.genetic.grammar import Function, call, may_be_zero
from evolver.operators.genetic.kinds import INTEGER, NUMBER, REAL, TEXT, TRUTH, fitting
from evolver.operators.genetic.reads import is_there, readable
from evolver.operators.genetic.survey import Site
from evolver.operators.genetic.syntax import is_computed
from evolver.operators.genetic.tree import LAMBDA, follows, operands, replaced, rewritten
from evolver.operators.genetic.writing import (
    boolean,
    brief,
    code,
    join,
    key,
    literal,
    number,
    placed,
)


def insert(draft: Draft) -> Change | None:
    """Wrap a subexpression: `e op leaf`, `leaf op e`, `f(e)`, or a condition by `and`, `or`."""
    rng, grammar = draft.rng, draft.grammar
    if grammar.boolean and rng.random() < 0.2:
        change = _insert_condition(draft)
        if change is not None:
            return change
    sites = draft.numeric()
    site = draft.pick(sites)
    if site is None:
        return None
    kind = site.wants or NUMBER
    unary = [f for f in grammar.functions if len(f.takes) == 1 and _passes(f, site)]
    if unary and rng.random() < 0.2:
        new: cst.BaseExpression = call(rng.choice(unary).name, [placed(site.node, LAMBDA)])
        return Change(draft.put(site, new), described(site, new))
    operators = grammar.arithmetic(kind)
    if not operators:
        return None
    leaf = grammar.leaf(rng, draft.survey, site, kind)
    left, right = (leaf, site.node) if rng.random() < 0.35 else (site.node, leaf)
    new = grammar.joined(rng, left, operators, right, site.names)
    return Change(draft.put(site, new), described(site, new))


def _passes(function: Function, site: Site) -> bool:
    """May the function take the site's value, and its result stand at the site?"""
    takes = function.takes[0]
    fits = takes in (REAL, NUMBER, site.kind)
    return bool(site.kind & NUMBER) and fits and accepts(site, function.gives)


def relate(draft: Draft) -> Change | None:
    """Combine two measures of one object: `value / weight`, `high - low`.

    They are read from one object, as `item[0]` and `item[1]`, `values[i]` and `weights[i]`, or
    unpacked together.
    """
    rng = draft.rng
    together = _unpacked(draft)
    pairs = [
        (site, others)
        for site in draft.numeric()
        if site.wants & REAL and (others := _siblings(draft, site, together))
    ]
    site = draft.pick([site for site, _ in pairs])
    if site is None:
        return None
    other = rng.choice(next(others for each, others in pairs if each is site))
    left, right = (site.node, other) if rng.random() < 0.7 else (other, site.node)
    operators = [op for op in ("/", "/", "-", "*") if op in draft.grammar.binary]
    if not operators:
        return None
    new = draft.grammar.joined(rng, left, operators, right, site.names)
    return Change(draft.put(site, new), described(site, new))


def _unpacked(draft: Draft) -> list[set[str]]:
    """Return the names that are unpacked together."""
    found = []
    for line in draft.survey.lines:
        match line.node:
            case (
                cst.For(target=cst.Tuple() as target)
                | cst.SimpleStatementLine(
                    body=[cst.Assign(targets=[cst.AssignTarget(target=cst.Tuple() as target)])]
                )
            ):
                found.append(set(loads(target)))
    return found


def _siblings(draft: Draft, site: Site, together: list[set[str]]) -> list[cst.BaseExpression]:
    node = site.node
    if isinstance(node, cst.Name):
        names = {name for group in together if node.value in group for name in group}
        names.discard(node.value)
        return [cst.Name(name) for name in fitting(site.names, site.wants) if name in names]
    return [
        each
        for each in readable(draft.survey, site, site.wants, draft.rng)
        if key(each) != key(node) and _is_of_same_thing(node, each)
    ]


def _is_of_same_thing(one: cst.BaseExpression, other: cst.BaseExpression) -> bool:
    """Are both read from one object, as `item[0]` and `item[1]`, or by one index?"""
    if type(one) is not type(other) or not isinstance(one, cst.Subscript | cst.Attribute):
        return False
    assert isinstance(other, cst.Subscript | cst.Attribute)
    if isinstance(one, cst.Subscript) and isinstance(other, cst.Subscript) and is_computed(one):
        return [code(each) for each in one.slice] == [code(each) for each in other.slice]
    return key(one.value) == key(other.value)


def _insert_condition(draft: Draft) -> Change | None:
    rng, grammar = draft.rng, draft.grammar
    sites = [site for site in draft.survey.sites if site.kind == TRUTH]
    site = draft.pick(sites)
    if site is None:
        return None
    extra = grammar.condition(rng, draft.survey, site)
    if extra is None:
        return None
    new = boolean(site.node, rng.choice(grammar.boolean), extra)
    return Change(draft.put(site, new), described(site, new))


def identity(draft: Draft) -> Change | None:
    """Insert `+ c` with c near 0, or `* c` with c near 1, for a tuner to fit.

    Never exactly 0 or 1, because simplification removes those.
    """
    rng = draft.rng
    sites = [s for s in draft.survey.sites if s.kind & REAL and s.wants & REAL]
    sites = [site for site in sites if number(site.node) is None]
    ways = [op for op in ("+", "*") if op in draft.grammar.binary]
    site = draft.pick(sites)
    if site is None or not ways or draft.grammar.constants:
        return None
    way = rng.choice(ways)
    small = rounded(rng.gauss(0, 0.1), 2) or 0.1
    if way == "*":
        new: cst.BaseExpression = join(site.node, "*", literal(rounded(1 + small, 3)))
    else:
        new = draft.grammar.joined(rng, site.node, ["+"], literal(small), site.names)
    return Change(draft.put(site, new), described(site, new))


def _name_of(draft: Draft, site: Site) -> cst.Name:
    """Return the variable that stands for the site's expression when it is used twice."""
    return site.node if isinstance(site.node, cst.Name) else cst.Name(draft.survey.fresh_name())


def _reused(draft: Draft, site: Site, new: cst.BaseExpression) -> cst.Module:
    """Return the tree with `new` at the site, and above it the intermediate that `new` uses."""
    module = draft.put(site, new)
    if isinstance(site.node, cst.Name):
        return module
    assert site.line is not None
    return insert_lines(module, site.line, [assignment(draft.survey.fresh_name(), site.node)])


def _reusable(draft: Draft) -> list[Site]:
    return [
        site
        for site in draft.numeric()
        if isinstance(site.node, cst.Name) or draft.can_extract(site)
    ]


def square(draft: Draft) -> Change | None:
    """Replace `e` by `t * t`, with `t = e` assigned above."""
    sites = _reusable(draft)
    if "*" not in draft.grammar.binary:
        return None
    whole = [site for site in sites if site.path[-1] == "value" and site.floor == 0]
    if whole and draft.rng.random() < 0.4:
        sites = whole  # the value of a statement: g(x / 2)**2 for a g that fits
    site = draft.pick(sites)
    if site is None:
        return None
    used = _name_of(draft, site)
    new = join(used, "*", used)
    return Change(_reused(draft, site, new), brief(site.node))


def reciprocal(draft: Draft) -> Change | None:
    """Replace `u` by `u + c / u`: the step of continued fractions."""
    rng = draft.rng
    sites = [s for s in _reusable(draft) if s.wants != INTEGER and s.kind != INTEGER]
    sites = [site for site in sites if not may_be_zero(site.node, site.names)]
    signs = [op for op in ("+", "-") if op in draft.grammar.binary]
    site = draft.pick(sites)
    if site is None or not signs or "/" not in draft.grammar.binary:
        return None
    used = _name_of(draft, site)
    share = join(draft.grammar.constant(rng, REAL), "/", used)
    new = join(used, rng.choice(signs), share)
    return Change(_reused(draft, site, new), f"u -> {brief(new)} for u = {brief(site.node)}")


def reuse(draft: Draft) -> Change | None:
    """Replace an expression by a variable in scope, or by another expression of the program."""
    rng = draft.rng
    if rng.random() < 0.5:
        change = _reuse_expression(draft)
        if change is not None:
            return change
    sites = [site for site in draft.survey.sites if not site.kind & TEXT]
    site = draft.pick(sites)
    if site is None:
        return None
    found: list[cst.BaseExpression] = [
        cst.Name(name)
        for name, each in site.names.items()
        if accepts(site, each.kind, each) or not (site.kind or each.kind)
    ]
    if site.wants & NUMBER:
        found += readable(draft.survey, site, site.wants, rng)
    found = [each for each in found if key(each) != key(site.node)]
    if not found:
        return None
    new = rng.choice(found)
    return Change(draft.put(site, new), described(site, new))


def _reuse_expression(draft: Draft) -> Change | None:
    sources = [
        site
        for site in draft.survey.sites
        if site.kind & NUMBER and not isinstance(site.node, cst.Name) and draft.can_extract(site)
    ]
    source = draft.pick(sources)
    if source is None:
        return None
    assert source.line is not None
    targets = [
        site
        for site in draft.survey.sites
        if accepts(site, source.kind)
        and follows(site.path, source.line)
        and not overlap(site.path, source.path)
    ]
    target = draft.pick(targets)
    if target is None:
        return None
    name = draft.survey.fresh_name()
    module = draft.put(target, cst.Name(name))
    module = replaced(module, source.path, cst.Name(name))
    module = insert_lines(module, source.line, [assignment(name, source.node)])
    return Change(module, f"{brief(target.node)} -> {brief(source.node)}")


def compose(draft: Draft) -> Change | None:
    """Substitute an expression for a variable inside another: graft `g` into `e` as `e(g(x))`."""
    rng = draft.rng
    sites = [
        site
        for site in draft.numeric()
        if not isinstance(site.node, cst.Name) and draft.can_extract(site)
    ]
    site = draft.pick(sites)
    if site is None:
        return None
    names = [name for name in loads(site.node) if name in site.names]
    names = [name for name in names if site.names[name].kind & NUMBER]
    if not names:
        return None
    name = rng.choice(names)
    graft = _graft(draft, site, name)
    if graft is None or key(graft) == name:
        return None
    count = sum(key(part) == name for part in _leaves(site.node))
    new_name = draft.survey.fresh_name()
    substitute: cst.BaseExpression = cst.Name(new_name) if count > 1 else graft

    def put(node: cst.BaseExpression, floor: int) -> cst.BaseExpression | None:
        return (
            placed(substitute, floor) if isinstance(node, cst.Name) and node.value == name else None
        )

    new = rewritten(site.node, put)
    if not is_there(draft.survey, site, new) and not draft.is_bold:
        return None
    module = draft.put(site, new)
    if count > 1:
        assert site.line is not None
        module = insert_lines(module, site.line, [assignment(new_name, graft)])
    return Change(module, f"{name} -> {brief(graft)} in {brief(site.node)}")


def _leaves(node: cst.BaseExpression) -> list[cst.BaseExpression]:
    below = [leaf for operand in operands(node) for leaf in _leaves(operand.node)]
    return below or [node]


def _graft(draft: Draft, site: Site, name: str) -> cst.BaseExpression | None:
    rng, grammar = draft.rng, draft.grammar
    variable = cst.Name(name)
    existing = [
        other.node
        for other in draft.survey.sites
        if accepts(site, other.kind)
        and not isinstance(other.node, cst.Name)
        and set(loads(other.node)) <= set(site.names)
        and name in loads(other.node)
        and grammar.is_pure(other.node)
        and is_there(draft.survey, site, other.node)
        and len(code(other.node)) < 60
    ]
    if existing and rng.random() < 0.5:
        return rng.choice(existing)
    kind = site.names[name].kind or NUMBER
    if kind != INTEGER and {"+", "/"} <= set(grammar.binary) and rng.random() < 0.3:
        return join(variable, "+", join(grammar.constant(rng, REAL), "/", variable))
    operators = grammar.arithmetic(kind)
    if not operators:
        return None
    return grammar.joined(
        rng, variable, operators, grammar.leaf(rng, draft.survey, site, kind), site.names
    )
