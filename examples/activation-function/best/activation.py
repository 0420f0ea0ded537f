"""What a network does to each number after it was normalised: the hyperbolic tangent."""


def activation(x, a):
    return max(x + x, -1)
