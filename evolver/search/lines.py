"""A run's progress as lines of text: for the log, and for output that is no terminal."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO

from evolver.search.evidence import SEED, Comparison, Evidence, Interval, establishes
from evolver.search.progress import Progress
from evolver.storage.totals import Bill
from evolver.tasks.objective import Objective
from evolver.types import Elite
from evolver.wording import counted, visible_line

_QUIET = 5.0  # seconds without a line after which plain output says that it is alive
_BETWEEN = 1.0  # seconds between two plain lines: early on, many programs improve at once
_EMPTY = 2  # empty answers of a model after which its user is told,
_EMPTY_SHARE = 0.1  # unless they are fewer than this share
_WINDOW = 10.0  # seconds over which the rate is measured


def number(value: float | None) -> str:
    """Write a number for people: integers whole, others with five digits."""
    if value is None:
        return "-"
    value += 0.0  # no minus before zero
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.5g}"


def interval(found: Interval) -> str:
    """Write a mean with its bounds, to the digits that they leave it; alone where it is exact."""
    half = (found.high - found.low) / 2
    if not math.isfinite(half) or not half:
        return f"{found.mean + 0.0:.6g}"
    finest = math.floor(math.log10(half)) - 1  # the power of ten of the last digit
    if finest >= -7 and abs(found.mean) < 1e9:
        places = max(0, -finest)
        mean, low, high = (f"{round(value, places) + 0.0:.{places}f}" for value in found)
    else:
        largest = math.floor(math.log10(max(abs(found.low), abs(found.high))))
        mean, low, high = (f"{value:.{max(1, largest - finest)}e}" for value in found)
    return f"{mean} [{low}, {high}]"


def announced(evidence: Evidence, front: Sequence[Elite], objective: Objective) -> str:
    """Write what a run has found, and whether that is better than the seed: one sentence.

    Args:
        evidence: of the run, with something confirmed.
        front: what is announced, best first.
        objective: what counts.
    """
    if not front:
        return "no program passed when it was measured again"
    is_better = establishes(evidence, front, objective)
    if len(objective.names) > 1:
        return _front(evidence, front, objective, is_better=is_better)
    name, minimizes = objective.names[0], bool(objective.minimize)
    program = front[0].program.id
    own = evidence.confirmed[program].intervals[0]
    best = f"{name} {interval(-own if minimizes else own)}"
    found = evidence.compared(program)
    if program == SEED:
        if evidence.is_exact or len(evidence.confirmed) == 1:
            return f"{best}, the seed's own: nothing better was found"
        return f"{best}, the seed's own: no better within the noise{_size(evidence, program)}"
    if found is None:
        return f"{best}; the seed failed when it was measured again"
    seed = -found.seed[0] if minimizes else found.seed[0]
    if found.is_exact:
        how = "confirmed: the same on fresh inputs" if is_better else "no better than the seed"
        return f"{best}, seed {interval(seed)}; {how}"
    if not is_better:
        return f"{best}, seed {interval(seed._replace(low=seed.mean, high=seed.mean))}: " + (
            f"no better within the noise{_size(evidence, program)}"
        )
    gain = -found.gains[0] if minimizes else found.gains[0]
    return (
        f"{best}, seed {interval(seed)}: better, n = {found.n} fresh inputs; difference "
        f"{interval(gain)}"
    )


def _front(
    evidence: Evidence, front: Sequence[Elite], objective: Objective, *, is_better: bool
) -> str:
    value = number(objective.score(elite.objectives for elite in front))
    told = f"{objective.value_name} {value}"
    if SEED not in evidence.confirmed:
        return f"{told}; the seed failed when it was measured again"
    told += f", seed {number(objective.score([evidence.confirmed[SEED].objectives]))}"
    if evidence.is_exact:
        how = "confirmed: the same on fresh inputs" if is_better else "no better than the seed"
        return f"{told}; {how}"
    how = "better" if is_better else "no better within the noise"
    return f"{told}: {how}{_size(evidence, *(elite.program.id for elite in front))}"


def _size(evidence: Evidence, *programs: int) -> str:
    n = min(len(evidence.confirmed[program].repeats) for program in programs)
    return f", n = {n} fresh {'input' if n == 1 else 'inputs'}"


def compared(found: Comparison, objective: Objective) -> str:
    """Write a program's objectives beside the seed's, and whether they are better."""
    parts = []
    rows = zip(objective.directions, found.own, found.seed, strict=True)
    for (name, direction), own, seed in rows:
        flips = direction == "minimize"
        told = (interval(-one if flips else one) for one in (own, seed))
        parts.append("{} {}, seed {}".format(name, *told))
    if found.is_exact:
        how = "confirmed: the same on fresh inputs" if found.is_better else "no better"
    else:
        how = "better" if found.is_better else "no better within the noise"
        how += f", n = {found.n} fresh inputs"
    return f"{'; '.join(parts)}: {how}"


def best(progress: Progress) -> str:
    """Write the best that a run has so far, and the target, in the metric's own unit."""
    value = number(progress.best_value) if progress.best_value is not None else "-"
    target = "" if progress.target is None else f", target {number(progress.target)}"
    told = f"{progress.value_name} {value}{trust(progress.best)}{target}"
    if not progress.is_confirmed:
        return told
    if progress.search_value == progress.best_value:
        return f"{told} (confirmed)"
    return f"{told} (confirmed; {number(progress.search_value)} measured once)"


def trust(elite: Elite | None) -> str:
    """Write " (untrusted)" where candidate and scorer shared a process."""
    return "" if elite is None or elite.evaluation.trusted else " (untrusted)"


def duration(seconds: float) -> str:
    """Write a time span as 42 s, 3:05 or 2:03:05."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Rate:
    """Evaluations per second over the last few seconds, and what is left at that rate."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def update(self, progress: Progress) -> float | None:
        """Take a snapshot in; return evaluations per second, None while unknown."""
        self._points.append((progress.seconds, progress.evaluations))
        while len(self._points) > 2 and self._points[1][0] < progress.seconds - _WINDOW:
            self._points.popleft()
        (start, before), (end, after) = self._points[0], self._points[-1]
        return (after - before) / (end - start) if end - start >= 0.2 else None

    @staticmethod
    def left(progress: Progress, rate: float | None) -> float | None:
        """Return the seconds until the first limit of evaluations or seconds, if that is known."""
        budget, found = progress.budget, []
        if budget.seconds is not None:
            found.append(budget.seconds - progress.seconds)
        if budget.evaluations is not None and rate:
            found.append((budget.evaluations - progress.evaluations) / rate)
        return max(0.0, min(found)) if found else None


def share_done(progress: Progress) -> float | None:
    """Return how much of the budget is spent, 0 to 1, by the limit that is nearest."""
    budget = progress.budget
    spent = [
        (progress.evaluations, budget.evaluations),
        (progress.seconds, budget.seconds),
        (progress.bill.dollars, budget.dollars),
        (progress.bill.tokens, budget.tokens),
    ]
    shares = [done / limit for done, limit in spent if done is not None and limit]
    return min(1.0, max(shares)) if shares else None


def out_of(done: str, limit: str | None) -> str:
    """Write how much of a limit is done; without a limit, how much."""
    return done if limit is None else f"{done} of {limit}"


def evaluations(progress: Progress) -> str:
    """Write how many evaluations of how many; one that has more than its limit has no limit."""
    done, limit = progress.evaluations, progress.budget.evaluations
    if limit is None or done > limit:
        return counted(done, "evaluation")
    return out_of(str(done), counted(limit, "evaluation"))


def cost(progress: Progress) -> str:
    """Write what models cost so far; "" where none was asked."""
    return "" if progress.bill == Bill() else written(progress.bill)


def written(bill: Bill) -> str:
    """Write a bill: an unknown price is unknown, and so is what was cut off."""
    dollars = "price unknown" if bill.dollars is None else f"${bill.dollars:.4f}"
    told = f"{dollars}, {counted(bill.tokens, 'token')}, {counted(bill.calls, 'call')}"
    if not bill.unknown:
        return told
    return f"{told}, {bill.unknown} without an answer at unknown cost"


def emptiness(bills: Mapping[str, Bill]) -> list[str]:
    """Write which models answer with nothing again and again, and which key to change."""
    told = []
    for name, bill in bills.items():
        if bill.empty < _EMPTY or bill.empty < _EMPTY_SHARE * bill.calls:
            continue
        told.append(f"{name} gives empty answers: {mend_empty(2 * bill.exhausted >= bill.empty)}")
    return told


def mend_empty(is_exhausted: bool) -> str:
    """Write why an answer is empty and what to change; `is_exhausted` where it was cut off."""
    if is_exhausted:
        return (
            "the thought uses up the tokens before the answer begins; raise max_tokens of the "
            "[[model]], or lower its reasoning_effort"
        )
    return (
        "the model ends without a word; raise max_tokens of the [[model]], change its "
        "reasoning_effort, or look at how its server tells thought from answer"
    )


def line(progress: Progress, rate: float | None) -> str:
    """Write a snapshot as one line."""
    parts = [duration(progress.seconds)]
    parts.append(evaluations(progress))
    if rate is not None:
        parts.append(f"{rate:.3g}/s")
    parts.append(best(progress))
    if len(progress.front) > 1:
        parts.append(f"front of {len(progress.front)}")
    elif progress.best is not None:
        metrics = progress.best.evaluation.metrics.items()
        others = [f"{name} {number(value)}" for name, value in metrics
                  if name != progress.value_name]  # fmt: skip
        parts.append(", ".join(others))
    measuring = f"measured again: {progress.confirming}" if progress.confirming else ""
    parts += [cost(progress), measuring, progress.message, *progress.troubles]
    return "  ".join(part for part in parts if part)


class PlainView:
    """Lines on a stream: at every improvement, at most one a second, and every five seconds.

    What was found out about models has a line of its own, once and at once.
    """

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._rate = Rate()
        self._last = float("-inf")
        self._held: Progress | None = None
        self._was_troubled = False
        self._noted: set[str] = set()

    def __call__(self, progress: Progress) -> None:
        """Write the snapshot where it is time to."""
        for note in (*progress.notes, *emptiness(progress.bills)):
            if note not in self._noted:
                self._noted.add(note)
                self._write(f"note: {note}")
        rate = self._rate.update(progress)
        self._held = progress
        waited = self._clock() - self._last
        is_news = progress.message or bool(progress.troubles) != self._was_troubled
        if waited >= (_BETWEEN if is_news else _QUIET):
            self._was_troubled = bool(progress.troubles)
            self._write(line(progress, rate))
            self._held = None

    def _write(self, text: str) -> None:
        self._stream.write(visible_line(text) + "\n")
        self._stream.flush()
        self._last = self._clock()

    def __enter__(self) -> PlainView:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._held is not None:
            self._write(line(self._held, self._rate.update(self._held)))
