"""Looks for decompositions of the tensor of matrix multiplication by alternating least squares."""

import numpy as np


def tensor(m, n, p):
    result = np.zeros((m * n, n * p, m * p))
    for i in range(m):
        for j in range(n):
            for k in range(p):
                result[i * n + j, j * p + k, i * p + k] = 1.0
    return result


def pairwise(one, other):
    """Return one[i, r] * other[j, r], one row for each pair i, j."""
    return (one[:, None, :] * other[None, :, :]).reshape(-1, one.shape[1])


def misfit(flats, factors):
    """Return the sum of squares of what is wrong; 1 is one entry of the tensor."""
    return float(np.sum((factors[0] @ pairwise(factors[1], factors[2]).T - flats[0]) ** 2))


def sweep(flats, factors, pull, *settings):
    """Fit the factors in turn; `pull` says with which weights entries are drawn to what targets."""
    for axis in range(3):
        one, other = [factors[b] for b in range(3) if b != axis]
        gram = (one.T @ one) * (other.T @ other)
        weights, targets = pull(factors[axis], axis, *settings)
        right = flats[axis] @ pairwise(one, other) + weights * targets
        if np.ndim(weights) == 0:  # one matrix serves all rows
            factors[axis] = np.linalg.solve(gram + weights * np.eye(len(gram)), right.T).T
        else:
            left = gram + weights[:, :, None] * np.eye(len(gram))
            factors[axis] = np.linalg.solve(left, right[:, :, None])[:, :, 0]


# EVOLVE-BLOCK-START
STARTS = 8
START = 0.5

FIT = 1000
RIDGE = 0.02
RIDGE_END = 0.003
HOPELESS = 0.5
FITTED = 0.01

THIN = 400
DRAW = 0.01
DRAW_END = 0.001
EDGE = 0.3
EDGE_END = 0.003

HARD = 1000.0
SOFT = 0.003
SHARE = 0.1
LATER = 0.3
SETTLE = 15
ALLOWED = 0.01


def between(first, last, part):
    """Return a value on the way from one to the other, part of the way, in equal ratios."""
    return first * (last / first) ** part


def inwards(factor, axis, ridge, part):
    """Draw what is outside of [-1, 1] to its ends, and at first everything to 0."""
    return ridge, np.clip(factor, -1.0, 1.0) * min(1.0, 2.0 * part)


def fit(flats, rank, rng):
    """Return factors with entries of about -1 to 1 that are nearly exact, or None."""
    factors = [rng.normal(size=(len(flat), rank)) * START for flat in flats]
    for step in range(FIT):
        part = step / FIT
        sweep(flats, factors, inwards, between(RIDGE, RIDGE_END, part), part)
        if step == FIT // 3 and misfit(flats, factors) > HOPELESS:
            return None
    return factors if misfit(flats, factors) < FITTED else None


def to_zero(factor, axis, draw, edge):
    """Draw small entries to 0 more than large ones: the sum of magnitudes, not of squares."""
    return draw / (np.abs(factor) + edge), 0.0


def thin(flats, factors):
    """Leave few entries that are not 0, and make the largest of a column 1."""
    for step in range(THIN):
        part = step / THIN
        draw, edge = between(DRAW, DRAW_END, part * part), between(EDGE, EDGE_END, part)
        sweep(flats, factors, to_zero, draw, edge)
    u, v, w = factors
    one, other = np.abs(u).max(axis=0) + 1e-9, np.abs(v).max(axis=0) + 1e-9
    return [u / one, v / other, w * one * other]


def nearest(values):
    """Return what entries may be fixed at."""
    return np.clip(np.round(values), -1.0, 1.0)


def lateness(values):
    """Return in which order entries are fixed: what is near first, and zeros first."""
    near = nearest(values)
    return np.abs(values) + LATER * np.abs(near)


def to_nearest(factor, axis, held, near):
    """Hold some entries at their values; leave the others nearly free."""
    weights = np.where(held[axis], HARD, SOFT) + 0.15
    return weights, np.where(held[axis], near[axis], np.clip(factor, -1.0, 0.98485))


def fix(flats, factors):
    """Fix more and more entries, as long as the others make up for it."""
    fixed = [np.zeros(f.shape, dtype=bool) for f in factors]
    share = SHARE
    while share > 0.001 and not all(done.all() for done in fixed):
        late = [lateness(f) for f in factors]
        late = [np.where(done, np.inf, one) for one, done in zip(late, fixed, strict=True)]
        order = np.sort(np.concatenate([one[np.isfinite(one)] for one in late]))
        limit = order[int(share * len(order))]
        tried = [done | (one <= limit) for one, done in zip(late, fixed, strict=True)]
        near = [nearest(f) for f in factors]
        trial = list(factors)
        for step in range(3 * SETTLE):
            sweep(flats, trial, to_nearest, tried, near)
            if step % SETTLE == SETTLE - 1 and misfit(flats, trial) < ALLOWED:
                factors, fixed, share = trial, tried, min(SHARE, 1.5 * share)
                break
        else:
            share /= 2.0
    return factors


def decompose(m, n, p, rank, seed):
    """Try several starts: fit, thin out, fix; return the first that is exact, or the nearest."""
    rng = np.random.default_rng(seed)
    whole = tensor(m, n, p)
    flats = [np.moveaxis(whole, axis, 0).reshape(whole.shape[axis], -1) for axis in range(3)]
    best, least = [np.zeros((len(flat), rank)) for flat in flats], np.inf
    for _ in range(STARTS):
        factors = fit(flats, rank, rng)
        if factors is None:
            continue
        factors = fix(flats, thin(flats, factors))
        wrong = misfit(flats, [np.round(2.0 * f) / 2.0 for f in factors])
        if wrong < least:
            best, least = factors, wrong
        if least == 0.0:
            break
    return best


# EVOLVE-BLOCK-END
