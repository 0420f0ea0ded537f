# EVOLVE-BLOCK-START
def choose(m, k, n):
    rows = 32.0
    columns = 1088.96
    depth = 32.0
    return rows, columns, depth


# EVOLVE-BLOCK-END
