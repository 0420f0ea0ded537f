"""The sign of the gradient alone (Bernstein 2018)."""

import numpy as np


def train(w, g, m, v, lr):
    """Return what to subtract from w, and the two buffers."""
    update = np.sign(g) * lr
    return update, m, v
