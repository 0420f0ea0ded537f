"""Looks for decompositions of the tensor of matrix multiplication by alternating least squares."""

import numpy as np


def tensor(m, n, p):
    result = np.zeros((m * n, n * p, m * p))
    for i in range(m):
        for j in range(n):
            for k in range(p):
                result[i * n + j, j * p + k, i * p + k] = 1.0
    return result


def solve(flat, one, other, weights, targets):
    """Return the factor that fits best, each entry drawn to its target with its weight."""
    design = np.einsum("ir,jr->ijr", one, other).reshape(-1, one.shape[1])
    gram = (design.T @ design)[None] + weights[:, :, None] * np.eye(one.shape[1])
    return np.linalg.solve(gram, (flat @ design + weights * targets)[:, :, None])[:, :, 0]


# EVOLVE-BLOCK-START
START = 0.7
RIDGE = 0.1
SOFT = 0.001
HARD = 100.0
FITTING = 150
FIXING = 300


def ridge(part):
    """Return the weight of small entries in the first phase; part goes from 0 to 1."""
    return RIDGE * (1.0 - part) ** 2 + SOFT


def decompose(m, n, p, rank, seed):
    """Fit first; then fix more and more entries, the nearest first, to -1, 0 or 1."""
    rng = np.random.default_rng(seed)
    whole = tensor(m, n, p)
    flats = [np.moveaxis(whole, axis, 0).reshape(whole.shape[axis], -1) for axis in range(3)]
    factors = [rng.normal(size=(length, rank)) * START for length in whole.shape]
    for step in range(FITTING + FIXING):
        rounded = [np.clip(np.round(factor), -1.0, 1.0) for factor in factors]
        gaps = [np.abs(factor - near) for factor, near in zip(factors, rounded, strict=True)]
        fixed = max(0.0, (step - FITTING) / FIXING)
        limit = np.quantile(np.concatenate([gap.ravel() for gap in gaps]), fixed)
        for axis in range(3):
            one, other = [factors[b] for b in range(3) if b != axis]
            near = np.clip(np.round(factors[axis]), -1.0, 1.0)
            inside = np.clip(factors[axis], -1.0, 1.0)
            if step < FITTING:
                weights = np.full(near.shape, ridge(step / FITTING))
                targets = inside * (step / FITTING)
            else:
                is_near = np.abs(factors[axis] - near) <= limit
                weights = np.where(is_near, HARD, SOFT)
                targets = np.where(is_near, near, inside)
            factors[axis] = solve(flats[axis], one, other, weights, targets)
        if step < FITTING:
            norms = [np.linalg.norm(factor, axis=0) + 1e-12 for factor in factors]
            mean = (norms[0] * norms[1] * norms[2]) ** (1.0 / 3.0)
            factors = [f / norm * mean for f, norm in zip(factors, norms, strict=True)]
    return factors


# EVOLVE-BLOCK-END
