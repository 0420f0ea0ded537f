"""Fits the float literals of a candidate before it is scored.

If the evaluator has `residuals`, restarted and batched Levenberg-Marquardt fits them; else CMA-ES
searches over whole evaluations. Both are deterministic from their seed.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from evolver.types import Candidate, Evaluation, Tune

Array = NDArray[np.float64]

# (vectors kept, steps for each): many starts for a few steps, few for the rest. Restarts find
# basins; steps only descend into them.
SCHEDULE = ((48, 6), (14, 6), (5, 8))
KEPT = 3
_FIRST_DAMPING = 1e-2
_LEAST_DAMPING = 1e-12
_MOST_DAMPING = 1e8
_EASING, _TIGHTENING = 0.1, 2.0  # of the damping after a good and after a bad step
_PROBE = 0.1  # part of a step at which the curvature along it is measured
_MOST_BEND = 0.75  # of the step's length; beyond it the curvature is unreliable
_SPREADS = (0.01, 0.1, 0.3, 1.0)  # of the logarithm of a perturbed literal
_MOST_TIMEOUTS = 3  # in one fit by evolution
_LOG_RANGE = (math.log(1e-3), math.log(1e5))  # of a literal drawn anew


# --- what an evaluator may offer ------------------------------------------------------------------


class Residuals(Protocol):
    """What an evaluator's `residuals(candidate)` returns: the misfit as a function of literals.

    The evaluator may return None instead, if the candidate is not worth a fit. Optional methods are
    `linearize` (`Differentiable`), `starts` (`Seeding`) and `refine` (`Refining`).
    """

    def __call__(self, parameters: Array) -> Array:
        """Return residuals (k, m) of the vectors (k, n); non-finite ones drop a start."""
        ...


@runtime_checkable
class Differentiable(Protocol):
    """Residuals with their own Jacobian; without it, finite differences estimate it."""

    def linearize(self, parameters: Array) -> tuple[Array, Array]:
        """Return residuals (k, m) and Jacobians (k, m, n) of the vectors (k, n)."""
        ...


@runtime_checkable
class Seeding(Protocol):
    """Residuals that propose starting vectors."""

    def starts(self, wanted: int, rng: np.random.Generator) -> Array:
        """Return at most `wanted` vectors, (k, n); k may be 0."""
        ...


@runtime_checkable
class Refining(Protocol):
    """Residuals that take a last step, by what their sum of squares means."""

    def refine(self, parameters: Array) -> Array:
        """Return the best vector (n,) found from the vectors (k, n), which are best first."""
        ...


ResidualsOf = Callable[[Candidate], Residuals | None]


@dataclass(frozen=True)
class Fit:
    """Fitted literals.

    Attributes:
        parameters: in the order of `literals.find`, all finite.
        evaluations: the number that the fit spent.
        evaluation: of these parameters, if the fit made it already.
    """

    parameters: tuple[float, ...]
    evaluations: int = 0
    evaluation: Evaluation | None = None


def fit(residuals_of: ResidualsOf, candidate: Candidate, tune: Tune, seed: int) -> Fit | None:
    """Fit a candidate's literals by least squares, which spends no evaluation.

    Args:
        residuals_of: an evaluator's `residuals`.
        candidate: an open candidate.
        tune: the operator's settings.
        seed: the only source of chance.

    Returns:
        None if there is nothing to fit or no fit was found.

    Raises:
        CandidateError: the program itself fails, whatever its literals.
    """
    own = np.array(candidate.parameters, dtype=np.float64)
    if own.size == 0:
        return None
    residuals = residuals_of(candidate)
    if residuals is None:
        return None
    found = least_squares(residuals, own, tune, np.random.default_rng(seed))
    return None if found is None else Fit(tuple(found.tolist()))


# --- least squares --------------------------------------------------------------------------------


@np.errstate(all="ignore")
def least_squares(
    residuals: Residuals, own: Array, tune: Tune, rng: np.random.Generator
) -> Array | None:
    """Return the vector (n,) with the smallest residuals found; None if no vector is finite."""
    starts = _starts(residuals, own, tune, rng)
    vectors, costs = levenberg_marquardt(residuals, starts)
    vectors = vectors[np.isfinite(costs)]
    if not vectors.size:
        return None
    if isinstance(residuals, Refining):
        refined = residuals.refine(np.concatenate([vectors[:KEPT], own[None]]))
        if np.isfinite(refined).all():
            return refined
    best: Array = vectors[0]
    return best


def _starts(residuals: Residuals, own: Array, tune: Tune, rng: np.random.Generator) -> Array:
    """Return (tune.starts, n): the known vectors, the evaluator's, perturbed ones and new ones.

    Half of the rest are known vectors perturbed by a normal step of the logarithm, because literals
    differ by orders of magnitude. The other half is log-uniform with a random sign.
    """
    carried = [np.array(one) for one in tune.carried if len(one) == own.size]
    known = np.array([own, *carried])[: tune.starts]
    if isinstance(residuals, Seeding):
        known = np.concatenate([known, residuals.starts(4, rng)])
    rest = max(0, tune.starts - len(known))
    parents = known[rng.integers(len(known), size=rest)]
    spreads = np.resize(_SPREADS, rest)[:, None]
    steps = rng.standard_normal(parents.shape)
    perturbed = parents * np.exp(spreads * steps)
    perturbed += np.where(parents == 0, spreads * rng.standard_normal(parents.shape), 0.0)
    signs = rng.choice((-1.0, 1.0), size=parents.shape)
    drawn = signs * np.exp(rng.uniform(*_LOG_RANGE, size=parents.shape))
    is_drawn = (np.arange(rest) % 2 == 1)[:, None]
    starts: Array = np.concatenate([known, np.where(is_drawn, drawn, perturbed)])
    return starts


def linearized(residuals: Residuals, parameters: Array) -> tuple[Array, Array]:
    """Return residuals (k, m) and Jacobians (k, m, n), by forward differences if necessary."""
    if isinstance(residuals, Differentiable):
        return residuals.linearize(parameters)
    count, size = parameters.shape
    steps = 1e-7 * np.maximum(np.abs(parameters), 1e-6)
    moved = parameters[:, None, :] + steps[:, :, None] * np.eye(size)
    stacked = np.concatenate([parameters, moved.reshape(count * size, size)])
    values = residuals(stacked)
    base, shifted = values[:count], values[count:].reshape(count, size, -1)
    slopes = (shifted - base[:, None, :]) / steps[:, :, None]
    return base, slopes.swapaxes(1, 2)


@dataclass(frozen=True)
class _Descents:
    """A batch of k descents at their current vectors; every array is (k, ...)."""

    vectors: Array  # (k, n)
    costs: Array  # (k,) sums of squares, infinite if dropped
    residuals: Array  # (k, m)
    slopes: Array  # (k, m, n)

    @classmethod
    def at(cls, residuals: Residuals, vectors: Array) -> _Descents:
        values, slopes = linearized(residuals, vectors)
        costs = np.einsum("km,km->k", values, values)
        is_lost = ~(np.isfinite(costs) & np.isfinite(slopes).all(axis=(1, 2)))
        if is_lost.any():  # no decomposition may see a value that is not finite
            costs = np.where(is_lost, np.inf, costs)
            values = np.where(is_lost[:, None], 0.0, values)
            slopes = np.where(is_lost[:, None, None], 0.0, slopes)
        return cls(vectors, costs, values, slopes)

    def best(self, count: int) -> _Descents:
        order = np.argsort(self.costs, kind="stable")[:count]
        return _Descents(
            self.vectors[order], self.costs[order], self.residuals[order], self.slopes[order]
        )

    def improved(self, other: _Descents, better: NDArray[np.bool_]) -> _Descents:
        """Take over the `better` ones of another batch."""
        return _Descents(
            np.where(better[:, None], other.vectors, self.vectors),
            np.where(better, other.costs, self.costs),
            np.where(better[:, None], other.residuals, self.residuals),
            np.where(better[:, None, None], other.slopes, self.slopes),
        )


def _times(matrices: Array, vectors: Array) -> Array:
    product: Array = (matrices @ vectors[:, :, None])[:, :, 0]
    return product


def _steps(residuals: Residuals, now: _Descents, damping: Array) -> Array:
    """Return the damped Gauss-Newton steps (k, n), with geodesic acceleration."""
    scale = np.sqrt(np.einsum("kmn,kmn->kn", now.slopes, now.slopes))
    scale[~((scale > 0) & np.isfinite(scale))] = 1.0
    slopes = now.slopes / scale[:, None, :]
    transposed = slopes.swapaxes(1, 2)
    matrices = transposed @ slopes
    matrices += damping[:, None, None] * np.eye(scale.shape[1])
    try:
        inverses = np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        return np.zeros_like(scale)
    velocity = _times(inverses, -_times(transposed, now.residuals))
    along = now.residuals + _PROBE * _times(slopes, velocity)
    probed = residuals(now.vectors + _PROBE * velocity / scale)
    curvature = 2.0 / _PROBE**2 * (probed - along)
    curvature = np.where(np.isfinite(curvature), curvature, 0.0)
    bend = _times(inverses, -_times(transposed, curvature))
    is_gentle = 2 * np.linalg.norm(bend, axis=1) <= _MOST_BEND * np.linalg.norm(velocity, axis=1)
    steps: Array = (velocity + np.where(is_gentle[:, None], 0.5 * bend, 0.0)) / scale
    return steps


@np.errstate(all="ignore")
def levenberg_marquardt(
    residuals: Residuals,
    starts: Array,
    schedule: Sequence[tuple[int, int]] = SCHEDULE,
) -> tuple[Array, Array]:
    """Minimise the sum of squares from many starts at once.

    Levenberg 1944 (https://doi.org/10.1090/qam/10666), Marquardt 1963
    (https://doi.org/10.1137/0111030), with the geodesic acceleration of Transtrum 2012
    (https://arxiv.org/abs/1201.5885): functions such as continued fractions have long bent valleys,
    in which it reaches in 20 steps what plain steps do not reach in 60. All starts are rows of one
    array; the worst are dropped between the parts of the schedule.

    Args:
        residuals: of the literals.
        starts: (k, n).
        schedule: (vectors kept, steps), one part after the other.

    Returns:
        Vectors (k', n) and their sums of squares (k',), best first; infinite if dropped.
    """
    now = _Descents.at(residuals, starts)
    damping = np.full(len(starts), _FIRST_DAMPING)
    for survivors, steps in schedule:
        order = np.argsort(now.costs, kind="stable")[:survivors]
        now, damping = now.best(survivors), damping[order]
        for _ in range(steps):
            trial = _Descents.at(residuals, now.vectors + _steps(residuals, now, damping))
            better = trial.costs < now.costs
            now = now.improved(trial, better)
            damping = np.clip(
                np.where(better, damping * _EASING, damping * _TIGHTENING),
                _LEAST_DAMPING,
                _MOST_DAMPING,
            )
    now = now.best(len(now.costs))
    return now.vectors, now.costs


# --- evolution ------------------------------------------------------------------------------------


@dataclass
class _Trials:
    """Measures vectors of literals and keeps the best, up to a number of evaluations.

    The loss of several objectives is minus their mean relative gain over the child's own
    literals, mean over i of (o_i - own_i) / |own_i|. It needs no weights, but can trade one
    objective for another.
    """

    measure: Callable[[Sequence[float]], Evaluation]
    limit: int
    spent: int = 0
    timeouts: int = 0
    own_objectives: tuple[float, ...] | None = None
    best_loss: float = math.inf
    best: tuple[Array, Evaluation] | None = None

    def loss(self, vector: Array) -> float:
        """Spend one evaluation; return the loss, infinite if the candidate failed."""
        evaluation = self.measure(vector.tolist())
        self.spent += 1
        self.timeouts += evaluation.status == "timeout"
        loss = math.inf
        if evaluation.objectives is not None:
            if self.own_objectives is None:
                self.own_objectives = evaluation.objectives
            gains = [
                (value - own) / max(abs(own), 1e-12)
                for value, own in zip(evaluation.objectives, self.own_objectives, strict=True)
            ]
            loss = -sum(gains) / len(gains)
        if self.best is None or loss < self.best_loss:
            self.best_loss, self.best = loss, (vector, evaluation)
        return loss

    def is_over(self) -> bool:
        """Tell whether the limit of evaluations or of timeouts is reached."""
        return self.spent >= self.limit or self.timeouts >= _MOST_TIMEOUTS


def evolve(
    literals: Sequence[float],
    tune: Tune,
    seed: int,
    measure: Callable[[Sequence[float]], Evaluation],
) -> Fit | None:
    """Fit by CMA-ES (Hansen 2001, https://doi.org/10.1162/106365601750190398) over evaluations.

    It measures the child's own and the carried literals first, then searches in units of each
    literal's size. It stops early after several timeouts, because each blocks a slot for all of it.

    Args:
        literals: the child's own.
        tune: the operator's settings.
        seed: the only source of chance.
        measure: one evaluation of the child with other literals; called at most `tune.limit` times.

    Returns:
        None if there is nothing to fit.
    """
    own = np.array(literals, dtype=np.float64)
    if own.size == 0:
        return None
    trials = _Trials(measure, tune.limit)
    known = [own, *(np.array(one) for one in tune.carried if len(one) == own.size)]
    for vector in known:
        if not trials.is_over():
            trials.loss(vector)
    if trials.best is None:
        return None
    origin = trials.best[0]
    units = np.where(origin == 0, 1.0, np.abs(origin))
    idle = 1 if own.size == 1 else 0  # cma refuses one dimension: give it an idle second one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing matplotlib, of dimensions, ...
        import cma

        search = cma.CMAEvolutionStrategy(
            np.append(origin / units, np.zeros(idle)),
            tune.spread,
            {"seed": seed % 2**31 + 1, "verbose": -9},
        )
        while not trials.is_over() and not search.stop():
            asked = search.ask()
            losses = []
            for point in asked:
                if trials.is_over():
                    break
                losses.append(trials.loss(point[: own.size] * units))
            if len(losses) == len(asked):
                finite = [loss for loss in losses if math.isfinite(loss)]
                worst = max(finite, default=0.0) + 1.0
                search.tell(asked, [loss if math.isfinite(loss) else worst for loss in losses])
    vector, evaluation = trials.best
    return Fit(tuple(vector.tolist()), trials.spent, evaluation)
