"""Straight-line programs of one argument: checked and evaluated.

The list comes from the candidate's process, so `parse` checks all of it. Everything else works on
the checked `StraightLine`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evolver.errors import CandidateOutputError

MAX_NODES = 2000
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


@dataclass(frozen=True)
class Node:
    """One entry of the list.

    `kind` is "x", "p" (parameter `left`), "c" (constant `value`), "neg" (of entry `left`), or one
    of + - * / on the entries `left` and `right`, which stand earlier in the list.
    """

    kind: str
    left: int = -1
    right: int = -1
    value: float = 0.0

    @property
    def operands(self) -> tuple[int, ...]:
        """The entries that it takes."""
        if self.kind in BINARY:
            return self.left, self.right
        return (self.left,) if self.kind == "neg" else ()


@dataclass(frozen=True)
class StraightLine:
    """A checked program: the value of its last node is the function's value."""

    nodes: tuple[Node, ...]

    def run(
        self,
        x: Any,
        parameters: Sequence[Any] = (),
        constant: Callable[[float], Any] = float,
    ) -> list[Any]:
        """Return the value of every node, in the arithmetic of the operands.

        Args:
            x: the argument: a float64 array, a DoubleDouble, an mpmath number, ...
            parameters: values of the "p" nodes.
            constant: makes an operand of a constant.
        """
        values: list[Any] = []
        for node in self.nodes:
            match node.kind:
                case "x":
                    values.append(x)
                case "c":
                    values.append(constant(node.value))
                case "p":
                    values.append(parameters[node.left])
                case "neg":
                    values.append(-values[node.left])
                case kind:
                    values.append(BINARY[kind](values[node.left], values[node.right]))
        return values

    def with_parameters(self, parameters: Sequence[float]) -> StraightLine:
        """Return the program with numbers in place of its parameters."""
        return StraightLine(
            tuple(
                Node("c", value=parameters[node.left]) if node.kind == "p" else node
                for node in self.nodes
            )
        )

    def with_constants(self, change: Callable[[float], float]) -> StraightLine:
        """Return the program with each constant changed."""
        return StraightLine(
            tuple(
                Node("c", value=change(node.value)) if node.kind == "c" else node
                for node in self.nodes
            )
        )

    def depends(self, kind: str) -> tuple[bool, ...]:
        """Tell for each node whether it depends on a node of the kind ("x" or "p")."""
        found: list[bool] = []
        for node in self.nodes:
            if node.kind in BINARY:
                found.append(found[node.left] or found[node.right])
            elif node.kind == "neg":
                found.append(found[node.left])
            else:
                found.append(node.kind == kind)
        return tuple(found)


def _node(raw: object, index: int, parameters: int) -> Node:
    if not isinstance(raw, list | tuple) or not raw:
        raise CandidateOutputError(f"node {index} of the traced list is no list")
    kind, *operands = raw
    if kind == "x" and not operands:
        return Node("x")
    if kind == "c" and len(operands) == 1:
        value = operands[0]
        if type(value) is float and math.isfinite(value):
            return Node("c", value=value)
        raise CandidateOutputError(f"node {index} of the traced list is no finite constant")
    arity, limit = {"p": (1, parameters), "neg": (1, index)}.get(str(kind), (2, index))
    is_known = isinstance(kind, str) and (kind in BINARY or kind in ("p", "neg"))
    if not is_known or len(operands) != arity:
        raise CandidateOutputError(f"node {index} of the traced list is no known operation")
    if any(type(operand) is not int or not 0 <= operand < limit for operand in operands):
        raise CandidateOutputError(f"node {index} of the traced list has an operand out of range")
    return Node(kind, *operands)


def parse(raw: object, parameters: int = 0) -> StraightLine:
    """Check what the guest returned and keep only the nodes that the output needs.

    Args:
        raw: `{"nodes": [["x"], ["c", 0.5], ["+", 0, 1], ...], "output": 2}`.
        parameters: how many parameters "p" nodes may name.

    Raises:
        CandidateOutputError: the list is malformed.
    """
    if not isinstance(raw, dict) or set(raw) != {"nodes", "output"}:
        raise CandidateOutputError("the traced list is not of the form {nodes, output}")
    entries, output = raw["nodes"], raw["output"]
    if not isinstance(entries, list | tuple) or len(entries) > MAX_NODES:
        raise CandidateOutputError(f"the traced list has more than {MAX_NODES} nodes or is no list")
    if type(output) is not int or not 0 <= output < len(entries):
        raise CandidateOutputError("the output of the traced list is not one of its nodes")
    nodes = [_node(entry, index, parameters) for index, entry in enumerate(entries)]
    return _pruned(nodes, output)


def _pruned(nodes: Sequence[Node], output: int) -> StraightLine:
    needed = {output}
    for index in range(output, -1, -1):
        if index in needed:
            needed.update(nodes[index].operands)
    renumbered: dict[int, int] = {}
    kept: list[Node] = []
    for index in sorted(needed):
        node = nodes[index]
        if node.kind in BINARY:
            node = Node(node.kind, renumbered[node.left], renumbered[node.right])
        elif node.kind == "neg":
            node = Node("neg", renumbered[node.left])
        renumbered[index] = len(kept)
        kept.append(node)
    return StraightLine(tuple(kept))
