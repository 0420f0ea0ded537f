"""evolver: give it a program and a way to score it; get a better program, with evidence."""

from evolver.types import Candidate, Evaluation, Program, Result

__all__ = ["Candidate", "Evaluation", "Program", "Result"]
