"""An optimiser of neural networks."""

import numpy as np


# EVOLVE-BLOCK-START
def train(w, g, m, v, lr):
    """Return what is subtracted from w, and the next m and v: AdamW, bias not corrected."""
    g2 = np.square(g)
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g2
    root = np.sqrt(v) + 1e-8
    update = m / root
    decay = w + 0.01
    update = update + np.tanh(decay)
    update = update * lr
    return update, m, v


# EVOLVE-BLOCK-END
