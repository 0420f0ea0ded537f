"""Straight-line programs of one argument: for evaluators of approximations.

Guest code calls the candidate's function on a symbolic argument in its own process (`GUEST`,
`trace`). The evaluator checks the list of operations that comes out (`parse`), counts it
(`count_operations`), evaluates it in the arithmetic of its operands (`StraightLine.run`) and fits
its literals (`LineResiduals`). A candidate cannot reach what is computed here from its list.
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
