"""The version of the rules that decide: whom to edit, what an edit makes of it, what counts.

A run keeps the rules that it was started with, whichever evolver goes on with it: its settings say
which. What a rule decided is kept in the code for older runs where that is a line or two (ask
`EngineSettings.rules`). Where it is more, such as the edits of a genetic operator, `GONE` says so,
and a replay reports what comes out differently as outdated instead of as a difference.
"""

from __future__ import annotations

from collections.abc import Mapping

CURRENT = 2  # 1: runs that do not say

#: Version -> what is decided differently since then, and cannot be repeated by an older rule.
GONE: Mapping[int, str] = {
    2: "genetic operators make other edits, and models' answers are read more leniently",
}


def gone_since(rules: int) -> tuple[str, ...]:
    """Return what a run of older rules decided and this evolver no longer can."""
    return tuple(what for version, what in sorted(GONE.items()) if version > rules)
