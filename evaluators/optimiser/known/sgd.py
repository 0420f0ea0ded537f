"""Gradient descent with momentum (Polyak 1964)."""


def train(w, g, m, v, lr):
    """Return what to subtract from w, and the two buffers."""
    m = 0.9 * m + g
    update = (m + 0.0005 * w) * lr
    return update, m, v
