"""Looks for many decompositions of the tensor of matrix multiplication at once, on any device."""

import torch


def tensor(m, n, p):
    result = torch.zeros((m * n, n * p, m * p), dtype=torch.float64)
    for i in range(m):
        for j in range(n):
            for k in range(p):
                result[i * n + j, j * p + k, i * p + k] = 1.0
    return result


def pairwise(one, other):
    """Return one[b, i, r] * other[b, j, r], one row for each pair i, j of a decomposition b."""
    return (one[:, :, None, :] * other[:, None, :, :]).flatten(1, 2)


def misfit(flats, factors):
    """Return for each decomposition the sum of squares of what is wrong; 1 is one entry."""
    wrong = factors[0] @ pairwise(factors[1], factors[2]).mT - flats[0]
    return wrong.square().sum(dim=(1, 2))


def sweep(flats, factors, pull, *settings):
    """Fit the factors in turn; `pull` says with which weights entries are drawn to what targets."""
    for axis in range(3):
        one, other = [factors[b] for b in range(3) if b != axis]
        gram = (one.mT @ one) * (other.mT @ other)
        weights, targets = pull(factors[axis], axis, *settings)
        right = flats[axis] @ pairwise(one, other) + weights * targets
        if isinstance(weights, float):  # one matrix serves all rows
            eye = weights * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
            factors[axis] = torch.linalg.solve(gram + eye, right.mT).mT
        else:
            left = gram[:, None] + torch.diag_embed(weights)
            factors[axis] = torch.linalg.solve(left, right)


def every(factors):
    """Return the entries of each decomposition as a row."""
    return torch.cat([factor.flatten(1) for factor in factors], dim=1)


# EVOLVE-BLOCK-START
STARTS = 1
START = 0.5

FIT = 500
RIDGE = 0.02
RIDGE_END = 0.003

THIN = 200
DRAW = 0.01
DRAW_END = 0.001
EDGE = 0.3
EDGE_END = 0.003

ROUNDS = 40
HARD = 1000.0
SOFT = 0.003
SHARE = 0.1
LATER = 0.3
SETTLE = 20
ALLOWED = 0.01


def between(first, last, part):
    """Return a value on the way from one to the other, part of the way, in equal ratios."""
    return first * (last / first) ** part


def inwards(factor, axis, ridge, part):
    """Draw what is outside of [-1, 1] to its ends, and at first everything to 0."""
    return ridge, factor.clamp(-1.0, 1.0) * min(1.0, 2.0 * part)


def to_zero(factor, axis, draw, edge):
    """Draw small entries to 0 more than large ones: the sum of magnitudes, not of squares."""
    return draw / (factor.abs() + edge), 0.0


def thin(flats, factors):
    """Leave few entries that are not 0, and make the largest of a column 1."""
    for step in range(THIN):
        part = step / THIN
        draw, edge = between(DRAW, DRAW_END, part), between(EDGE, EDGE_END, part)
        sweep(flats, factors, to_zero, draw, edge)
    u, v, w = factors
    one, other = [f.abs().amax(dim=1, keepdim=True) + 1e-9 for f in (u, v)]
    return [u / one, v / other, w * one * other]


def nearest(values):
    """Return what entries may be fixed at."""
    return values.round().clamp(-1.0, 1.0)


def lateness(values):
    """Return in which order entries are fixed: what is near first, and zeros first."""
    near = nearest(values)
    return (values - near).abs() + LATER * near.abs()


def to_nearest(factor, axis, held, near):
    """Hold some entries at their values; leave the others nearly free."""
    weights = torch.where(held[axis], HARD, SOFT)
    return weights, torch.where(held[axis], near[axis], factor.clamp(-1.0, 1.0))


def fix(flats, factors):
    """Fix more and more entries of each, as long as its others make up for it."""
    fixed = [torch.zeros_like(f, dtype=torch.bool) for f in factors]
    share = torch.full((len(factors[0]), 1), SHARE, dtype=torch.float64, device=factors[0].device)
    for _ in range(ROUNDS):
        late = [
            lateness(f).masked_fill(done, torch.inf) for f, done in zip(factors, fixed, strict=True)
        ]
        order = every(late).sort(dim=1).values
        free = order.isfinite().sum(dim=1, keepdim=True)
        limit = order.gather(1, (share * free).long())[:, :, None]
        tried = [done | (one <= limit) for one, done in zip(late, fixed, strict=True)]
        near = [nearest(f) for f in factors]
        trial = list(factors)
        for _ in range(SETTLE):
            sweep(flats, trial, to_nearest, tried, near)
        fits = (misfit(flats, trial) < ALLOWED)[:, None, None]
        factors = [torch.where(fits, new, old) for new, old in zip(trial, factors, strict=True)]
        fixed = [torch.where(fits, new, old) for new, old in zip(tried, fixed, strict=True)]
        share = torch.where(fits[:, 0], (1.5 * share).clamp(max=SHARE), share / 2.0)
        if every(fixed).all():
            break
    return factors


def decompose_many(m, n, p, rank, seeds, device):
    """Fit, thin out and fix several starts of all seeds at once; return each seed's best."""
    whole = tensor(m, n, p)
    chances = [torch.Generator().manual_seed(seed) for seed in seeds]
    factors = [
        torch.cat([
            torch.randn((STARTS, length, rank), generator=chance, dtype=torch.float64)
            for chance in chances
        ]).to(device) * START
        for length in whole.shape
    ]  # fmt: skip
    flats = [whole.movedim(axis, 0).flatten(1).to(device) for axis in range(3)]
    for step in range(FIT):
        part = step / FIT
        sweep(flats, factors, inwards, between(RIDGE, RIDGE_END, part), part)
    factors = fix(flats, thin(flats, factors))
    wrong = misfit(flats, [torch.round(2.0 * f) / 2.0 for f in factors])
    best = wrong.reshape(len(seeds), STARTS).argmin(dim=1)
    best = best + STARTS * torch.arange(len(seeds), device=best.device)
    return [factor[best].cpu().numpy() for factor in factors]


# EVOLVE-BLOCK-END
