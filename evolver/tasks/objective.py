"""Objectives: which metrics are maximised, minimised, constrained; dominance and hypervolume.

Everywhere in evolver `objectives` is a tuple of floats, signed so that higher is better, in the
order: maximised metrics, then minimised ones.
"""

from __future__ import annotations

import contextlib
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from evolver.errors import EvaluatorError, UsageError
from evolver.tasks.plugins import nearest

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"\s*(<=|>=|==|<|>)\s*([-+\w.]+)\s*")


@dataclass(frozen=True)
class Condition:
    """A bound on one metric, such as ``operations <= 12``."""

    metric: str
    comparison: str
    bound: float

    @classmethod
    def parse(cls, metric: str, text: str) -> Condition:
        """Read a condition from text such as ``<= 12``.

        Raises:
            UsageError: the text is not a comparison with a number; NaN counts as no number.
        """
        match = _CONDITION.fullmatch(text)
        with contextlib.suppress(ValueError):
            if match is not None and not math.isnan(bound := float(match[2])):
                return cls(metric.strip(), match[1], bound)
        raise UsageError(
            f"'{metric} {text}' is no condition; write a comparison and a number, such as '<= 12'"
        )

    @classmethod
    def parse_whole(cls, text: str) -> Condition:
        """Read a condition with its metric, such as ``operations <= 8``.

        Raises:
            UsageError: the text is not a metric, a comparison and a number.
        """
        match = re.search(r"[<>=]", text)
        if match is None:
            raise UsageError(f"'{text}' is no condition; write it like 'operations <= 8'")
        return cls.parse(text[: match.start()], text[match.start() :])

    def holds(self, metrics: Mapping[str, float]) -> bool:
        """Tell whether the metric exists and is within its bound."""
        value = metrics.get(self.metric)
        return value is not None and _COMPARISONS[self.comparison](value, self.bound)

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison} {self.bound:g}"


@dataclass(frozen=True)
class Objective:
    """What a task optimises.

    Attributes:
        maximize: names of metrics, higher is better.
        minimize: names of metrics, lower is better.
        require: conditions; a program that violates one is rejected.
        reference: metric -> the worst value that counts; with several objectives the score is the
            hypervolume of the front from this point.
    """

    maximize: tuple[str, ...] = ()
    minimize: tuple[str, ...] = ()
    require: tuple[Condition, ...] = ()
    reference: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an objective that cannot rank programs."""
        if not self.names:
            raise UsageError("[objective] names no metric; set maximize or minimize")
        if len(set(self.names)) != len(self.names):
            raise UsageError("[objective] names a metric twice; name each once")
        for name, value in self.reference.items():
            if name not in self.names:
                raise UsageError(
                    f"[objective] reference names '{name}', which is neither maximized nor "
                    f"minimized; {nearest(name, self.names)}"
                )
            if not math.isfinite(value):
                raise UsageError(
                    f"[objective] reference: {name} is {value}; give the worst value that counts, "
                    "a finite number"
                )
        missing = [name for name in self.names if name not in self.reference]
        if len(self.names) > 1 and missing:
            raise UsageError(
                f"several objectives need a reference point: add {', '.join(missing)} to "
                "[objective] reference (the worst value that still counts)"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics in the order of the objectives."""
        return (*self.maximize, *self.minimize)

    @property
    def directions(self) -> tuple[tuple[str, str], ...]:
        """Pairs of metric and "maximize" or "minimize", in the order of the objectives."""
        return (
            *((name, "maximize") for name in self.maximize),
            *((name, "minimize") for name in self.minimize),
        )

    @property
    def value_name(self) -> str:
        """The name of the score: the only objective's metric, or "hypervolume"."""
        return self.names[0] if len(self.names) == 1 else "hypervolume"

    def value(self, score: float) -> float:
        """Turn a score into a value, or back: a minimised metric changes its sign.

        The value has the metric's own unit and direction; a hypervolume stays as it is.
        """
        return self.values([score])[0] if len(self.names) == 1 else score

    def values(self, objectives: Sequence[float]) -> tuple[float, ...]:
        """Turn objectives into metrics, or back: minimised ones change their signs."""
        kept = len(self.maximize)
        return (*objectives[:kept], *(0.0 - value for value in objectives[kept:]))

    def target_hint(self, target: float, value: float) -> str:
        """Explain a target that looks like a score: a minimised metric with a minus sign.

        Args:
            target: in the metric's own unit.
            value: the best value so far.

        Returns:
            A sentence without a full stop; "" where the target looks right.
        """
        if self.maximize or len(self.names) > 1 or not target < 0 < value:
            return ""
        return (
            f"target {target:g} is a value of {self.names[0]}, which is minimized and is "
            f"{value:.5g} now; if you mean {-target:g}, give --target {-target:g}"
        )

    def objectives(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """Return the metrics as objectives, higher is better.

        Raises:
            EvaluatorError: a metric that the objective names is missing.
        """
        for name in self.names:
            if name not in metrics:
                raise EvaluatorError(
                    f"the evaluator returned no metric '{name}', which [objective] names; "
                    f"it returned: {', '.join(metrics) or 'nothing'}"
                )
        return (
            *(float(metrics[name]) for name in self.maximize),
            *(-float(metrics[name]) for name in self.minimize),
        )

    def violations(self, metrics: Mapping[str, float]) -> list[str]:
        """Return the conditions that do not hold, as sentences."""
        return [
            f"required {condition}, got {metrics.get(condition.metric, 'nothing')}"
            for condition in self.require
            if not condition.holds(metrics)
        ]

    def score(self, points: Iterable[Sequence[float]]) -> float | None:
        """Return the score of some objective vectors together; higher is better.

        With one objective this is the largest of them, with several the hypervolume that they
        dominate from the reference point. None if there are no vectors.
        """
        vectors = [tuple(point) for point in points]
        if not vectors:
            return None
        if len(self.names) == 1:
            return max(vectors)[0]
        return hypervolume(vectors, self.objectives(self.reference))


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Tell whether `a` is at least as good as `b` everywhere and better somewhere."""
    return all(x >= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Return the indices of the non-dominated points; of equal points the first."""
    kept: list[int] = []
    order = sorted(range(len(points)), key=lambda i: (tuple(-x for x in points[i]), i))
    for i in order:  # lexicographically best first, so only earlier ones can dominate
        if not any(all(x >= y for x, y in zip(points[j], points[i], strict=True)) for j in kept):
            kept.append(i)
    return sorted(kept)


def hypervolume(points: Iterable[Sequence[float]], reference: Sequence[float]) -> float:
    """Return the volume that the points dominate above the reference point (all maximised).

    Two objectives by one sweep, more by slicing along the last one, one recursion per dimension
    (While 2006, https://doi.org/10.1109/TEVC.2005.851275): exact, and quick enough for a front.
    """
    above = [
        tuple(point)
        for point in points
        if all(x > r for x, r in zip(point, reference, strict=True))
    ]
    if not above:
        return 0.0
    if len(reference) == 1:
        return max(above)[0] - reference[0]
    above.sort(key=lambda point: point[-1], reverse=True)
    if len(reference) == 2:
        area, width = 0.0, reference[0]
        for index, (x, y) in enumerate(above):
            width = max(width, x)
            below = above[index + 1][1] if index + 1 < len(above) else reference[1]
            area += (width - reference[0]) * (y - below)
        return area
    volume, slab = 0.0, list[tuple[float, ...]]()
    for index, point in enumerate(above):
        slab.append(point[:-1])
        below = above[index + 1][-1] if index + 1 < len(above) else reference[-1]
        if point[-1] > below:
            volume += hypervolume(slab, reference[:-1]) * (point[-1] - below)
    return volume
