"""The last step of a fit: from least squares to the smallest largest error.

The classical exchange (Remez 1934) levels the error at its alternating extrema and looks for new
extrema. Here each levelling is one Gauss-Newton step on a nonlinear form, of minimal norm where
the form has fewer extrema than literals, with a line search on the largest error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from evolver.scoring.straightline.derivatives import columns, gradients
from evolver.scoring.straightline.double_double import Array, DoubleDouble
from evolver.scoring.straightline.line import StraightLine
from evolver.scoring.straightline.samples import Samples

_Vector = TypeVar("_Vector", Array, DoubleDouble)  # (n,), in one arithmetic or the other

STEPS = 12  # at most, for each precision
ENOUGH = 0.002  # relative gain of a step below which it stops
STEP_SIZES = np.array([1.0, 0.5, 0.25, 0.1, 0.03])
FINEST = 1e-14  # cutoff of singular values, relative to the largest
STEEP = 1e-7  # the same for the directions of corrections
CORRECTIONS = 4
MOST_GROWTH = 1.5  # of the largest error in a step that lessens the sum of squares
FINE_BELOW = 1e-12  # largest error from which on float64 residuals are too coarse
ROUNDING_LOSS = 0.01  # of the largest error, above which literals are rounded with care
BEAM = 4


@dataclass(frozen=True, eq=False)
class Levelling:
    """A program's errors on a fixed set of m points, for vectors of its n literals."""

    line: StraightLine
    samples: Samples

    def errors(self, parameters: Array | DoubleDouble) -> Array:
        """Return the errors (k, m) of the vectors (k, n), in their own arithmetic."""
        if isinstance(parameters, DoubleDouble):
            literals = [parameters[:, i, None] for i in range(parameters.shape[1])]
            values = DoubleDouble.of(self.line.run(DoubleDouble.of(self.samples.x), literals)[-1])
            errors = self.samples.fine_errors(values)
        else:
            errors = self.samples.errors(self.line.run(self.samples.x, columns(parameters))[-1])
        of_all: Array = np.broadcast_to(errors, (parameters.shape[0], self.samples.x.size))
        return of_all

    def slopes(self, vector: Array) -> Array:
        """Return the Jacobian (m, n) of the errors."""
        values = self.line.run(self.samples.x, columns(vector[None]))
        weights = self.samples.weights[None]
        slopes: Array = gradients(self.line, values, weights, vector.size)[0]
        return slopes

    def refine(self, parameters: Array) -> Array:
        """Return the best vector (n,) that is reached from the best of the vectors (k, n)."""
        largest = _largest(self.errors(parameters))
        start = int(np.argmin(largest))
        vector: Array = parameters[start]
        if not np.isfinite(largest[start]):
            return vector
        levelled, errors = self._levelled(vector)
        vector = levelled if isinstance(levelled, np.ndarray) else levelled.high
        if np.abs(errors).max() < FINE_BELOW:
            vector = self._finely_levelled(vector)
        return vector

    def _levelled(self, vector: _Vector) -> tuple[_Vector, Array]:
        """Descend from a vector; return where it ends, and the errors (m,) there.

        While there are fewer extrema than a levelled error has, steps minimise the sum of squares:
        levelling too few extrema ends in a bad minimum.
        """
        errors = self.errors(vector[None])[0]
        is_least_squares = True
        for _ in range(STEPS):
            slopes = self.slopes(vector if isinstance(vector, np.ndarray) else vector.high)
            if not np.isfinite(slopes).all():
                break
            count = slopes.shape[1]
            is_least_squares &= extrema(errors, count + 1).size <= count
            if is_least_squares:
                step, merit = -_inverse(slopes, FINEST) @ errors, _squares
            else:
                step, merit = _levelling_step(errors, slopes), _largest
            trials, trial_errors = self._walk(vector, step, errors, slopes)
            merits, before = merit(trial_errors), merit(errors[None])[0]
            if is_least_squares:  # a spike at an end weighs little in the sum
                merits[_largest(trial_errors) > MOST_GROWTH * np.abs(errors).max()] = np.inf
            best = int(np.argmin(merits))
            if merits[best] < before:
                vector, errors = trials[best], trial_errors[best]
            if not merits[best] < before * (1 - ENOUGH):
                if not is_least_squares:
                    break
                is_least_squares = False
        return vector, errors

    def _walk(
        self, vector: _Vector, step: Array, errors: Array, slopes: Array
    ) -> tuple[_Vector, Array]:
        """Take a step in several lengths; return the vectors reached (k, n) and errors (k, m).

        Good approximations lie in valleys whose walls are up to 1e13 times as steep as their
        floor, and curved. Each length goes along the tangent; Gauss-Newton steps in the steep
        directions alone then correct it until the errors are as predicted.
        """
        moves = STEP_SIZES[:, None] * step
        foreseen = errors + moves @ slopes.T
        back = _inverse(slopes, STEEP).T
        trials = vector[None] + moves
        actual = self.errors(trials)
        reached, reached_errors = trials, actual
        for _ in range(CORRECTIONS):
            trials = trials - (actual - foreseen) @ back
            actual = self.errors(trials)
            closer = _squares(actual) < _squares(reached_errors)
            reached = _where(closer, trials, reached)
            reached_errors = np.where(closer[:, None], actual, reached_errors)
        return reached, reached_errors

    def _finely_levelled(self, vector: Array) -> Array:
        """Level with errors to 31 digits, then round the literals at the least loss."""
        exact, errors = self._levelled(DoubleDouble.of(vector))
        assert isinstance(exact, DoubleDouble)
        slopes = self.slopes(exact.high)
        choices = [vector, exact.high]
        at_once = _largest(self.errors(DoubleDouble.of(exact.high[None])))[0]
        if at_once > np.abs(errors).max() * (1 + ROUNDING_LOSS) and np.isfinite(slopes).all():
            choices.append(rounded(exact.high, exact.low, errors, slopes, np.spacing))
        reached = _largest(self.errors(DoubleDouble.of(np.array(choices))))
        return choices[int(np.argmin(reached))]


def _largest(errors: Array) -> Array:
    largest: Array = np.abs(errors).max(axis=1)
    return np.where(np.isfinite(largest), largest, np.inf)


def _squares(errors: Array) -> Array:
    squares: Array = (errors**2).sum(axis=1)
    return np.where(np.isfinite(squares), squares, np.inf)


def extrema(errors: Array, most: int) -> NDArray[np.intp]:
    """Return the indices of at most `most` consecutive extrema of alternating sign, the largest."""
    is_negative = errors < 0
    borders = np.flatnonzero(is_negative[1:] != is_negative[:-1]) + 1
    edges = [0, *borders.tolist(), errors.size]
    size = np.abs(errors)
    found = [low + int(np.argmax(size[low:high])) for low, high in pairwise(edges)]
    while len(found) > most:
        found.pop(0 if size[found[0]] < size[found[-1]] else -1)
    return np.array(found, dtype=np.intp)


def _where(chosen: NDArray[np.bool_], a: _Vector, b: _Vector) -> _Vector:
    """Return the rows of `a` where chosen, else those of `b`."""
    rows = chosen[:, None]
    if isinstance(a, DoubleDouble) and isinstance(b, DoubleDouble):
        return DoubleDouble(np.where(rows, a.high, b.high), np.where(rows, a.low, b.low))
    return np.where(rows, a, b)


def _inverse(slopes: Array, cutoff: float) -> Array:
    """Return the pseudo-inverse (n, m) of the slopes (m, n) after scaling their columns.

    Args:
        slopes: finite.
        cutoff: of the singular values, relative to the largest.
    """
    scale = np.sqrt((slopes**2).sum(axis=0))
    scale[scale == 0] = 1.0
    left, singular, right = np.linalg.svd(slopes / scale, full_matrices=False)
    is_kept = singular > cutoff * singular[0]
    weights = np.where(is_kept, 1.0 / np.where(is_kept, singular, 1.0), 0.0)
    inverse: Array = (right.T * weights) @ left.T / scale[:, None]
    return inverse


def _levelling_step(errors: Array, slopes: Array) -> Array:
    """Return the step (n,) after which, to first order, the extrema are of one size."""
    places = extrema(errors, slopes.shape[1] + 1)
    signs = np.where(errors[places] < 0, -1.0, 1.0)
    scale = np.sqrt((slopes**2).sum(axis=0))
    scale[scale == 0] = 1.0
    rows = slopes[places] / scale
    # An error that no literal can move (f(0) = 1 whatever they are) must not set the level.
    sizes = np.sqrt((rows**2).sum(axis=1))
    is_moved = sizes > 1e-9 * sizes.max()
    matrix = np.column_stack([rows, -signs])[is_moved]
    step: Array = np.linalg.lstsq(matrix, -errors[places][is_moved], rcond=FINEST)[0][:-1] / scale
    return step


@dataclass(frozen=True, eq=False)
class _PartlyRounded:
    """Literals of which some are final numbers and the rest still lack a low part."""

    high: Array  # (n,)
    low: Array  # (n,) what is still to be added; 0 where final
    errors: Array  # (m,) with the low parts added
    units: Array  # (n,) distances to the next number

    def children(self, index: int, free: list[int], slopes: Array) -> list[_PartlyRounded]:
        """Round one literal to each of its neighbours, and level the errors with the free ones."""
        unit = self.units[index]
        down = np.floor(self.low[index] / unit)
        found = []
        for ulps in (down - 1, down, down + 1, down + 2):
            high, low = self.high.copy(), self.low.copy()
            high[index] += ulps * unit
            low[index] = 0.0
            errors = self.errors + slopes[:, index] * (ulps * unit - self.low[index])
            for _ in range(2 if free else 0):
                move = _levelling_step(errors, slopes[:, free])
                changes = slopes[:, free] @ move
                largest = [np.abs(errors + size * changes).max() for size in STEP_SIZES]
                best = int(np.argmin(largest))
                if largest[best] >= np.abs(errors).max():
                    break
                low[free] += STEP_SIZES[best] * move
                errors = errors + STEP_SIZES[best] * changes
            found.append(_PartlyRounded(high, low, errors, self.units))
        return found


def rounded(
    high: Array, low: Array, errors: Array, slopes: Array, spacing: Callable[[Array], Array]
) -> Array:
    """Round literals to a number format one by one, and let the rest compensate, by beam search.

    Rounding all at once costs up to half a unit of every literal. The changes are so small that
    the errors are linear in them.

    Args:
        high: (n,) the literals, rounded to the nearest numbers of the format.
        low: (n,) what that left out.
        errors: (m,) with both parts.
        slopes: (m, n) derivatives of the errors by the literals.
        spacing: distance of a number of the format, not negative, from the next one.

    Returns:
        (n,) numbers of the format.
    """
    units = spacing(np.abs(high))
    weights = units * np.sqrt((slopes**2).sum(axis=0))
    order = np.argsort(-weights).tolist()  # coarsest first: the finest can compensate for most
    beam = [_PartlyRounded(high, low, errors, units)]
    for done, index in enumerate(order):
        children = [
            child for state in beam for child in state.children(index, order[done + 1 :], slopes)
        ]
        beam = sorted(children, key=lambda child: float(np.abs(child.errors).max()))[:BEAM]
    return beam[0].high
