"""AdamW (Loshchilov 2019) without bias correction, where Chen 2023 starts."""

import numpy as np


def train(w, g, m, v, lr):
    """Return what to subtract from w, and the two buffers."""
    g2 = np.square(g)
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g2
    root = np.sqrt(v) + 1e-8
    update = m / root
    decay = w * 0.01
    update = update + decay
    update = update * lr
    return update, m, v
