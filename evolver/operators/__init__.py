"""Operators, which edit programs, and the mix of a task that names none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: The operators of a task without [[operator]]; without a model, only the first two.
DEFAULT: Sequence[Mapping[str, Any]] = (
    {"use": "mutate", "weight": 4.0},
    {"use": "crossover", "weight": 1.0},
    {"use": "diff", "weight": 4.0},
    {"use": "rewrite", "weight": 2.0},
    {"use": "persona", "weight": 2.0},
    {"use": "recombine", "weight": 1.0},
    {"use": "plan", "weight": 1.0},
    {"use": "evolution-of-thought", "weight": 1.0},
)
