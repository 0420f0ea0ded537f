"""Operators that need no model: random edits and recombination of Python syntax trees.

Programs are trees of libcst, which keeps every byte; only the editable regions are parsed. The
edits are the classical ones of genetic programming (Koza 1992, https://doi.org/10.1007/BF00175355)
on ordinary Python, each applied where the inferred types agree.
"""

from evolver.operators.genetic.child import applies_to
from evolver.operators.genetic.crossover import Crossover
from evolver.operators.genetic.mutate import EDITS, Mutate
from evolver.operators.genetic.refit import Refit

__all__ = ["EDITS", "Crossover", "Mutate", "Refit", "applies_to"]
