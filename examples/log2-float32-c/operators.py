"""An operator for this task: another degree, other coefficients, float or double, in C."""

from dataclasses import dataclass

import numpy as np

from evolver.errors import ProposalError
from evolver.types import Context, Proposal

_START, _END = "EVOLVE-BLOCK-START */\n", "/* EVOLVE-BLOCK-END"
_BODY = """/* t + t (1 - t) p, with p of degree {degree} through {count} points, of type {kind}. */
static const {kind} c[] = {{
    {coefficients},
}};

float approximate(float x)
{{
    {kind} u = x - ({kind})1.5, t = x - ({kind})1, p = 0;
    for (int k = sizeof c / sizeof *c - 1; k >= 0; k--)
        p = p * u + c[k];
    return (float)(p * (t - t * t) + t);
}}
"""


@dataclass(frozen=True)
class Interpolate:
    """Write the polynomial p for which t + t (1 - t) p is log2(1 + t) at some points.

    Its points are Chebyshev's, each moved by chance, so that coefficients of floats are rounded one
    way or the other.

    Attributes:
        least: degree.
        most: degree.
        moved: the most that a point is moved, relative to its distance from the interval's end.
        tries: programs drawn before giving up on finding one that is new.
    """

    least: int = 5
    most: int = 14
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
            t = (1.0 - np.cos(angles)) / 2
            t += [rng.uniform(-self.moved, self.moved) for _ in t] * np.minimum(t, 1.0 - t)
            wanted = (np.log2(1.0 + t) - t) / (t - t * t)
            powers = np.linalg.solve(np.vander(t - 0.5, increasing=True), wanted)
            values = [_literal(value, kind) for value in powers]
            body = _BODY.format(
                degree=degree, count=degree + 1, kind=kind, coefficients=",\n    ".join(values)
            )
            files = {path: f"{head}{start}{body}{end}{tail}".encode()}
            if not context.is_seen(files):
                return Proposal(files, f"degree {degree}, of type {kind}")
        raise ProposalError("no new polynomial was found")


def _literal(value: float, kind: str) -> str:
    return f"{np.float32(value)!s}f" if kind == "float" else repr(float(value))
