"""The classical approximations of 2**x on [0, 1], as points (operations, largest relative error).

    python evaluators/exp2/baselines.py            # recompute the table and print it
    python evaluators/exp2/baselines.py --write    # and store it beside this file

Every error is a minimax error, found by exchange (Remez 1934) in 50-digit arithmetic, except in the
Taylor and Padé columns, which are expansions about a point. Counting follows `straightline`: a
polynomial of degree n in Horner's form takes 2n operations, a ratio of degrees (m, n) with a monic
denominator 2(m + n), as a continued fraction (n, n) 3n and (n - 1, n) 3n - 1, k squarings of an
approximation of 2**(x / 2**k) take k more.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mpmath
from mpmath import mpf

from evolver.scoring.straightline.exchange import Coefficients, Number, chebyshev, least_error

STORED = Path(__file__).with_name("baselines.csv")
DIGITS = 50
MOST_OPERATIONS = 14

Form = Callable[[Coefficients, Number], Number]  # (free coefficients, x) -> value


@dataclass(frozen=True)
class Baseline:
    """One approximation: its series, cost, error and name."""

    series: str
    operations: int
    error: float
    name: str


# --- forms ----------------------------------------------------------------------------------------


def horner(coefficients: Coefficients, x: Number) -> Number:
    """Return the polynomial's value; the coefficients are in ascending order."""
    total = mpf(0)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total


def ratio(m: int) -> Form:
    """Return the ratio of a polynomial of degree m and a monic one."""

    def value(free: Coefficients, x: Number) -> Number:
        return horner(free[: m + 1], x) / horner([*free[m + 1 :], mpf(1)], x)

    return value


def odd(free: Coefficients, x: Number) -> Number:
    """Return N(x) / N(-x) for a monic N, which is (W + x) / (W - x) with W a ratio in x**2."""
    coefficients = [*free, mpf(1)]
    return horner(coefficients, x) / horner(coefficients, -x)


def nested(free: Coefficients, x: Number) -> Number:
    """Return (u + c) / (u - c), where u <- u + a / u is iterated from x; free = (c, a, ...).

    This is the form of Real 2023 (https://arxiv.org/abs/2312.08472) with constants such that the
    value at 0 is 1. It avoids the division by x, which is undefined at 0.
    """
    numerator, denominator = x, mpf(1)  # u = numerator / denominator
    for a in free[1:]:
        numerator, denominator = (
            numerator * numerator + a * denominator * denominator,
            numerator * denominator,
        )
    c = free[0] * denominator
    return (numerator + c) / (numerator - c)


# --- minimax errors -------------------------------------------------------------------------------


def minimax_error(form: Form, start: Coefficients, squarings: int = 0) -> Number:
    """Return the smallest largest relative error of form(coefficients, x)**(2**k) for 2**x.

    Args:
        form: has as many alternating extrema as free coefficients, plus one.
        start: coefficients near the best ones.
        squarings: k.

    Raises:
        ArithmeticError: the exchange does not settle; the start was too far away.
    """
    power = 2**squarings

    def error(coefficients: Coefficients, x: Number) -> Number:
        return form(coefficients, x) ** power / mpf(2) ** x - 1

    return least_error(error, start)


def _interpolated(
    rows: Callable[[Number, Number], tuple[list[Number], Number]], count: int, squarings: int
) -> list[Number]:
    """Return the coefficients that meet 2**(x / 2**k) at Chebyshev points.

    Args:
        rows: from a point and the value there, the factors of the coefficients and the right side.
        count: number of coefficients.
        squarings: k.
    """
    matrix, right = mpmath.matrix(count, count), mpmath.matrix(count, 1)
    for i, x in enumerate(chebyshev(count)):
        factors, right[i] = rows(x, mpf(2) ** (x / 2**squarings))
        for j, factor in enumerate(factors):
            matrix[i, j] = factor
    return list(mpmath.lu_solve(matrix, right))


def ratio_error(m: int, n: int, squarings: int = 0) -> Number:
    """Return the minimax error of a ratio of degrees (m, n), squared k times."""

    def rows(x: Number, value: Number) -> tuple[list[Number], Number]:
        powers = [x**i for i in range(max(m, n) + 1)]
        if n == 0:
            return powers[: m + 1], value
        return powers[: m + 1] + [-value * p for p in powers[:n]], value * powers[n]

    start = _interpolated(rows, m + n + 1, squarings)
    return minimax_error(horner if n == 0 else ratio(m), start, squarings)


def _odd_start(count: int, squarings: int) -> list[Number]:
    def rows(x: Number, value: Number) -> tuple[list[Number], Number]:
        factors = [x**i - value * (-x) ** i for i in range(count + 1)]
        return factors[:count], -factors[count]

    return _interpolated(rows, count, squarings)


def odd_error(literals: int, squarings: int = 0) -> Number:
    """Return the minimax error of N(x) / N(-x) with that many free coefficients, k squarings."""
    return minimax_error(odd, _odd_start(literals, squarings), squarings)


def nested_error(iterations: int, squarings: int = 0) -> Number:
    """Return the minimax error of the nested form with 1 or 2 iterations, squared k times."""
    rate = mpmath.log(2) / 2**squarings
    # u must be near c / tanh(rate * x / 2): match the first terms of its series at x = 0.
    if iterations == 1:
        a = 12 / rate**2
        start = [a * rate / 2, a]
    else:
        a = (30 + mpmath.sqrt(180)) / rate**2  # the better of two solutions
        start = [a * rate / 2, a, a**3 * rate**4 / 720]
    return minimax_error(nested, start, squarings)


def taylor_error(degree: int, centre: Number | None = None) -> Number:
    """Return the largest relative error of the Taylor polynomial about a centre, else the best."""
    log2 = mpmath.log(2)

    def error(y: Number) -> Number:
        total = sum((log2 * y) ** i / mpmath.factorial(i) for i in range(degree + 1))
        return abs(total / mpf(2) ** y - 1)

    if centre is not None:
        return max(error(-centre), error(1 - centre))
    low, high = mpf(0), mpf(1)
    while high - low > mpf("1e-15"):  # the errors at the two ends are equal at the best centre
        centre = (low + high) / 2
        if error(-centre) < error(1 - centre):
            low = centre
        else:
            high = centre
    return error(-low)


def pade_error(n: int) -> Number:
    """Return the largest relative error of the (n, n) Padé approximant about 1/2."""
    coefficients = [
        mpmath.binomial(n, i) * mpmath.factorial(2 * n - i) / mpmath.factorial(2 * n)
        for i in range(n + 1)
    ]
    y = mpmath.log(2) / 2
    return abs(horner(coefficients, y) / horner(coefficients, -y) / mpmath.exp(y) - 1)


# --- the table ------------------------------------------------------------------------------------

SERIES = (
    "Taylor",
    "Padé",
    "minimax polynomial",
    "minimax ratio",
    "continued fraction",
    "with squarings",
    "best structured",
)


def _continued_fraction_operations(degrees: int) -> int:
    return 3 * degrees // 2 if degrees % 2 == 0 else 3 * (degrees + 1) // 2 - 1


def _squared(times: int) -> str:
    return {0: "", 1: ", squared"}.get(times, f", squared {times} times")


def _expansions(most: int) -> Iterable[Baseline]:
    for degree in range(1, most // 2 + 1):
        yield Baseline("Taylor", 2 * degree, float(taylor_error(degree)), f"degree {degree}")
        error = float(ratio_error(degree, 0))
        yield Baseline("minimax polynomial", 2 * degree, error, f"degree {degree}")
    for n in range(1, most // 3 + 1):
        yield Baseline("Padé", 3 * n, float(pade_error(n)), f"({n},{n})")


def _ratios(most: int) -> Iterable[Baseline]:
    """Yield the ratios: (m, n) and (n, m) are equally good for 2**x, best for m near n."""
    for degrees in range(1, most):
        m, n = degrees // 2, degrees - degrees // 2
        operations = _continued_fraction_operations(degrees)
        for squarings in range(most - operations + 1):
            error = float(ratio_error(m, n, squarings))
            name = f"({m},{n}){_squared(squarings)}"
            if squarings == 0:
                yield Baseline("minimax ratio", 2 * degrees, error, name)
                yield Baseline("continued fraction", operations, error, name)
            yield Baseline("with squarings", operations + squarings, error, name)


def _structured(most: int) -> Iterable[Baseline]:
    for iterations in (1, 2):
        for k in range(most - 3 - 2 * iterations + 1):
            name = f"(u+c)/(u-c), u + a/u {'once' if iterations == 1 else 'twice'}{_squared(k)}"
            error = float(nested_error(iterations, k))
            yield Baseline("best structured", 3 + 2 * iterations + k, error, name)
    for literals in (3, 5, 7):
        operations = 3 * (literals + 1) // 2 + 1
        for k in range(most - operations + 1):
            name = f"(W+x)/(W-x), W of {literals} literals in x*x{_squared(k)}"
            error = float(odd_error(literals, k))
            yield Baseline("best structured", operations + k, error, name)


def compute(most: int = MOST_OPERATIONS) -> list[Baseline]:
    """Compute every baseline of at most that many operations."""
    with mpmath.workdps(DIGITS):
        found = [*_expansions(most), *_ratios(most), *_structured(most)]
    return [baseline for baseline in found if baseline.operations <= most]


# A series includes those that its form contains: a polynomial is a ratio, a ratio in Horner's form
# can be written as a continued fraction, and both are forms with no squarings.
_INCLUDES: Mapping[str, tuple[str, ...]] = {
    "minimax ratio": ("minimax polynomial",),
    "continued fraction": ("minimax polynomial", "minimax ratio"),
    "with squarings": ("minimax polynomial", "minimax ratio", "continued fraction"),
    "best structured": ("minimax ratio", "continued fraction", "with squarings"),
}


def best_of(baselines: Iterable[Baseline], most: int = MOST_OPERATIONS) -> list[Baseline]:
    """Return for each series and operation count the best baseline that costs no more."""
    known = list(baselines)
    best = []
    for series in SERIES:
        members = {series, *_INCLUDES.get(series, ())}
        for operations in range(2, most + 1):
            fitting = [b for b in known if b.series in members and b.operations <= operations]
            if fitting:
                winner = min(fitting, key=lambda baseline: baseline.error)
                best.append(Baseline(series, operations, winner.error, winner.name))
    return best


def stored() -> list[Baseline]:
    """Return the table beside this file."""
    with STORED.open(newline="", encoding="utf-8") as file:
        return [
            Baseline(row["series"], int(row["operations"]), float(row["error"]), row["name"])
            for row in csv.DictReader(file)
        ]


def _printed(table: Sequence[Baseline]) -> str:
    errors = {(b.series, b.operations): b.error for b in table}
    lines = ["ops  " + "  ".join(f"{series:>18}" for series in SERIES)]
    for operations in sorted({b.operations for b in table}):
        cells = (errors.get((series, operations)) for series in SERIES)
        shown = (f"{'-' if error is None else format(error, '.4g'):>18}" for error in cells)
        lines.append(f"{operations:3}  " + "  ".join(shown))
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Recompute the table and print it; with --write, store it."""
    table = best_of(compute())
    print(_printed(table))
    if "--write" in arguments:
        with STORED.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["series", "operations", "error", "name"])
            writer.writerows((b.series, b.operations, f"{b.error:.6e}", b.name) for b in table)


if __name__ == "__main__":
    main(sys.argv[1:])
