"""An operator for this task: another degree, other coefficients, float or double, in C."""

from dataclasses import dataclass

import numpy as np

from evolver.errors import ProposalError
from evolver.types import Context, Proposal

_START, _END = "EVOLVE-BLOCK-START */\n", "/* EVOLVE-BLOCK-END"
_BODY = """/* The polynomial of degree {degree} through 2**x at {count} points, of type {kind}. */
static const {kind} c[] = {{{coefficients}}};

float approximate(float x)
{{
    {kind} p = 0;
    for (int k = sizeof c / sizeof *c - 1; k >= 0; k--)
        p = p * x + c[k];
    return (float)p;
}}
"""


@dataclass(frozen=True)
class Interpolate:
    """Write the polynomial that meets 2**x at some points between 0 and 1.

    Its points are Chebyshev's, each moved by chance, so that coefficients of floats are rounded one
    way or the other.

    Attributes:
        least: degree.
        most: degree.
        moved: the most that a point is moved, in units of the distance to the end of the interval.
        tries: programs drawn before giving up on finding one that is new.
    """

    least: int = 4
    most: int = 11
    moved: float = 0.02
    tries: int = 50

    async def propose(self, context: Context) -> Proposal:
        """Return another polynomial.

        Raises:
            ProposalError: the program has no editable block, or no new polynomial was found.
        """
        ((path, content),) = context.parent.program.files.items()
        head, start, rest = content.decode().partition(_START)
        _, end, tail = rest.partition(_END)
        if not start or not end:
            raise ProposalError("the program has no editable block")
        rng = context.rng
        for _ in range(self.tries):
            degree = rng.randint(self.least, self.most)
            kind = rng.choice(("float", "double"))
            angles = (np.arange(degree + 1) + 0.5) * np.pi / (degree + 1)
            x = (1.0 - np.cos(angles)) / 2
            x += [rng.uniform(-self.moved, self.moved) for _ in x] * np.minimum(x, 1.0 - x)
            powers = np.linalg.solve(np.vander(x, increasing=True), np.exp2(x))
            values = [_literal(value, kind) for value in powers]
            body = _BODY.format(
                degree=degree, count=degree + 1, kind=kind, coefficients=", ".join(values)
            )
            files = {path: f"{head}{start}{body}{end}{tail}".encode()}
            if not context.is_seen(files):
                return Proposal(files, f"degree {degree} in {kind} precision")
        raise ProposalError("no new polynomial was found")


def _literal(value: float, kind: str) -> str:
    return f"{np.float32(value)!s}f" if kind == "float" else repr(float(value))
