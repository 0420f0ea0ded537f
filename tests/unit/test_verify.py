"""Exact arithmetic on what candidates return, against the plain definitions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolver.errors import CandidateOutputError
from evolver.scoring import verify

whole = st.lists(st.integers(-(2**70), 2**70), min_size=1, max_size=12)
floats = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(whole, whole)
def test_convolution_is_the_product_of_polynomials(one: list[int], other: list[int]) -> None:
    expected = [0] * (len(one) + len(other) - 1)
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            expected[i + j] += a * b
    assert verify.convolution(one, other) == expected


@given(st.fractions())
def test_floats_are_rounded_towards_the_side_that_is_asked(value: Fraction) -> None:
    low, high = verify.below(value), verify.above(value)
    assert Fraction(low) <= value <= Fraction(high)
    assert high in (low, math.nextafter(low, math.inf))


@given(st.fractions(min_value=0, max_value=10**30))
def test_a_root_is_bounded_from_below(value: Fraction) -> None:
    root = verify.root_below(value)
    assert root**2 <= value < (root + Fraction(1, 2**120)) ** 2


@given(st.lists(floats, min_size=1, max_size=9))
def test_rounding_is_relative_to_the_largest(values: list[float]) -> None:
    array = np.array(values)
    integers, unit = verify.rounded(array)
    largest = max(map(abs, values))
    for entry, value in zip(integers.tolist(), values, strict=True):
        assert abs(entry * unit - Fraction(value)) <= Fraction(largest) / 2 ** (verify.BITS - 1)
    assert all(abs(entry) <= 2**verify.BITS for entry in integers.tolist())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.0, "must be an array, not float"),
        ("text", "must be an array"),
        ([[1.0, 2.0], [3.0]], "rows of equal length"),
        ([1.0, 2.0, 3.0], "must have the shape 2, not 3"),
        ([[1.0, 2.0]], "must have the shape 2, not 1 x 2"),
        ([1.0, math.nan], "must be finite"),
        ([1.0, math.inf], "must be finite"),
        ([1.0, 1j], "must be real numbers, not complex128"),
        ([True, False], "must be real numbers, not bool"),
        (["1.0", "2.0"], "must be real numbers"),
        ([None, 1.0], "must be real numbers"),
        ([-0.5, 1.0], r"must lie in \[0, 2\]"),
        ([1e300, 1.0], r"must lie in \[0, 2\]"),
        ([10**400, 1], "must be real numbers"),
    ],
)
def test_what_is_no_array_of_reals_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(CandidateOutputError, match=reason):
        verify.reals(value, [2], "the values", low=0.0, high=2.0)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([1.5, 2.0], "must be integers, not float"),
        ([math.nan, 2.0], "must be integers, not float"),
        ([True, False], "must be integers, not bool"),
        ([10**30, 1], "must not exceed"),
        ([None, 1], "must be integers, not NoneType"),
        ([], "must have the shape any, not 0"),
    ],
)
def test_what_is_no_array_of_integers_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(CandidateOutputError, match=reason):
        verify.integers(value, [None], "the values")


def test_integers_never_overflow() -> None:
    found = verify.integers([2**60, -(2**60), 3.0], [None], "the values", largest=2**62)
    assert (found * found).tolist() == [2**120, 2**120, 9]
    assert all(type(entry) is int for entry in found)


def test_a_kind_of_file_is_there_once() -> None:
    assert verify.one_file({"a.py": b"", "b/c.c": b""}, ".c") == "b/c.c"
    for paths in ([], ["a.py"], ["a.c", "b.c"]):
        with pytest.raises(CandidateOutputError, match=r"one file that ends in \.c"):
            verify.one_file(paths, ".c")
