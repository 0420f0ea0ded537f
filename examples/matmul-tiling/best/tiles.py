# EVOLVE-BLOCK-START
def choose(m, k, n):
    rows = 32.0
    columns = 32.0
    return rows, columns * columns, 32.0


# EVOLVE-BLOCK-END
