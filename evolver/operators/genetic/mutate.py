"""The operator `mutate`: one to four random edits of the parent's syntax tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from random import Random

from evolver.errors import UsageError
from evolver.operators.genetic import expressions, growth, statements
from evolver.operators.genetic.child import (
    Drawn,
    Tree,
    applies_to,
    credited,
    depth_limited,
    first_new,
    read_tree,
)
from evolver.operators.genetic.draft import Change, Draft
from evolver.operators.genetic.grammar import Grammar, derive, parse_functions
from evolver.operators.genetic.survey import Survey
from evolver.operators.genetic.tree import BINARY, BOOLEAN, COMPARISONS
from evolver.operators.summaries import labelled, summary_of
from evolver.types import Context, Proposal, Tune

Edit = Callable[[Draft], Change | None]

EDITS: Mapping[str, tuple[Edit, float]] = {
    "constant": (expressions.constant, 2.0),
    "operator": (expressions.operator, 1.5),
    "insert": (growth.insert, 2.0),
    "relate": (growth.relate, 2.0),
    "identity": (growth.identity, 1.0),
    "square": (growth.square, 0.7),
    "reciprocal": (growth.reciprocal, 0.7),
    "delete": (expressions.delete, 2.5),
    "replace": (expressions.replace, 1.5),
    "reuse": (growth.reuse, 1.5),
    "swap": (expressions.swap, 0.7),
    "compose": (growth.compose, 1.0),
    "insert_statement": (statements.insert_statement, 1.0),
    "delete_statement": (statements.delete_statement, 0.7),
    "duplicate_statement": (statements.duplicate_statement, 0.3),
    "swap_statements": (statements.swap_statements, 0.5),
    "extract": (statements.extract, 0.3),
    "guard": (statements.guard, 0.4),
    "conditional": (statements.conditional, 0.2),
    "unwrap": (statements.unwrap, 0.3),
    "interchange": (statements.interchange, 0.0),  # useful where speed is measured
}
"""Kinds of edits, with their default weights."""

_OPERATORS = (*BINARY, *COMPARISONS, *BOOLEAN)


def _nearest(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word, known, n=1, cutoff=0.4)
    return f'; did you mean "{close[0]}"?' if close else f"; known: {', '.join(known)}"


@dataclass(frozen=True)
class Mutate:
    """Edit the parent's syntax tree at random: one to four edits, then simplification.

    Attributes:
        operators: what may be inserted or changed to, of + - * / // % ** @ << >> & | ^, < <= > >=
            == !=, and, or. Empty: + - * / and what the program uses, and comparisons if it
            decides anything. Without a comparison no condition is ever inserted.
        functions: callables of numbers that may be inserted, "name" or "name/arity". None: those
            that the program calls.
        constants: the only floats that may be inserted. Empty: any.
        weights: kind of edit -> weight, instead of the default one; 0 turns a kind off.
        edits: weights of one, two, ... edits a child.
        statements: may statements be put under conditions, moved, deleted, repeated?
        simplify: fold constants and drop dead code afterwards?
        tune: ask for the child's float literals to be fitted?
        limit: see `Tune.limit`.
        starts: see `Tune.starts`.
        refits: how often a structure is fitted, from several parents, before it is left alone.
        tries: children drawn before giving up on finding one that is new.
    """

    operators: tuple[str, ...] = ()
    functions: tuple[str, ...] | None = None
    constants: tuple[float, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    edits: tuple[float, ...] = (0.5, 0.25, 0.15, 0.1)
    statements: bool = True
    simplify: bool = True
    tune: bool = False
    limit: int = 100
    starts: int = 48
    refits: int = 3
    tries: int = 50

    applies_to = staticmethod(applies_to)

    def __post_init__(self) -> None:
        for kind, weight in self.weights.items():
            if kind not in EDITS:
                raise UsageError(
                    f'mutate: weights has no edit "{kind}"{_nearest(kind, tuple(EDITS))}'
                )
            if not weight >= 0:
                raise UsageError(f"mutate: the weight of {kind} is {weight}; it must be 0 or more")
        for operator in self.operators:
            if operator not in _OPERATORS:
                raise UsageError(
                    f'mutate: operators has "{operator}"{_nearest(operator, _OPERATORS)}'
                )
        if not any(weight > 0 for weight in self.edits) or min(self.edits) < 0:
            raise UsageError(
                "mutate: edits holds the weights of one, two, ... edits; one must be above 0"
            )
        parse_functions(self.functions or ())

    async def propose(self, context: Context) -> Proposal:
        """Return a child that is new.

        Raises:
            ProposalError: no region holds Python, or no new child was found in `tries` tries.
        """
        with depth_limited():
            parent = read_tree(context.parent.program.files)
            grammar = self._grammar(parent.surveys)
            weights = credited(self._weights(), context.credit)
            return first_new(
                context,
                parent,
                lambda is_bold: self._draw(parent, grammar, weights, context.rng, is_bold),
                grammar,
                self.tries,
                self.simplify,
                Tune(self.limit, self.starts) if self.tune else None,
                self.refits,
            )

    def _grammar(self, surveys: Sequence[Survey]) -> Grammar:
        functions = None if self.functions is None else parse_functions(self.functions)
        return derive(
            surveys, self.operators, functions, self.constants, self.statements, self.tune
        )

    def _weights(self) -> dict[str, float]:
        weights = {kind: weight for kind, (_, weight) in EDITS.items()}
        if self.tune:
            weights["constant"] *= 0.1  # the tuner finds their values anyway
        return {**weights, **self.weights}

    def _draw(
        self,
        parent: Tree,
        grammar: Grammar,
        weights: Mapping[str, float],
        rng: Random,
        is_bold: bool,
    ) -> Drawn | None:
        """Return the parent after some edits."""
        (count,) = rng.choices(range(1, len(self.edits) + 1), self.edits)
        tree, summaries = parent, []
        for _ in range(count):
            (index,) = rng.choices(range(len(tree.fragments)), tree.sizes())
            draft = Draft(tree.fragments[index], tree.surveys[index], grammar, rng, is_bold)
            change = _edited(draft, weights)
            if change is not None:
                tree = tree.with_change(index, change)
                summaries.append(change.summary)
        return Drawn(tree, summary_of(summaries)) if summaries else None


def _edited(draft: Draft, weights: Mapping[str, float]) -> Change | None:
    """Make one edit, of the first kind drawn that finds a site."""
    left = dict(weights)
    while any(left.values()):
        (kind,) = draft.rng.choices(list(left), list(left.values()))
        change = EDITS[kind][0](draft)
        if change is not None:
            return Change(change.module, labelled(kind, change.summary))
        del left[kind]
    return None
