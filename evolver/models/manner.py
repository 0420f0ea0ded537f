"""How an endpoint wants its requests written, learnt from its refusals.

OpenAI-compatible endpoints differ: one has no system role, one calls the limit
``max_completion_tokens``, one takes no temperature. A refusal names what the endpoint does not
take, and the next request is written without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from evolver.types import Prompt

Role = Literal["system", "user"]

_LIMITS = ("max_tokens", "max_completion_tokens")
_NO_SYSTEM = re.compile(
    r"\bsystem[ _-]?(?:role|message|prompt|instruction)|\brole\W+system\b|['\"`]system['\"`]"
    r"|developer instruction|roles must alternate|only user and assistant roles",
    re.IGNORECASE,
)
_TOO_MUCH = re.compile(
    r"too (?:large|high|big|many)|at most|less than|exceed|greater than|larger than|at least",
    re.IGNORECASE,
)
_SEVERAL = re.compile(
    r"['\"`]n['\"`]|\bparameter:? n\b|\bn\s*(?:>|=|!=|must|should|is|has)"
    r"|(?:multiple|only one) (?:completion|choice|candidate|response)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Manner:
    """How requests are written.

    Attributes:
        system: the role that the system part of a prompt has; with "user" it stands in front of
            the user's part.
        limit: the name of the setting for the most tokens of an answer.
        refused: names of settings that the endpoint does not take.
    """

    system: Role = "system"
    limit: str = "max_tokens"
    refused: frozenset[str] = frozenset()

    def messages(self, prompt: Prompt) -> list[dict[str, str]]:
        """Return a prompt as messages."""
        if self.system == "user":
            return [{"role": "user", "content": f"{prompt.system}\n\n{prompt.user}"}]
        return [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": prompt.user},
        ]

    def settings(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of a request that are set, under the endpoint's names."""
        named = {self.limit if key == "max_tokens" else key: wanted[key] for key in wanted}
        return {
            name: value
            for name, value in named.items()
            if value is not None and name not in self.refused
        }

    def after(self, refusal: str, wanted: Mapping[str, Any]) -> tuple[Manner, str] | None:
        """Return how the next request is written, and a sentence about the change.

        Args:
            refusal: the endpoint's words.
            wanted: the settings of the refused request.

        Returns:
            None where the refusal names nothing that can be written differently.
        """
        for name in self.settings(wanted):
            if not (_SEVERAL.search(refusal) if name == "n" else _names(refusal, name)):
                continue
            refused = self.refused | {name}
            if name != self.limit:
                return replace(self, refused=refused), f"takes no {name}, which is left out"
            other = _LIMITS[1 - _LIMITS.index(name)]
            if other not in refused and not _TOO_MUCH.search(refusal):
                new = replace(self, limit=other, refused=refused)
                return new, f"takes {other} instead of {name}"
        if self.system == "system" and _NO_SYSTEM.search(refusal):
            return replace(self, system="user"), "takes no system role: it is put before the user's"
        return None


def _names(refusal: str, key: str) -> bool:
    spelled = re.escape(key).replace("_", "[ _]")
    return re.search(rf"(?<![\w]){spelled}(?![\w])", refusal, re.IGNORECASE) is not None
