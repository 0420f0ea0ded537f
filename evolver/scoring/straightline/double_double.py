"""Arithmetic on unevaluated sums of two float64: about 31 digits at numpy's speed.

Dekker 1971 (https://doi.org/10.1007/BF01397083); the algorithms are those analysed by
Joldes 2017 (https://doi.org/10.1145/3121432), without fused multiply-add, which numpy lacks.
Unlike `numpy.longdouble` it is the same on every machine, and it is precise enough to measure
errors far below float64's own resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_SPLITTER = 134217729.0  # 2**27 + 1


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    total = a + b
    from_b = total - a
    return total, (a - (total - from_b)) + (b - from_b)


def _quick_two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """As `_two_sum`, for |a| >= |b|."""
    total = a + b
    return total, b - (total - a)


def _halves(a: Array) -> tuple[Array, Array]:
    scaled = _SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high


def _two_product(a: Array, b: Array) -> tuple[Array, Array]:
    product = a * b
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _settled(plain: Array, high: Array, low: Array) -> DoubleDouble:
    """Return high + low, but the plain result where that is infinite or NaN.

    There the corrections are inf - inf, which means nothing.
    """
    if not np.isfinite(low).all():
        is_usual = np.isfinite(plain)
        high, low = np.where(is_usual, high, plain), np.where(is_usual, low, 0.0)
    return DoubleDouble(high, low)


@dataclass(frozen=True, eq=False)
class DoubleDouble:
    """An array of numbers `high + low`, |low| at most half a unit in the last place of `high`.

    Operands may be DoubleDouble, float64 arrays or floats, which are exact. Infinities follow
    IEEE 754; products beyond about 1e299 become NaN.
    """

    high: Array
    low: Array

    __array_ufunc__ = None  # numpy arrays leave mixed operations to this class

    @classmethod
    def of(cls, value: DoubleDouble | Array | float) -> DoubleDouble:
        """Return the value as a DoubleDouble, exactly."""
        if isinstance(value, DoubleDouble):
            return value
        high = np.asarray(value, dtype=np.float64)
        return cls(high, np.zeros_like(high))

    @classmethod
    def of_mpf(cls, values: Sequence[Any]) -> DoubleDouble:
        """Return mpmath numbers rounded to two float64 each."""
        high = [float(value) for value in values]
        low = [float(value - h) for value, h in zip(values, high, strict=True)]
        return cls(np.array(high), np.array(low))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.high.shape

    def __getitem__(self, index: Any) -> DoubleDouble:
        return DoubleDouble(self.high[index], self.low[index])

    def __neg__(self) -> DoubleDouble:
        return DoubleDouble(-self.high, -self.low)

    def __add__(self, other: DoubleDouble | Array | float) -> DoubleDouble:
        if not isinstance(other, DoubleDouble):
            total, error = _two_sum(self.high, np.asarray(other, dtype=np.float64))
            return _settled(total, *_quick_two_sum(total, error + self.low))
        plain, error = _two_sum(self.high, other.high)
        low, low_error = _two_sum(self.low, other.low)
        total, error = _quick_two_sum(plain, error + low)
        return _settled(plain, *_quick_two_sum(total, error + low_error))

    __radd__ = __add__

    def __sub__(self, other: DoubleDouble | Array | float) -> DoubleDouble:
        return self + (-other)

    def __rsub__(self, other: Array | float) -> DoubleDouble:
        return (-self) + other

    def __mul__(self, other: DoubleDouble | Array | float) -> DoubleDouble:
        if not isinstance(other, DoubleDouble):
            factor = np.asarray(other, dtype=np.float64)
            product, error = _two_product(self.high, factor)
            return _settled(product, *_quick_two_sum(product, error + self.low * factor))
        product, error = _two_product(self.high, other.high)
        error = error + (self.high * other.low + self.low * other.high)
        return _settled(product, *_quick_two_sum(product, error))

    __rmul__ = __mul__

    def __truediv__(self, other: DoubleDouble | Array | float) -> DoubleDouble:
        divisor = DoubleDouble.of(other)
        first = self.high / divisor.high
        rest = self - divisor * first
        second = rest.high / divisor.high
        rest = rest - divisor * second
        third = rest.high / divisor.high
        total, error = _quick_two_sum(first, second)
        high, low = _quick_two_sum(total, error + third)
        is_usual = np.isfinite(first) & np.isfinite(divisor.high) & np.isfinite(self.high)
        if not is_usual.all():
            high, low = np.where(is_usual, high, first), np.where(is_usual, low, 0.0)
        return DoubleDouble(high, low)

    def __rtruediv__(self, other: Array | float) -> DoubleDouble:
        return DoubleDouble.of(other) / self
