"""Values of a target function, and the unit of a program's error there."""

from __future__ import annotations

from dataclasses import dataclass

from evolver.scoring.straightline.double_double import Array, DoubleDouble


@dataclass(frozen=True, eq=False)
class Samples:
    """Points of an interval and the target's values there.

    Attributes:
        x: (m,) points.
        values: the target's, to about 31 digits.
        unit: (m,) the size of an error of 1, such as the spacing of float32 numbers at the target;
            None for errors relative to the target.
    """

    x: Array
    values: DoubleDouble
    unit: Array | None = None

    def errors(self, values: Array) -> Array:
        """Return the errors of values (..., m), in float64."""
        wanted = self.values.high
        return values / wanted - 1.0 if self.unit is None else (values - wanted) / self.unit

    def fine_errors(self, values: DoubleDouble) -> Array:
        """Return the errors of values (..., m) that are known to 31 digits."""
        unit = self.values if self.unit is None else self.unit
        return ((values - self.values) / unit).high

    @property
    def weights(self) -> Array:
        """The derivative of the errors by the values, (m,)."""
        return 1.0 / (self.values.high if self.unit is None else self.unit)
