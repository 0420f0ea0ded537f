"""An operator for this task: orders and unrolls the loops, in C."""

import re
from dataclasses import dataclass

from evolver.errors import ProposalError
from evolver.types import Context, Proposal

_NEST = re.compile(r"((?:\n *(?:#pragma GCC unroll \d+\n *)?for \([^\n]*\)){3})")
_HEADER = re.compile(r"for \([^\n]*\)")


@dataclass(frozen=True)
class Reorder:
    """Put the three loops, directly in one another, into another order, and unroll the innermost.

    Attributes:
        unrolled: how often, at most.
        tries: edits drawn before giving up on finding one that is new.
    """

    unrolled: int = 16
    tries: int = 50

    async def propose(self, context: Context) -> Proposal:
        """Return the program with other loops.

        Raises:
            ProposalError: the program has no three such loops, or no new order was found.
        """
        ((path, content),) = context.parent.program.files.items()
        found = _NEST.search(content.decode())
        if found is None:
            raise ProposalError("the program has no three loops directly in one another")
        for _ in range(self.tries):
            loops = _HEADER.findall(found[1])
            context.rng.shuffle(loops)
            times = context.rng.randint(1, self.unrolled)
            loops[2] = f"#pragma GCC unroll {times}\n            {loops[2]}"
            nest = "".join(f"\n{' ' * 4 * depth}{loop}" for depth, loop in enumerate(loops, 1))
            files = {path: content.decode().replace(found[1], nest).encode()}
            if not context.is_seen(files):
                order = ", ".join(re.findall(r"int (\w+)", nest))
                return Proposal(files, f"loops over {order}, unrolled {times} times")
        raise ProposalError("no new order was found")
