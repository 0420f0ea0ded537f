"""An operator for this task: edits the gaps of Shell's sort, in C."""

import re
from dataclasses import dataclass

from evolver.errors import ProposalError
from evolver.types import Context, Proposal

_GAPS = re.compile(r"(gaps\[\] = \{)([\d, ]*)(\})")


@dataclass(frozen=True)
class Regap:
    """Change, add or drop gaps; the last one stays 1.

    Attributes:
        largest: gap.
        tries: edits drawn before giving up on finding one that is new.
    """

    largest: int = 30
    tries: int = 50

    async def propose(self, context: Context) -> Proposal:
        """Return the program with other gaps.

        Raises:
            ProposalError: the program has no list of gaps, or no new one was found.
        """
        ((path, content),) = context.parent.program.files.items()
        found = _GAPS.search(content.decode())
        if found is None:
            raise ProposalError("the program has no list of gaps")
        rng = context.rng
        for _ in range(self.tries):
            gaps = {int(gap) for gap in found[2].split(",")}
            for _ in range(rng.choice((1, 1, 2))):
                if rng.random() < 0.7:
                    gaps.discard(rng.choice(sorted(gaps)))
                if rng.random() < 0.7:
                    gaps.add(rng.randint(2, self.largest))
            text = ", ".join(map(str, sorted(gaps | {1}, reverse=True)))
            files = {path: _GAPS.sub(rf"\g<1>{text}\g<3>", content.decode(), count=1).encode()}
            if not context.is_seen(files):
                return Proposal(files, f"gaps {text}")
        raise ProposalError("no new list of gaps was found")
