"""Operators that ask a model. `asking` holds what they share."""

from evolver.operators.llm.diff import Diff
from evolver.operators.llm.evolution import EvolutionOfThought
from evolver.operators.llm.persona import Persona
from evolver.operators.llm.plan import Plan
from evolver.operators.llm.recombine import Recombine
from evolver.operators.llm.rewrite import Rewrite

__all__ = ["Diff", "EvolutionOfThought", "Persona", "Plan", "Recombine", "Rewrite"]
