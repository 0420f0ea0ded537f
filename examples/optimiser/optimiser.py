"""AdamW without the correction of bias, where the search for Lion began as well."""

import numpy as np


def train(w, g, m, v, lr):
    # EVOLVE-BLOCK-START
    g2 = np.square(g)
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g2
    root = np.sqrt(v) + 1e-8
    update = m / root
    decay = w * 0.01
    update = update + decay
    update = update * lr
    # EVOLVE-BLOCK-END
    return update, m, v
