"""Check what a candidate returned and compute with it exactly: for evaluators of constructions.

A score that depends on a tolerance is only as good as the tolerance, and a candidate's report of
its own score proves nothing. So take the raw construction and check its type, shape and range
first. Turn its floats into integers once: the rounded construction is the one that is scored.
Compute the score from these by integers and fractions, and round only the result, towards the worse
side.

The functions that check raise `CandidateOutputError` with a message for the candidate's author.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolver.errors import CandidateOutputError

BITS = 60  # of the largest entry: more than a float has


def one_file(paths: Collection[str], suffix: str) -> str:
    """Return the path of a program's only file of a kind.

    Args:
        paths: of all of its files.
        suffix: of the kind: ".c".

    Raises:
        CandidateOutputError: there is no such file, or several.
    """
    found = sorted(path for path in paths if path.endswith(suffix))
    if len(found) != 1:
        raise CandidateOutputError(
            f"the program must be one file that ends in {suffix}, and there are {len(found)}: "
            + (", ".join(found) or f"it is {', '.join(sorted(paths)) or 'empty'}")
        )
    return found[0]


def reals(
    value: object,
    shape: Sequence[int | None],
    what: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
) -> NDArray[np.float64]:
    """Return a candidate's answer as finite floats.

    Args:
        value: an array of floats or integers, or nested lists of them.
        shape: lengths of the axes; None for any length from 1 on.
        what: its name for messages: "centers".
        low: least entry allowed.
        high: largest entry allowed.

    Raises:
        CandidateOutputError: the value is of another type, shape or range.
    """
    array = _array(value, shape, what)
    if array.dtype.kind not in "fiu":
        raise CandidateOutputError(f"{what} must be real numbers, not {array.dtype}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise CandidateOutputError(f"{what} must be finite")
    if array.size and not low <= array.min() <= array.max() <= high:
        raise CandidateOutputError(
            f"{what} must lie in [{low:g}, {high:g}]; they go from {array.min():.6g} to "
            f"{array.max():.6g}"
        )
    return array


def integers(
    value: object, shape: Sequence[int | None], what: str, *, largest: int = 2**53
) -> NDArray[np.object_]:
    """Return a candidate's answer as an array of Python's integers, which never overflow.

    Floats pass where they are whole.

    Args:
        value: an array or nested lists.
        shape: as in `reals`.
        what: its name for messages.
        largest: the largest magnitude allowed.

    Raises:
        CandidateOutputError: the value is of another type, shape or range.
    """
    array = _array(value, shape, what)
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.floor(array)).all():
        array = array.astype(object)
    if array.dtype.kind not in "iuO":
        raise CandidateOutputError(f"{what} must be integers, not {array.dtype}")
    entries = [_integer(entry, what) for entry in array.ravel().tolist()]
    if any(abs(entry) > largest for entry in entries):
        raise CandidateOutputError(f"{what} must not exceed {largest} in magnitude")
    result = np.empty(len(entries), dtype=object)
    result[:] = entries
    return result.reshape(array.shape)


def _integer(entry: object, what: str) -> int:
    if isinstance(entry, float) and entry.is_integer():
        return int(entry)
    if type(entry) is not int:
        raise CandidateOutputError(f"{what} must be integers, not {type(entry).__name__}")
    return entry


def _array(value: object, shape: Sequence[int | None], what: str) -> NDArray[Any]:
    if not isinstance(value, np.ndarray | list | tuple):
        raise CandidateOutputError(f"{what} must be an array, not {type(value).__name__}")
    try:
        array = np.asarray(value)
    except ValueError:
        raise CandidateOutputError(f"{what} must be an array, its rows of equal length") from None
    fits = len(array.shape) == len(shape) and all(
        length >= 1 if wanted is None else length == wanted
        for length, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = " x ".join("any" if length is None else str(length) for length in shape)
        got = " x ".join(map(str, array.shape)) or "nothing"
        raise CandidateOutputError(f"{what} must have the shape {wanted}, not {got}")
    return array


def rounded(array: NDArray[np.float64], bits: int = BITS) -> tuple[NDArray[np.object_], Fraction]:
    """Return integers and a unit so that entry = integer * unit, up to a rounding.

    The largest entry gets `bits` bits, so that floats of similar size are exact. Tiny ones, which
    would need huge integers, become 0.

    Args:
        array: finite floats of any shape.
        bits: of the largest magnitude.
    """
    largest = float(np.abs(array).max(initial=0.0))
    shift = bits - math.frexp(largest)[1]
    result = np.empty(array.size, dtype=object)
    result[:] = [round(Fraction(x) * Fraction(2) ** shift) for x in array.ravel().tolist()]
    return result.reshape(array.shape), Fraction(2) ** -shift


def autocorrelation(values: Sequence[int]) -> list[int]:
    """Return the coefficients of the polynomial's square: conv[k] = sum of v[i] v[k - i]."""
    return convolution(values, values)


def convolution(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Return the coefficients of the product of two polynomials with integer coefficients.

    Both are evaluated at a power of two so large that the coefficients of the product do not
    overlap. One multiplication of long integers gives them all (Kronecker 1882).
    """
    most = max(1, *map(abs, one)) * max(1, *map(abs, other)) * min(len(one), len(other))
    width = most.bit_length() // 8 + 1  # bytes of a coefficient, its sign included
    product = _packed(one, width) * _packed(other, width)
    sign = -1 if product < 0 else 1
    count = len(one) + len(other) - 1
    text = abs(product).to_bytes((count + 1) * width, "little")
    half, base = 1 << (8 * width - 1), 1 << (8 * width)
    result, carry = [], 0
    for start in range(0, count * width, width):
        digit = int.from_bytes(text[start : start + width], "little") + carry
        carry = digit >= half
        result.append(sign * (digit - base if carry else digit))
    return result


def _packed(values: Sequence[int], width: int) -> int:
    """Return the sum of values[i] * 256**(width * i)."""
    positive = b"".join(max(value, 0).to_bytes(width, "little") for value in values)
    negative = b"".join(max(-value, 0).to_bytes(width, "little") for value in values)
    return int.from_bytes(positive, "little") - int.from_bytes(negative, "little")


def below(value: Fraction) -> float:
    """Return the largest float that does not exceed a fraction: for a score to maximise."""
    nearest = float(value)
    return math.nextafter(nearest, -math.inf) if Fraction(nearest) > value else nearest


def above(value: Fraction) -> float:
    """Return the smallest float that a fraction does not exceed: for a score to minimise."""
    return -below(-value)


def root_below(value: Fraction, bits: int = 2 * BITS) -> Fraction:
    """Return a lower bound of a square root, by less than 2**-bits times its unit."""
    scale = 1 << (2 * bits)
    return Fraction(math.isqrt(value.numerator * scale // value.denominator), 1 << bits)
