"""The operator `crossover`: puts parts of another program into the parent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

import libcst as cst

from evolver.errors import ProposalError, UsageError
from evolver.operators.genetic.child import (
    Drawn,
    Tree,
    applies_to,
    credited,
    depth_limited,
    first_new,
    read_tree,
)
from evolver.operators.genetic.draft import (
    Change,
    Draft,
    accepts,
    assigned,
    assignment,
    insert_lines,
    is_movable,
    loads,
    replace_line,
)
from evolver.operators.genetic.grammar import Grammar, derive
from evolver.operators.genetic.kinds import Type, of_same_type
from evolver.operators.genetic.reads import is_there
from evolver.operators.genetic.survey import Line, Site
from evolver.operators.genetic.syntax import (
    leaves_function,
    leaves_loop,
    names_bound,
    names_in,
)
from evolver.operators.genetic.transplant import (
    Transplant,
    may_be,
    rebound,
    renamed,
    renamed_statement,
    variables,
)
from evolver.operators.genetic.tree import at, replaced
from evolver.operators.genetic.writing import brief, key, number
from evolver.operators.summaries import labelled
from evolver.types import Context, Program, Proposal, Tune

_WAYS = {"subtree": 3.0, "statement": 1.0, "function": 1.0}


@dataclass(frozen=True)
class Crossover:
    """Put a part of another program into the parent.

    `subtree` replaces an expression by one of the other program, with the assignments that it
    depends on; `statement` inserts a statement, or replaces one; `function` takes a whole
    function of the same name. Variables that the parent does not have become ones that it has.

    Attributes:
        weights: way -> weight, instead of the default one; 0 turns a way off.
        simplify: fold constants and drop dead code afterwards?
        tune: ask for the child's float literals to be fitted?
        limit: see `Tune.limit`.
        starts: see `Tune.starts`.
        refits: how often a structure is fitted, from several parents, before it is left alone.
        tries: children drawn before giving up on finding one that is new.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    simplify: bool = True
    tune: bool = False
    limit: int = 100
    starts: int = 48
    refits: int = 3
    tries: int = 50

    applies_to = staticmethod(applies_to)

    def __post_init__(self) -> None:
        for way, weight in self.weights.items():
            if way not in _WAYS or not weight >= 0:
                raise UsageError(
                    f'crossover: weights sets "{way}" to {weight}; '
                    f"the ways are {', '.join(_WAYS)}, and a weight is 0 or more"
                )

    def can_propose(self, context: Context) -> bool:
        """Is there another program?"""
        return bool(_others(context))

    async def propose(self, context: Context) -> Proposal:
        """Return a new child of the parent and one of the inspirations.

        Raises:
            ProposalError: there is no other program, no region holds Python, or no new child was
                found in `tries` tries.
        """
        own, others = context.parent.program, _others(context)
        if not others:
            raise ProposalError("crossover needs another program, and there is no inspiration")
        with depth_limited():
            parent = read_tree(own.files)
            other = context.rng.choice(others)
            donor = read_tree(other.files)
            grammar = derive([*parent.surveys, *donor.surveys], (), None, (), True, self.tune)

            weights = credited({**_WAYS, **self.weights}, context.credit)

            def draw(is_bold: bool) -> Drawn | None:
                drawn = self._draw(parent, donor, grammar, weights, context.rng, is_bold)
                return drawn and Drawn(drawn.tree, drawn.summary, (own.id, other.id))

            tune = Tune(self.limit, self.starts) if self.tune else None
            return first_new(
                context, parent, draw, grammar, self.tries, self.simplify, tune, self.refits
            )

    def _draw(
        self,
        parent: Tree,
        donor: Tree,
        grammar: Grammar,
        weights: Mapping[str, float],
        rng: Random,
        is_bold: bool,
    ) -> Drawn | None:
        (into,) = rng.choices(range(len(parent.fragments)), parent.sizes())
        (source,) = rng.choices(range(len(donor.fragments)), donor.sizes())
        draft = Draft(parent.fragments[into], parent.surveys[into], grammar, rng, is_bold)
        other = Draft(donor.fragments[source], donor.surveys[source], grammar, rng, is_bold)
        (way,) = rng.choices(list(weights), list(weights.values()))
        change = _EXCHANGES[way](draft, other)
        if change is None:
            return None
        return Drawn(parent.with_change(into, change), labelled(way, change.summary))


def _others(context: Context) -> list[Program]:
    own = context.parent.program.id
    return [each.program for each in context.inspirations if each.program.id != own]


# --- ways to cross ------------------------------------------------------------------------------


def _subtree(draft: Draft, other: Draft) -> Change | None:
    rng = draft.rng
    sources = [
        site
        for site in other.numeric()
        if number(site.node) is None and other.grammar.is_pure(site.node)
    ]
    larger = [site for site in sources if not isinstance(site.node, cst.Name)]
    sources = larger or sources
    if not sources:
        return None
    source = rng.choice(sources)
    sites = [
        site
        for site in draft.survey.sites
        if accepts(site, source.kind) or not (site.kind or source.kind)
    ]
    sites = sites or [site for site in draft.survey.sites if not (site.kind and source.kind)]
    site = draft.pick(sites)
    if site is None:
        return None
    new, lines = _moved(draft, other, source, site)
    if new is None or key(new) == key(site.node):
        return None
    if not is_there(draft.survey, site, new) and not draft.is_bold:
        return None
    module = draft.put(site, new)
    if lines and site.line is not None:
        module = insert_lines(module, site.line, lines)
    return Change(module, f"{brief(site.node)} -> {brief(source.node)}")


def _moved(
    draft: Draft, other: Draft, source: Site, site: Site
) -> tuple[cst.BaseExpression | None, list[cst.SimpleStatementLine]]:
    """Return the other program's expression in the names of the site, and the lines it needs."""
    known = variables(other.survey)
    if source.line is not None and site.line is not None:
        transplant = Transplant(draft, other, site.names, known)
        new = transplant.bring(source.node, source.line, source.names)
        if new is not None:
            return new, transplant.lines
    read = [name for name in loads(source.node) if name in known]
    names = rebound(read, draft, source.names, site.names)
    return (None if names is None else renamed(source.node, names)), []


def _statement(draft: Draft, other: Draft) -> Change | None:
    rng = draft.rng
    sources = [line for line in other.survey.lines if is_movable(line)]
    targets = [line for line in draft.survey.lines if line.function or line.path[:-2]]
    targets = targets or list(draft.survey.lines)
    if not sources or not targets:
        return None
    source, target = rng.choice(sources), rng.choice(targets)
    same = [line for line in targets if line.function == source.function]
    if same:
        target = rng.choice(same)
    if not _may_stand(source.node, target):
        return None
    statement = _statement_renamed(draft, source, target)
    if statement is None or (target.may_stall(statement) and not draft.is_bold):
        return None
    if _may_go(draft, target, statement) and rng.random() < 0.5:
        module = replace_line(draft.module, target.path, [statement])
        return Change(module, f"{brief(target.node)} -> {brief(statement)}")
    module = insert_lines(draft.module, target.path, [statement])
    return Change(module, f"insert {brief(statement)}")


def _may_stand(node: cst.BaseStatement, target: Line) -> bool:
    """May a statement replace another, given what it breaks, continues or returns?"""
    if leaves_loop(node) and (not target.is_in_loop or target.in_while):
        return False
    return bool(target.function) or not leaves_function(node)


def _may_go(draft: Draft, target: Line, new: cst.BaseStatement) -> bool:
    """May a statement be replaced, given the names that others read?"""
    if not is_movable(target) or (target.is_vital and not draft.is_bold):
        return False
    fresh = set(names_bound(target.node)) - target.names.keys() - set(names_bound(new))
    if not fresh:
        return True
    whole = at(draft.module, draft.survey.functions.get(target.function, ()))
    left = Counter(names_in(whole)) - Counter(names_in(target.node))
    return not fresh & left.keys()


def _statement_renamed(draft: Draft, source: Line, target: Line) -> cst.BaseStatement | None:
    """Return a statement of the other program in the names that are in scope at `target`."""
    found = assigned(source.node)
    read = loads(source.node) if found is None else loads(found[1])
    read = [name for name in read if name in source.names]
    names = rebound(read, draft, source.names, target.names)
    if names is None:
        return None
    if found is not None:
        goals = _goals(draft, found[0], source, target)
        if not goals:
            return None
        return assignment(draft.rng.choice(goals), renamed(found[1], names))
    for name in names_bound(source.node):
        name = names.get(name, name)
        if name in target.names and not _is_own(draft, target, name):
            return None  # it would become a local variable, and unbound where the function reads it
    return renamed_statement(source.node, names)


def _goals(draft: Draft, name: str, source: Line, target: Line) -> list[str]:
    """Return the variables that may be assigned at `target` what `name` was at `source`."""
    value = source.own.get(name, Type())
    own = {each: its for each, its in target.names.items() if _is_own(draft, target, each)}
    if name in own and may_be(own[name], value):
        return [name]
    return list(of_same_type(own, value))


def _is_own(draft: Draft, line: Line, name: str) -> bool:
    """Is it a variable of the scope that the line stands in?"""
    around = draft.fragment.around.shared if draft.fragment.is_in_function else ()
    return name in line.own and (bool(line.function) or name not in around)


def _function(draft: Draft, other: Draft) -> Change | None:
    both = [name for name in draft.survey.functions if name in other.survey.functions]
    if not both:
        return None
    name = draft.rng.choice(both)
    path = draft.survey.functions[name]
    old = at(draft.module, path)
    new = at(other.module, other.survey.functions[name])
    new = new.with_changes(leading_lines=old.leading_lines)
    if key(new) == key(old):
        return None
    return Change(replaced(draft.module, path, new), name)


_EXCHANGES = {"subtree": _subtree, "statement": _statement, "function": _function}
