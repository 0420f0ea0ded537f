"""Operators that need no model: random edits and recombination of Python syntax trees."""

from evolver.operators.genetic.mutate import EDITS, Mutate, applies_to

__all__ = ["EDITS", "Mutate", "applies_to"]
