"""Edits of expressions: each takes a draft and returns a change, or None where it finds no place."""

from __future__ import annotations

import math

import libcst as cst

from evolver.operators.genetic.draft import (
    Change,
    Draft,
    assignment,
    follows,
    insert_lines,
    loads,
    overlap,
)
from evolver.operators.genetic.grammar import call
from evolver.operators.genetic.survey import INTEGER, NUMBER, REAL, TEXT, TRUTH, Site
from evolver.operators.genetic.tree import (
    AUGMENTED,
    BOOLEAN,
    COMPARISONS,
    brief,
    code,
    join,
    key,
    literal,
    number,
    operands,
    placed,
    replaced,
    rewritten,
    symbol,
)


def _described(site: Site, new: cst.BaseExpression) -> str:
    return f"replace {brief(site.node)} by {brief(new)}"


def _rounded(value: float, digits: int) -> float:
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
        if number(site.node) is not None or key(site.node) in ("True", "False")
    ]
    if not sites:
        return None
    site = rng.choice(sites)
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
    return Change(draft.put(site, new), _described(site, new))


def _moved(draft: Draft, value: float) -> float:
    rng = draft.rng
    way = rng.random()
    if value == 0.0 or way > 0.85:
        fresh = number(draft.grammar.constant(rng, REAL))
        return 1.0 if fresh is None else float(fresh)
    if way < 0.5:
        exponent = rng.uniform(0, 3)
        return _rounded(value * (1 + rng.gauss(0, 10**-exponent)), 3 + math.ceil(exponent))
    if way < 0.78:
        return _rounded(value * 2 ** rng.gauss(0, 1), 4)
    return -value


def operator(draft: Draft) -> Change | None:
    """Change an arithmetic, comparison, boolean or augmented operator, or min into max."""
    rng, grammar = draft.rng, draft.grammar
    places: list[tuple[Site, list[str]]] = []
    for site in draft.survey.sites:
        node = site.node
        others: list[str] = []
        match node:
            case cst.BinaryOperation() if site.kind & NUMBER or not site.kind:
                others = list(grammar.arithmetic(site.kind))
            case cst.Comparison(comparisons=[target]) if symbol(target.operator):
                others = list(grammar.comparisons)
            case cst.BooleanOperation():
                others = list(grammar.boolean)
            case cst.Call(func=cst.Name(value="min" | "max")):
                names = {function.name for function in grammar.functions}
                others = ["min", "max"] if grammar.comparisons or {"min", "max"} <= names else []
        others = [other for other in others if other != _operator_of(node)]
        if others:
            places.append((site, others))
    lines = [
        line
        for line in draft.survey.lines
        if isinstance(line.node, cst.SimpleStatementLine)
        and isinstance(line.node.body[0], cst.AugAssign)
    ]
    if lines and rng.randrange(len(places) + len(lines)) >= len(places):
        line = rng.choice(lines)
        small = line.node.body[0]
        assert isinstance(small, cst.AugAssign)
        old = symbol(small.operator)
        kind = draft.survey.kind_of(key(small.target))
        others = [op for op in grammar.arithmetic(kind) if op != old and op in AUGMENTED]
        if not others:
            return None
        new_operator = rng.choice(others)
        module = replaced(
            draft.module, (*line.path, "body", 0, "operator"), AUGMENTED[new_operator]()
        )
        return Change(module, f"change {old}= to {new_operator}= for {brief(small.target)}")
    if not places:
        return None
    site, others = rng.choice(places)
    new = _with_operator(site.node, rng.choice(others))
    return Change(draft.put(site, new), _described(site, new))


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
            level = 3 if new == "or" else 4
            return cst.BooleanOperation(
                placed(node.left, level), BOOLEAN[new](), placed(node.right, level + 1)
            )
        case cst.Comparison():
            return replaced(node, ("comparisons", 0, "operator"), COMPARISONS[new]())
        case cst.Call():
            return node.with_changes(func=cst.Name(new))
    raise TypeError(f"{type(node).__name__} has no operator")


def insert(draft: Draft) -> Change | None:
    """Wrap a subexpression: `e op leaf`, `leaf op e`, `f(e)`, or a condition by `and`, `or`."""
    rng, grammar = draft.rng, draft.grammar
    conditions = [site for site in draft.survey.sites if site.kind == TRUTH]
    if conditions and grammar.boolean and rng.random() < 0.2:
        site = rng.choice(conditions)
        extra = grammar.condition(rng, draft.survey, site)
        if extra is None:
            return None
        word = rng.choice(grammar.boolean)
        level = 3 if word == "or" else 4
        new: cst.BaseExpression = cst.BooleanOperation(
            placed(site.node, level), BOOLEAN[word](), placed(extra, level + 1)
        )
        return Change(draft.put(site, new), _described(site, new))
    sites = draft.numeric()
    if not sites:
        return None
    site = rng.choice(sites)
    kind = site.kind or NUMBER
    unary = [f for f in grammar.functions if len(f.takes) == 1 and f.takes[0] & f.gives & kind]
    if unary and rng.random() < 0.2:
        new = call(rng.choice(unary).name, [placed(site.node, 1)])
        return Change(draft.put(site, new), _described(site, new))
    operators = grammar.arithmetic(kind)
    if not operators:
        return None
    leaf = grammar.leaf(rng, draft.survey, site, kind)
    left, right = (leaf, site.node) if rng.random() < 0.35 else (site.node, leaf)
    new = grammar.joined(rng, left, operators, right)
    return Change(draft.put(site, new), _described(site, new))


def identity(draft: Draft) -> Change | None:
    """Insert `+ c` with c near 0, or `* c` with c near 1, for a tuner to fit.

    Not exactly 0 and 1: those are no parameters, and simplification removes them.
    """
    rng = draft.rng
    sites = [s for s in draft.survey.sites if s.kind & NUMBER and s.kind != INTEGER]
    sites = [site for site in sites if number(site.node) is None]
    ways = [op for op in ("+", "*") if op in draft.grammar.binary]
    if not sites or not ways or draft.grammar.constants:
        return None
    site, way = rng.choice(sites), rng.choice(ways)
    small = _rounded(rng.gauss(0, 0.1), 2) or 0.1
    if way == "*":
        new: cst.BaseExpression = join(site.node, "*", literal(_rounded(1 + small, 3)))
    else:
        new = draft.grammar.joined(rng, site.node, ["+"], literal(small))
    return Change(draft.put(site, new), _described(site, new))


def _named(draft: Draft, site: Site) -> tuple[cst.BaseExpression, cst.Module, int]:
    """Return an expression that can be used twice, the tree with it in place, and lines added."""
    if isinstance(site.node, cst.Name) or site.line is None:
        return site.node, draft.module, 0
    name = draft.survey.fresh_name()
    module = replaced(draft.module, site.path, cst.Name(name))
    return cst.Name(name), module, 1


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
    if "*" not in draft.grammar.binary or not sites:
        return None
    site = draft.rng.choice(sites)
    used = _named(draft, site)[0]
    new = join(used, "*", used)
    return Change(_reused(draft, site, new), f"square {brief(site.node)}")


def reciprocal(draft: Draft) -> Change | None:
    """Replace `u` by `u + c / u`: the step of continued fractions."""
    rng = draft.rng
    sites = [site for site in _reusable(draft) if site.kind != INTEGER]
    signs = [op for op in ("+", "-") if op in draft.grammar.binary]
    if not signs or "/" not in draft.grammar.binary or not sites:
        return None
    site = rng.choice(sites)
    used = _named(draft, site)[0]
    share = join(draft.grammar.constant(rng, REAL), "/", used)
    new = join(used, rng.choice(signs), share)
    return Change(
        _reused(draft, site, new), f"replace u by {brief(new)} for u = {brief(site.node)}"
    )


def delete(draft: Draft) -> Change | None:
    """Replace an expression by one of its operands."""
    parents = draft.parents()
    sites = [
        site
        for site in draft.survey.sites
        if (above := parents.get(site.path)) is not None
        and above.names == site.names
        and (not above.kind or not site.kind or above.kind & site.kind)
        and not isinstance(above.node, cst.Attribute | cst.Subscript | cst.List | cst.Dict)
        and (above.kind & (NUMBER | TRUTH) or above.kind == site.kind)
    ]
    if not sites:
        return None
    site = draft.rng.choice(sites)
    above = parents[site.path]
    return Change(draft.put(above, site.node), _described(above, site.node))


def replace(draft: Draft) -> Change | None:
    """Replace a subexpression by a fresh small one."""
    rng = draft.rng
    numbers = draft.numeric()
    sites = numbers + [s for s in draft.survey.sites if s.kind == TRUTH and draft.grammar.control]
    if not sites:
        return None
    site = rng.choice(sites)
    new = draft.grammar.tree(rng, draft.survey, site, site.kind or NUMBER)
    if key(new) == key(site.node):
        return None
    return Change(draft.put(site, new), _described(site, new))


def reuse(draft: Draft) -> Change | None:
    """Replace an expression by a variable in scope, or by one that is made of another expression."""
    rng = draft.rng
    if rng.random() < 0.5:
        change = _reuse_expression(draft)
        if change is not None:
            return change
    sites = [site for site in draft.survey.sites if not site.kind & TEXT]
    if not sites:
        return None
    site = rng.choice(sites)
    names = [n for n in draft.survey.fitting(site.names, site.kind) if n != key(site.node)]
    if not names:
        return None
    new = cst.Name(rng.choice(names))
    return Change(draft.put(site, new), _described(site, new))


def _reuse_expression(draft: Draft) -> Change | None:
    rng = draft.rng
    sources = [
        site
        for site in draft.survey.sites
        if site.kind & NUMBER and not isinstance(site.node, cst.Name) and draft.can_extract(site)
    ]
    if not sources:
        return None
    source = rng.choice(sources)
    assert source.line is not None
    targets = [
        site
        for site in draft.survey.sites
        if site.kind & source.kind
        and follows(site.path, source.line)
        and not overlap(site.path, source.path)
    ]
    if not targets:
        return None
    target = rng.choice(targets)
    name = draft.survey.fresh_name()
    module = draft.put(target, cst.Name(name))
    module = replaced(module, source.path, cst.Name(name))
    module = insert_lines(module, source.line, [assignment(name, source.node)])
    return Change(module, f"reuse {brief(source.node)} for {brief(target.node)}")


def swap(draft: Draft) -> Change | None:
    """Swap the operands of an operator that does not commute, or two subexpressions."""
    rng = draft.rng
    sites = draft.numeric()
    pairs = [
        site
        for site in sites
        if isinstance(site.node, cst.BinaryOperation) and symbol(site.node.operator) not in "+*"
    ]
    if pairs and rng.random() < 0.5:
        site = rng.choice(pairs)
        assert isinstance(site.node, cst.BinaryOperation)
        new = join(site.node.right, symbol(site.node.operator), site.node.left)
        return Change(draft.put(site, new), _described(site, new))
    if len(sites) < 2:
        return None
    one = rng.choice(sites)
    variables = set(draft.survey.marks)
    others = [
        site
        for site in sites
        if not overlap(site.path, one.path)
        and site.kind & one.kind
        and key(site.node) != key(one.node)
        and set(loads(site.node)) & variables <= set(one.names)
        and set(loads(one.node)) & variables <= set(site.names)
    ]
    if not others:
        return None
    other = rng.choice(others)
    module = replaced(draft.put(one, other.node), other.path, placed(one.node, other.floor))
    return Change(module, f"swap {brief(one.node)} and {brief(other.node)}")


def compose(draft: Draft) -> Change | None:
    """Substitute an expression for a variable inside another: graft `g` into `e` as `e(g(x))`."""
    rng = draft.rng
    sites = [
        site
        for site in draft.numeric()
        if not isinstance(site.node, cst.Name) and draft.can_extract(site)
    ]
    if not sites:
        return None
    site = rng.choice(sites)
    names = [name for name in loads(site.node) if name in site.names]
    names = [name for name in names if draft.survey.kind_of(name) & NUMBER]
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

    module = draft.put(site, rewritten(site.node, put))
    if count > 1:
        assert site.line is not None
        module = insert_lines(module, site.line, [assignment(new_name, graft)])
    return Change(module, f"substitute {brief(graft)} for {name} in {brief(site.node)}")


def _leaves(node: cst.BaseExpression) -> list[cst.BaseExpression]:
    below = [leaf for operand in operands(node) for leaf in _leaves(operand.node)]
    return below or [node]


def _graft(draft: Draft, site: Site, name: str) -> cst.BaseExpression | None:
    rng, grammar = draft.rng, draft.grammar
    variable = cst.Name(name)
    existing = [
        other.node
        for other in draft.survey.sites
        if other.kind & NUMBER
        and not isinstance(other.node, cst.Name)
        and set(loads(other.node)) <= set(site.names)
        and name in loads(other.node)
        and grammar.is_pure(other.node)
        and len(code(other.node)) < 60
    ]
    if existing and rng.random() < 0.5:
        return rng.choice(existing)
    kind = draft.survey.kind_of(name) or NUMBER
    if kind != INTEGER and {"+", "/"} <= set(grammar.binary) and rng.random() < 0.3:
        return join(variable, "+", join(grammar.constant(rng, REAL), "/", variable))
    operators = grammar.arithmetic(kind)
    if not operators:
        return None
    return grammar.joined(rng, variable, operators, grammar.leaf(rng, draft.survey, site, kind))
