"""Edits in a model's answer, read and applied inside the editable regions. Pure functions.

Two formats: SEARCH/REPLACE blocks (`parse`, `apply`, `make`) and code to stand in place of a whole
region or file (`rewrite`). Whatever cannot be applied raises `EditError`, whose `report` is what a
repair prompt says to the model.
"""

from evolver.diffs.answers import summary
from evolver.diffs.blocks import Edit, apply, make, parse
from evolver.diffs.rewrites import rewrite

__all__ = ["Edit", "apply", "make", "parse", "rewrite", "summary"]
