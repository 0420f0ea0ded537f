"""The functions to approximate, each with the interval of its reduced argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

BINADE = 2**23  # floats in each


@dataclass(frozen=True)
class Function:
    """A function of one float on an interval of them.

    Attributes:
        text: formula for messages.
        exact: in C, of the double x; the error is that of the C library, about 1e-8 float ULP.
        library: in C, of the float x: the library's function, for comparison.
        on_gpu: the same in Triton.
        low: start of the interval, a float of at least 0.
        high: its end, inclusive.
        binade: start of the binade that is measured completely for each candidate.
    """

    text: str
    exact: str
    library: str
    on_gpu: str
    low: float
    high: float
    binade: float

    @property
    def first(self) -> int:
        """The bits of the first float of the interval."""
        return bits(self.low)

    @property
    def binade_start(self) -> int:
        """The bits of the first float of the binade."""
        return bits(self.binade)

    @property
    def count(self) -> int:
        """How many floats the interval has."""
        return bits(self.high) - bits(self.low) + 1


def bits(x: float) -> int:
    """Return the bits of a float32 number; for numbers of at least 0 they keep the order."""
    return int(np.float32(x).view(np.uint32))


def float_of(pattern: int) -> float:
    """Return the float32 number with these bits."""
    return float(np.uint32(pattern).view(np.float32))


# A library reduces other arguments to these intervals: for 2**x and e**x by powers of two, for log2
# by the exponent, for sin and cos by multiples of pi / 2 (to at most pi / 4), and half of them by
# symmetry. A zero at an end requires a small relative error there.
FUNCTIONS: Mapping[str, Function] = {
    "exp2": Function("2**x", "exp2(x)", "exp2f(x)", "libdevice.exp2(x)", 0.0, 1.0, 0.5),
    "exp": Function("e**x", "exp(x)", "expf(x)", "libdevice.exp(x)", 0.0, 0.75, 0.25),
    "log2": Function("log2(x)", "log2(x)", "log2f(x)", "libdevice.log2(x)", 1.0, 2.0, 1.0),
    "sin": Function("sin(x)", "sin(x)", "sinf(x)", "libdevice.sin(x)", 0.0, 1.0, 0.5),
    "cos": Function("cos(x)", "cos(x)", "cosf(x)", "libdevice.cos(x)", 0.0, 1.0, 0.5),
    "atan": Function("atan(x)", "atan(x)", "atanf(x)", "libdevice.atan(x)", 0.0, 1.0, 0.5),
    "tanh": Function("tanh(x)", "tanh(x)", "tanhf(x)", "libdevice.tanh(x)", 0.0, 1.0, 0.5),
    "erf": Function("erf(x)", "erf(x)", "erff(x)", "libdevice.erf(x)", 0.0, 1.0, 0.5),
    "bessel_j0": Function("J0(x)", "j0(x)", "j0f(x)", "libdevice.j0(x)", 0.5, 2.0, 1.0),
    "bessel_i_half": Function(
        "I_1/2(x) = sqrt(2 / (pi x)) sinh(x)",
        "sqrt(0.63661977236758134308 / x) * sinh(x)",
        "sqrtf(0.63661977f / x) * sinhf(x)",
        "libdevice.sqrt(0.63661977 / x) * libdevice.sinh(x)",
        1.0,
        2.0,
        1.0,
    ),
}
