"""Lion (Chen 2023)."""

import numpy as np


def train(w, g, m, v, lr):
    """Return what to subtract from w, and the two buffers."""
    update = np.sign(0.9 * m + 0.1 * g)
    m = 0.99 * m + 0.01 * g
    update = (update + 0.1 * w) * lr
    return update, m, v
