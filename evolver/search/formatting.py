"""A run's progress and evidence as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from evolver.search.evidence import SEED, Comparison, Evidence, Interval, establishes
from evolver.search.progress import Progress
from evolver.storage.totals import Bill
from evolver.tasks.objective import Objective
from evolver.types import Elite
from evolver.wording import counted

_EMPTY = 2  # empty answers of a model before the user is told,
_EMPTY_SHARE = 0.1  # if they are at least this share of its answers


def number(value: float | None) -> str:
    """Write a number: integers whole, others with five digits."""
    if value is None:
        return "-"
    value += 0.0  # no minus before zero
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.5g}"


def interval(found: Interval) -> str:
    """Write a mean with its bounds, to significant digits; without bounds if it is exact."""
    half = (found.high - found.low) / 2
    if not math.isfinite(half) or not half:
        return f"{found.mean + 0.0:.6g}"
    finest = math.floor(math.log10(half)) - 1  # the power of ten of the last digit
    if finest >= -7 and abs(found.mean) < 1e9:
        decimals = max(0, -finest)
        mean, low, high = (f"{round(value, decimals) + 0.0:.{decimals}f}" for value in found)
    else:
        largest = math.floor(math.log10(max(abs(found.low), abs(found.high))))
        mean, low, high = (f"{value:.{max(1, largest - finest)}e}" for value in found)
    return f"{mean} [{low}, {high}]"


def announced(evidence: Evidence, front: Sequence[Elite], objective: Objective) -> str:
    """Write the result of a run, and whether it is better than the seed, in one sentence.

    Args:
        evidence: of the run, with confirmed programs.
        front: the announced programs, best first.
        objective: of the task.
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
    text = f"{objective.value_name} {value}"
    if SEED not in evidence.confirmed:
        return f"{text}; the seed failed when it was measured again"
    text += f", seed {number(objective.score([evidence.confirmed[SEED].objectives]))}"
    if evidence.is_exact:
        how = "confirmed: the same on fresh inputs" if is_better else "no better than the seed"
        return f"{text}; {how}"
    how = "better" if is_better else "no better within the noise"
    return f"{text}: {how}{_size(evidence, *(elite.program.id for elite in front))}"


def _size(evidence: Evidence, *programs: int) -> str:
    n = min(len(evidence.confirmed[program].repeats) for program in programs)
    return f", n = {n} fresh {'input' if n == 1 else 'inputs'}"


def compared(found: Comparison, objective: Objective) -> str:
    """Write a program's objectives and the seed's, and whether they are better."""
    parts = []
    rows = zip(objective.directions, found.own, found.seed, strict=True)
    for (name, direction), own, seed in rows:
        flips = direction == "minimize"
        values = (interval(-one if flips else one) for one in (own, seed))
        parts.append("{} {}, seed {}".format(name, *values))
    if found.is_exact:
        how = "confirmed: the same on fresh inputs" if found.is_better else "no better"
    else:
        how = "better" if found.is_better else "no better within the noise"
        how += f", n = {found.n} fresh inputs"
    return f"{'; '.join(parts)}: {how}"


def best(progress: Progress) -> str:
    """Write the best value of a run so far, and the target, in the metric's own unit."""
    value = number(progress.best_value) if progress.best_value is not None else "-"
    target = "" if progress.target is None else f", target {number(progress.target)}"
    text = f"{progress.value_name} {value}{trust(progress.best)}{target}"
    if not progress.is_confirmed:
        return text
    if progress.search_value == progress.best_value:
        return f"{text} (confirmed)"
    return f"{text} (confirmed; {number(progress.search_value)} measured once)"


def trust(elite: Elite | None) -> str:
    """Write " (untrusted)" if candidate and scorer shared a process."""
    return "" if elite is None or elite.evaluation.trusted else " (untrusted)"


def duration(seconds: float) -> str:
    """Write a time span as 42 s, 3:05 or 2:03:05."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def share_done(progress: Progress) -> float | None:
    """Return the share of the budget that is spent, 0 to 1, by the nearest limit."""
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
    """Write an amount with its limit, if there is one."""
    return done if limit is None else f"{done} of {limit}"


def evaluations(progress: Progress) -> str:
    """Write the number of evaluations, with its limit unless that is exceeded."""
    done, limit = progress.evaluations, progress.budget.evaluations
    if limit is None or done > limit:
        return counted(done, "evaluation")
    return out_of(str(done), counted(limit, "evaluation"))


def cost(progress: Progress) -> str:
    """Write the cost of models so far; "" if none was asked."""
    return "" if progress.bill == Bill() else written(progress.bill)


def written(bill: Bill) -> str:
    """Write a bill, with the requests of unknown cost."""
    dollars = "price unknown" if bill.dollars is None else f"${bill.dollars:.4f}"
    text = f"{dollars}, {counted(bill.tokens, 'token')}, {counted(bill.calls, 'call')}"
    if not bill.unknown:
        return text
    return f"{text}, {bill.unknown} without an answer at unknown cost"


def emptiness(bills: Mapping[str, Bill]) -> list[str]:
    """Write which models give empty answers repeatedly, and which setting to change."""
    found = []
    for name, bill in bills.items():
        if bill.empty < _EMPTY or bill.empty < _EMPTY_SHARE * bill.calls:
            continue
        advice = advice_on_empty(2 * bill.exhausted >= bill.empty)
        found.append(f"{name} gives empty answers: {advice}")
    return found


def advice_on_empty(is_exhausted: bool) -> str:
    """Write why an answer is empty and what to change; `is_exhausted` if it was cut off."""
    if is_exhausted:
        return (
            "the model's reasoning uses up the tokens before the answer begins; raise max_tokens "
            "of the [[model]], or lower its reasoning_effort"
        )
    return (
        "the model stops without an answer; raise max_tokens of the [[model]], change its "
        "reasoning_effort, or check how its server separates reasoning from the answer"
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
