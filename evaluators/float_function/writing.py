"""Writes a straight line as a function of floats: in C, and in Triton for a GPU."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from evolver.errors import CandidateOutputError
from evolver.scoring.straightline import StraightLine

_KERNEL = Path(__file__).with_name("kernel.py.in").read_text("utf-8")
_HEAD = """#ifdef __FP_FAST_FMAF
#define FUSED(a, b, c) __builtin_fmaf(a, b, c)
#else
#define FUSED(a, b, c) ((a) * (b) + (c))
#endif

static inline float approximate(float x)
{
"""


def in_float(value: float) -> float:
    """Return the float32 number nearest to a constant.

    Raises:
        CandidateOutputError: the constant is too large.
    """
    with np.errstate(over="ignore"):
        nearest = float(np.float32(value))
    if not np.isfinite(nearest):
        raise CandidateOutputError(
            f"the constant {value!r} is too large for a float32; make it smaller"
        )
    return nearest


def in_c(line: StraightLine) -> str:
    """Return the function `approximate` in C.

    Operations are on floats. A product that is used once, in a sum, is fused with it if the machine
    has such an instruction.
    """
    uses: Counter[int] = Counter()
    for node in line.nodes:
        uses.update(node.operands)
    fused = set[int]()
    statements, names = [], [f"v{index}" for index in range(len(line.nodes))]
    for index, node in enumerate(line.nodes):
        match node.kind:
            case "x":
                names[index] = "x"
            case "c":
                names[index] = f"({in_float(node.value).hex()}f)"
            case "neg":
                statements.append((index, f"-{names[node.left]}"))
            case "+" | "-":
                product = next(
                    (i for i in node.operands if line.nodes[i].kind == "*" and uses[i] == 1), None
                )
                if product is None:
                    text = f"{names[node.left]} {node.kind} {names[node.right]}"
                else:
                    fused.add(product)
                    text = _fused(line, names, index, product)
                statements.append((index, text))
            case _:
                statements.append((index, f"{names[node.left]} {node.kind} {names[node.right]}"))
    lines = [f"    const float v{i} = {text};\n" for i, text in statements if i not in fused]
    return f"{_HEAD}{''.join(lines)}    return {names[-1]};\n}}\n"


def _fused(line: StraightLine, names: list[str], index: int, product: int) -> str:
    """Return a sum with an operand that is a product used only there."""
    node, factors = line.nodes[index], line.nodes[product]
    a, b = names[factors.left], names[factors.right]
    if node.left == product:
        other = names[node.right]
        return f"FUSED({a}, {b}, {'-' if node.kind == '-' else ''}{other})"
    return f"FUSED({'-' if node.kind == '-' else ''}{a}, {b}, {names[node.left]})"


def line_in_triton(line: StraightLine) -> str:
    """Return the body of `approximate` in Triton, whose compiler fuses products and sums."""
    names = [f"v{index}" for index in range(len(line.nodes))]
    statements = []
    for index, node in enumerate(line.nodes):
        match node.kind:
            case "x":
                names[index] = "x"
            case "c":
                names[index] = f"({in_float(node.value)!r})"
            case "neg":
                statements.append(f"    v{index} = -{names[node.left]}")
            case kind:
                text = f"{names[node.left]} {kind} {names[node.right]}"
                statements.append(f"    v{index} = {text}")
    value = names[-1] if "x" in (node.kind for node in line.nodes) else f"x * 0.0 + {names[-1]}"
    return "\n".join([*statements, f"    return {value}"])


def in_triton(body: str) -> str:
    """Return the source of a kernel with this body of `approximate`."""
    return _KERNEL.replace("{body}", body)
