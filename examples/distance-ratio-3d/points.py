"""Points in space, nearly equally far apart."""


# EVOLVE-BLOCK-START
def points(count, dimensions):
    """Take the corners of a cube and points over the middles of its faces."""
    corner, middle = 1.0, 1.6
    found = []
    for x in (-corner, corner):
        for y in (-corner, corner):
            for z in (-corner, corner):
                found.append([x, y, z])
    for axis in range(3):
        for side in (-middle, middle):
            point = [0.0, 0.0, 0.0]
            point[axis] = side
            found.append(point)
    return found


# EVOLVE-BLOCK-END
