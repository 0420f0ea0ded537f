"""Gets a candidate's straight line from its process, and checks that it is the program."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evolver.errors import CandidateCrashed, CandidateOutputError
from evolver.scoring.straightline.line import StraightLine, parse
from evolver.types import Candidate

CHECKED_INPUTS = 16
TOLERANCE = 1e-9  # relative; the list and the program make the same roundings, so it is generous


def trace(candidate: Candidate, function: str, low: float, high: float) -> StraightLine:
    """Return the straight line that a candidate's function computes.

    It is compared with the function's own values at secret random inputs.

    Args:
        candidate: whose evaluator has `GUEST` as "guest.py".
        function: name of its function of one argument.
        low: of the inputs.
        high: of the inputs.

    Raises:
        CandidateError: the function is no straight line.
    """
    line = parse(candidate.call("guest:trace", function))
    inputs = [candidate.rng.uniform(low, high) for _ in range(CHECKED_INPUTS)]
    _check(line, function, inputs, candidate.call("guest:values", function, inputs))
    return line


def trace_parameters(candidate: Candidate, function: str) -> StraightLine:
    """Return the same with the candidate's literals as parameters.

    Raises:
        CandidateError: the program is no straight line in its argument and its literals.
    """
    return parse(candidate.call("guest:trace_parameters", function), len(candidate.parameters))


def require_values(candidate: Candidate, function: str, points: Sequence[float]) -> None:
    """Check that a candidate's function returns a finite float at each point, as plain Python.

    In IEEE 754 c/0 is infinity; in Python it raises.

    Raises:
        CandidateError: the function raises, or returns something else.
    """
    for x in points:
        try:
            value = candidate.call(function, x)
        except CandidateCrashed as error:
            raise CandidateOutputError(
                f"{function}({x!r}) raises as plain Python, where c/0 is an error. Do not divide "
                "by 0 there, or return the value for this x in a line before the editable region\n"
                f"{error}"
            ) from error
        if type(value) not in (float, int) or not math.isfinite(value):
            raise CandidateOutputError(
                f"{function}({x!r}) is {value!r}; it must be a finite number"
            )


def _check(line: StraightLine, function: str, inputs: Sequence[float], returned: object) -> None:
    """Raise CandidateOutputError unless the returned values are those of the list."""
    if not isinstance(returned, list | tuple) or len(returned) != len(inputs):
        raise CandidateOutputError("the guest returned no value for each input")
    if any(type(value) is not float for value in returned):
        raise CandidateOutputError("the guest returned a value that is no float")
    with np.errstate(all="ignore"):
        expected = line.run(np.array(inputs))[-1]
    expected = np.broadcast_to(expected, len(inputs))
    if not np.allclose(returned, expected, rtol=TOLERANCE, atol=0.0, equal_nan=True):
        raise CandidateOutputError(
            f"{function}(x) called with a number differs from the same function called "
            "with a symbol: it must compute the same straight line for every argument"
        )
