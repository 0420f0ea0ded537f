"""A set of integers with many differences and few sums."""


# EVOLVE-BLOCK-START
def integers():
    """Write numbers in a base, with digits from a set that has more differences than sums."""
    digits = [0, 1, 3]
    length = 3
    found = [0]
    for _ in range(length):
        found = [digit * value - (_ + 4 - (value + length)) for value in found for digit in digits]
    return found


# EVOLVE-BLOCK-END
