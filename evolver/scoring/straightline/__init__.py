"""Straight-line programs of one argument: for evaluators of approximations.

The candidate's function is called on a symbolic argument in its own process (`GUEST`, `trace`),
and the list of operations that comes out is checked (`parse`), counted (`count_operations`),
evaluated in whatever arithmetic its operands have (`StraightLine.run`) and fitted
(`LineResiduals`). A list is a construction: what is computed from it here, no candidate can reach.
"""

from pathlib import Path

from evolver.scoring.straightline.calling import require_values, trace, trace_parameters
from evolver.scoring.straightline.counting import count_operations
from evolver.scoring.straightline.double_double import Array, DoubleDouble
from evolver.scoring.straightline.line import MAX_NODES, Node, StraightLine, parse
from evolver.scoring.straightline.residuals import LineResiduals
from evolver.scoring.straightline.samples import Samples

#: The guest code with `trace`, `trace_parameters` and `values`: name it "guest.py" in an
#: evaluator's `guest`. Standard library only.
GUEST = Path(__file__).with_name("tracing.py")

__all__ = [
    "GUEST",
    "MAX_NODES",
    "Array",
    "DoubleDouble",
    "LineResiduals",
    "Node",
    "Samples",
    "StraightLine",
    "count_operations",
    "parse",
    "require_values",
    "trace",
    "trace_parameters",
]
