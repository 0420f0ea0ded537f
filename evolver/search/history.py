"""Which programs a run has judged, as of any moment."""

from __future__ import annotations

from bisect import bisect_right

from evolver.programs.filters import normalised_hash, structure_hash
from evolver.types import Files


class History:
    """When each program, up to formatting, was first judged, and how often each structure.

    Attempts ask about the past as it was when they began (`upto` finished attempts), so the answer
    does not depend on the attempts that finish meanwhile.
    """

    def __init__(self) -> None:
        """Start with no program."""
        self._first: dict[str, int] = {}
        self._structures: dict[str, list[int]] = {}
        self._outputs: dict[str, tuple[int, int]] = {}  # fingerprint -> finished attempts, program

    def add(self, files: Files, finished: int) -> None:
        """Record a program as known once `finished` attempts are finished."""
        self._first.setdefault(normalised_hash(files), finished)

    def add_structure(self, files: Files, finished: int) -> None:
        """Record that a program's literals were fitted."""
        self._structures.setdefault(structure_hash(files), []).append(finished)

    def add_outputs(self, fingerprint: str, program: int, finished: int) -> None:
        """Record the fingerprint of a program's outputs on the probe inputs."""
        self._outputs.setdefault(fingerprint, (finished, program))

    def equivalent(self, fingerprint: str, upto: int) -> int | None:
        """Return the first program, among `upto` finished attempts, that computes the same."""
        known, program = self._outputs.get(fingerprint, (upto + 1, -1))
        return program if known <= upto else None

    def holds(self, files: Files, upto: int) -> bool:
        """Tell whether the program was among the first `upto` finished attempts."""
        return self._first.get(normalised_hash(files), upto + 1) <= upto

    def fits(self, files: Files, upto: int) -> int:
        """Count how often programs that differ in float literals alone were fitted."""
        return bisect_right(self._structures.get(structure_hash(files), ()), upto)
