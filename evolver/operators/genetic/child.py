"""What all genetic operators do before and after edits: read, simplify, check, propose."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from evolver.errors import ProposalError
from evolver.operators.genetic.analysis import survey
from evolver.operators.genetic.comments import without_untrue
from evolver.operators.genetic.draft import Change
from evolver.operators.genetic.fragment import Fragment, read_fragments, write_fragments
from evolver.operators.genetic.grammar import Grammar
from evolver.operators.genetic.simplify import simplify
from evolver.operators.genetic.survey import SAFE, Survey
from evolver.programs.edits import violation
from evolver.types import Brief, Context, Files, Proposal, Tune

_LEAST_CREDIT = 0.2


@dataclass(frozen=True)
class Tree:
    """A program's editable Python: its fragments, each with its survey."""

    files: Files
    fragments: tuple[Fragment, ...]
    surveys: tuple[Survey, ...]

    def with_change(self, index: int, change: Change) -> Tree:
        """Return the program with one fragment changed."""
        fragment = self.fragments[index].with_module(change.module)
        return Tree(
            self.files,
            (*self.fragments[:index], fragment, *self.fragments[index + 1 :]),
            (*self.surveys[:index], survey(fragment), *self.surveys[index + 1 :]),
        )

    def sizes(self) -> list[int]:
        """Return the number of sites in each fragment, as weights for a choice."""
        return [len(each.sites) + 1 for each in self.surveys]


def read_tree(files: Files) -> Tree:
    """Read the editable regions of a program.

    Raises:
        ProposalError: no region holds Python.
    """
    fragments = read_fragments(files)
    if not fragments:
        raise ProposalError(
            "no editable Python: no editable region of a .py file holds whole statements"
        )
    return Tree(files, fragments, tuple(survey(fragment) for fragment in fragments))


def applies_to(brief: Brief) -> bool:
    """Does the program have an editable region that holds Python?"""
    return bool(read_fragments(brief.seed))


def credited(weights: Mapping[str, float], credit: Mapping[str, float]) -> dict[str, float]:
    """Return the weights of edits times the squares of their kinds' shares of success.

    No weight becomes zero: an edit that fails on one program may help another.
    """
    return {
        kind: weight * max(credit.get(kind, 1.0), _LEAST_CREDIT) ** 2
        for kind, weight in weights.items()
    }


@contextmanager
def depth_limited() -> Iterator[None]:
    """Edit trees as deep as Python's recursion allows.

    Raises:
        ProposalError: the program is nested more deeply.
    """
    try:
        yield
    except RecursionError as error:
        raise ProposalError("the program is nested too deeply to be edited as a tree") from error


@dataclass(frozen=True)
class Drawn:
    """A child before simplification."""

    tree: Tree
    summary: str
    parents: tuple[int, ...] | None = None


def first_new(
    context: Context,
    parent: Tree,
    draw: Callable[[bool], Drawn | None],
    grammar: Grammar,
    tries: int,
    is_simplified: bool,
    tune: Tune | None,
    refits: int,
) -> Proposal:
    """Draw children until one is sound and new, and its structure not exhausted.

    Args:
        context: knows earlier programs.
        parent: the program that is edited.
        draw: returns a child, bold or not (see `Draft`), or None where it found nothing.
        grammar: for simplification.
        tries: how often to draw.
        is_simplified: simplify the child?
        tune: what the proposal asks for.
        refits: a structure that was fitted this often is proposed only if no other is found.

    Raises:
        ProposalError: no child was new.
    """
    known = [parent.files, *(each.program.files for each in context.inspirations)]
    exhausted: Proposal | None = None
    is_bold = context.rng.random() >= SAFE
    for number in range(tries):
        drawn = draw(is_bold or 2 * number >= tries)
        if drawn is None:
            continue
        fragments: Sequence[Fragment] = drawn.tree.fragments
        if is_simplified:
            fragments = [
                after
                if after is before
                else after.with_module(
                    simplify(after, surveyed, before_survey, grammar, merge=tune is not None)
                )
                for after, before, surveyed, before_survey in zip(
                    drawn.tree.fragments,
                    parent.fragments,
                    drawn.tree.surveys,
                    parent.surveys,
                    strict=True,
                )
            ]
        fragments = [
            after
            if after is before
            else after.with_module(without_untrue(after.module, after.root, surveyed))
            for after, before, surveyed in zip(
                fragments, parent.fragments, parent.surveys, strict=True
            )
        ]
        files = write_fragments(parent.files, fragments)
        if files in known or not is_sound(context.brief, files) or context.is_seen(files):
            continue
        proposal = Proposal(files, drawn.summary, drawn.parents, tune)
        if tune is None or context.fits(files) < refits:
            return proposal
        exhausted = exhausted or proposal
    if exhausted is not None:
        return exhausted
    raise ProposalError(f"no new child was found in {tries} tries")


def is_sound(brief: Brief, files: Files) -> bool:
    """Does every changed Python file parse, and is nothing changed outside the regions?"""
    for path, source in files.items():
        if path.endswith(".py") and source != brief.seed.get(path):
            try:
                compile(source, path, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
            except (SyntaxError, ValueError, RecursionError):
                return False
    return violation(brief.seed, files) is None
