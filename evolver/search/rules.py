"""The version of the rules by which a run chooses parents, makes edits and compares programs.

A run keeps the rules of its start, also when a newer evolver resumes it; its settings have the
version. The code keeps an older rule if that is a line or two (see `EngineSettings.rules`). Larger
ones, such as the edits of a genetic operator, are listed in `GONE`; a replay reports what differs
by them as outdated, not as a difference.
"""

from __future__ import annotations

from collections.abc import Mapping

CURRENT = 2  # 1: runs without a version in their settings

#: Version -> what it decides differently, with no code left for the older rule.
GONE: Mapping[int, str] = {
    2: "genetic operators make other edits, and models' answers are read more leniently",
}


def gone_since(rules: int) -> tuple[str, ...]:
    """Return the rules of an older run that this evolver no longer has."""
    return tuple(what for version, what in sorted(GONE.items()) if version > rules)
