"""Scores functions by an uncertainty inequality, AlphaEvolve's appendix B.4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from mpmath import iv

from evolver.errors import CandidateOutputError
from evolver.scoring import verify
from evolver.types import Candidate, Result

Polynomial = list[Fraction]  # coefficients, the constant first; the last one is not 0


@dataclass(frozen=True)
class Evaluator:
    """Bounds the constant C4 of an uncertainty principle from above, by a Hermite combination.

    P = c0 H0 + c1 H4 + c2 H8 + ... with P(0) = 0, which determines the last coefficient, gives a
    function that is its own Fourier transform; if P >= 0 beyond rho, C4 <= rho**2 / (2 pi).
    Gonçalves 2017, https://arxiv.org/abs/1602.03366; Novikov 2025,
    https://arxiv.org/abs/2506.13131, appendix B.4.

    Exact bisection with Sturm's chain finds the last root. Roots without a change of sign count as
    well, so that the bound can only be too large.

    Attributes:
        coefficients: number of coefficients; the degree is four times that.
        function: name of the candidate's function that gets this number and returns so many.
    """

    coefficients: int = 3
    function: str = "coefficients"

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `bound`, rounded up.

        Raises:
            CandidateError: the coefficients are not finite, or the last one of P is 0.
        """
        returned = candidate.call(self.function, self.coefficients)
        given = verify.reals(returned, [self.coefficients], "the coefficients")
        scaled = [Fraction(c) for c in verify.rounded(given)[0].tolist()]
        in_squares = _combination(scaled)
        root = _last_root(in_squares)
        bound = iv.mpf([root.numerator, root.numerator]) / root.denominator / (2 * iv.pi)
        return Result(
            {"bound": float(bound.b)},
            feedback=f"the combination is positive beyond x = {float(root) ** 0.5:.9g}",
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the published bounds of this form; Laguerre's polynomials give lower ones."""
        return {
            "before AlphaEvolve": [{"bound": 0.3523}],
            "AlphaEvolve": [{"bound": 0.3520991044}],
        }


def _combination(given: Sequence[Fraction]) -> Polynomial:
    """Return P(x) / x**2 as a polynomial in x**2, its last coefficient above 0."""
    hermite = _hermite(4 * len(given))
    parts = [hermite[4 * index] for index in range(len(given) + 1)]
    last = -sum((c * part[0] for c, part in zip(given, parts, strict=False)), Fraction(0))
    weights = [*given, last / parts[-1][0]]
    if weights[-1] == 0:
        raise CandidateOutputError(
            "the last coefficient, which P(0) = 0 determines, is 0; change the others"
        )
    total = [Fraction(0)] * len(parts[-1])
    for weight, part in zip(weights, parts, strict=True):
        for power, coefficient in enumerate(part):
            total[power] += weight * coefficient
    sign = 1 if total[-1] > 0 else -1
    return [sign * coefficient for coefficient in total[2::2]]


def _hermite(degree: int) -> list[list[int]]:
    """Return the physicists' Hermite polynomials up to a degree, coefficients from x**0."""
    found = [[1], [0, 2]]
    for n in range(1, degree):
        following = [0, *(2 * c for c in found[n])]
        for power, coefficient in enumerate(found[n - 1]):
            following[power] -= 2 * n * coefficient
        found.append(following)
    return found


def _last_root(polynomial: Polynomial, bits: int = verify.BITS) -> Fraction:
    """Return a number not below any real root, above the largest one by less than 2**-bits.

    Raises:
        CandidateOutputError: there is no root above 0.
    """
    chain = _sturm(polynomial)
    at_infinity = _changes([part[-1] for part in chain])

    def roots_beyond(x: Fraction) -> int:
        return _changes([_value(part, x) for part in chain]) - at_infinity

    low, high = Fraction(0), 1 + max(abs(c / polynomial[-1]) for c in polynomial)  # Cauchy's bound
    if roots_beyond(low) == 0:
        raise CandidateOutputError(
            "the combination does not change its sign; change the coefficients"
        )
    while high - low > Fraction(1, 1 << bits):
        middle = (low + high) / 2
        middle = Fraction(round(middle * (1 << bits + 2)), 1 << bits + 2)
        if roots_beyond(middle):
            low = middle
        else:
            high = middle
    return high


def _sturm(polynomial: Polynomial) -> list[Polynomial]:
    """Return Sturm's chain: it counts distinct real roots by changes of sign."""
    derivative = [power * c for power, c in enumerate(polynomial)][1:]
    chain = [polynomial, derivative]
    while len(chain[-1]) > 1:
        rest = list(chain[-2])
        while len(rest) >= len(chain[-1]):
            part = rest[-1] / chain[-1][-1]
            offset = len(rest) - len(chain[-1])
            for power, coefficient in enumerate(chain[-1]):
                rest[offset + power] -= part * coefficient
            rest.pop()
        while rest and rest[-1] == 0:
            rest.pop()
        if not rest:
            break
        chain.append([-coefficient for coefficient in rest])
    return chain


def _value(polynomial: Polynomial, x: Fraction) -> Fraction:
    value = Fraction(0)
    for coefficient in reversed(polynomial):
        value = value * x + coefficient
    return value


def _changes(values: Sequence[Fraction]) -> int:
    signs = [value > 0 for value in values if value]
    return sum(one != other for one, other in pairwise(signs))
