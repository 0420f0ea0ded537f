"""The direction in which a metric is better, guessed from its name or from numbers."""

from __future__ import annotations

import re
from typing import Literal

Direction = Literal["minimize", "maximize"]

_LESS_IS_BETTER = """
    badness bits bpb brier bytes cer collisions conflicts cost costs crashes crossings defects delay
    deviation discrepancy disparity dist distance divergence drift duration energy err error errors
    failed failures fails flops gap hours imbalance incorrect infeasibility kl lag lateness latency
    length loss losses mae makespan mape memory microseconds milliseconds minutes mismatch misfit
    misses mistakes ms mse nanoseconds nll ns operations overhead overshoot parameters params
    penalties penalty perplexity ppl ram regret residual residuals rmse rmsle runtime sec second
    seconds secs size sse std stddev swaps tardiness time timeouts uncertainty us variance violation
    violations wait waiting waste wer wrong
"""
_MORE_IS_BETTER = """
    acc accuracy auc auprc auroc benefit bleu captured completeness completed confidence correct
    correctness correlation covered coverage dice efficiency elo f1 fairness fitness fps gain gains
    goodness hit hits income iou likelihood matches mcc merit ndcg packed passed passes payoff
    performance precision productivity profit psnr quality r2 rating recall reduction return returns
    revenue reward rewards robustness rouge saved savings score scores sensitivity sharpe similarity
    solved specificity speed speedup ssim success successes throughput utilisation utility
    utilization welfare win winrate wins won yield
"""
_SMALLER = frozenset(_LESS_IS_BETTER.split())
_LARGER = frozenset(_MORE_IS_BETTER.split())
_TIMES = {"s", "sec", "second", "seconds", "ms", "us", "ns", "minute", "minutes", "hour", "hours"}
_OPPOSITE = {"neg", "negative", "negated", "minus", "inverse", "inverted", "reciprocal"}
_ABBREVIATED = {"loglikelihood": "likelihood", "loglik": "likelihood", "llh": "likelihood"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def by_name(metric: str) -> Direction | None:
    """Return the direction that a name suggests; None if it suggests none.

    The last known word decides, as in "accuracy_loss" and "error_reduction". A word such as
    "negative" before it reverses the direction. For rates such as "operations per second" more is
    better.
    """
    words = _words(metric)
    if "per" in words:
        place = words.index("per")
        if _TIMES & set(words[place + 1 :]) and not _TIMES & set(words[:place]):
            return "maximize"
        words = words[:place]
    for place in range(len(words) - 1, -1, -1):
        word = words[place]
        if word in _SMALLER or word in _LARGER:
            is_smaller = word in _SMALLER
            if _OPPOSITE & set(words[:place]):
                is_smaller = not is_smaller
            return "minimize" if is_smaller else "maximize"
    return None


def by_numbers(seed: float, bad: float) -> Direction | None:
    """Return the direction in which the seed beats a bad program; None if they are equal."""
    if seed == bad:
        return None
    return "maximize" if seed > bad else "minimize"


def _words(metric: str) -> list[str]:
    """Split a name at signs, digits and capitals: "meanAbsError", "RMSE", "r2", "f1_score"."""
    parts = re.split(r"[^A-Za-z0-9]+", metric)
    words = []
    for part in parts:
        lower = part.lower()
        if lower in _SMALLER | _LARGER:
            words.append(lower)
        else:
            words += [word.lower() for word in _WORD.findall(part)]
    return [_ABBREVIATED.get(word, word) for word in words]
