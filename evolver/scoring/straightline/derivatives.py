"""Derivatives of straight-line programs by their literals."""

from __future__ import annotations

import numpy as np

from evolver.scoring.straightline.double_double import Array
from evolver.scoring.straightline.line import Node, StraightLine


def columns(parameters: Array) -> list[Array]:
    """Return the n literals of vectors (k, n), each as (k, 1), to be run against points (m,)."""
    return [parameters[:, i, None] for i in range(parameters.shape[1])]


def gradients(
    line: StraightLine, values: list[Array], seed: Array, count: int, *, by_x: bool = False
) -> Array:
    """Return d(output)/d(parameter) times `seed`, (k, m, n), by one backward sweep.

    Args:
        line: the program.
        values: of all its nodes, as `StraightLine.run` returns them; each broadcasts to (k, m).
        seed: (k, m), the weight of the output at each point.
        count: n, the number of parameters.
        by_x: append the derivative by x as a last column, (k, m, n + 1).
    """
    slopes = np.zeros((seed.shape[0], count + by_x, seed.shape[1]))
    is_active = line.depends("p")
    if by_x:
        is_active = tuple(a or b for a, b in zip(is_active, line.depends("x"), strict=True))
    adjoint: list[Array | None] = [None] * len(line.nodes)
    adjoint[-1] = seed
    for index in range(len(line.nodes) - 1, -1, -1):
        node, weight = line.nodes[index], adjoint[index]
        if weight is None or not is_active[index]:
            continue
        if node.kind in ("p", "x"):
            slopes[:, node.left if node.kind == "p" else count, :] += weight
        for operand, share in _shares(node, weight, values, index):
            if is_active[operand]:
                before = adjoint[operand]
                adjoint[operand] = share if before is None else before + share
    return slopes.swapaxes(1, 2)


def _shares(
    node: Node, weight: Array, values: list[Array], index: int
) -> tuple[tuple[int, Array], ...]:
    """Return what a node's weight adds to the weight of each of its operands."""
    left, right = node.left, node.right
    match node.kind:
        case "+":
            return (left, weight), (right, weight)
        case "-":
            return (left, weight), (right, -weight)
        case "*":
            return (left, weight * values[right]), (right, weight * values[left])
        case "/":
            over = weight / values[right]
            return (left, over), (right, -over * values[index])
        case "neg":
            return ((left, -weight),)
        case _:
            return ()
