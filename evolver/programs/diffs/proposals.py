"""Whether an answer's edits are one proposal: headings and folded sections set drafts apart."""

from __future__ import annotations

import re

from evolver.errors import EditError

_TAGS = r"(?:</?\w+>|\d+[.)]|[\W_])*"  # and other characters that a heading may begin with
_COUNT = r"(?:\d+|one|two|three)"
# The beginning of a line that opens another proposal.
_ANOTHER = re.compile(
    rf"{_TAGS}(?:(?:option|alternative|variant|approach|possibility)\b[\W_]*"
    rf"(?:{_COUNT}|[a-z]|first|second)\b|alternatively\b)",
    re.IGNORECASE,
)
# A heading of a draft, or of the answer that follows one.
_DRAFT = re.compile(
    rf"{_TAGS}(?:(?:my|the|an?)\s+)?(?:"
    r"(?:(?:first|second|third|initial|previous|earlier|rough|failed|rejected|abandoned|discarded"
    r"|final|revised|corrected)\s+)+"
    r"(?:attempt|draft|try|version|answer|solution|proposal|idea|approach|option|candidate)s?"
    rf"|(?:attempt|draft|version|try|proposal|candidate)\s*\#?{_COUNT}"
    r"|drafts?|scratch(?:\s*(?:work|pad))?|correction)"
    r"(?:[\W_]|</?\w+>)*(?:$|[:(\u2013\u2014-])",
    re.IGNORECASE,
)
_FOLD = re.compile(r"<(/?)details\b", re.IGNORECASE)


class Proposals:
    """Finds what separates the edits of an answer, which is read from its top."""

    def __init__(self) -> None:
        """Begin with an empty answer."""
        self._edits: list[bool] = []  # for each, whether it stands in a folded section
        self._heads: set[int] = set()  # how many edits stand above each heading
        self._depth = 0

    def read(self, line: str) -> None:
        """Read a line outside of edits."""
        if _ANOTHER.match(line) or _DRAFT.match(line):
            self._heads.add(len(self._edits))
        for slash in _FOLD.findall(line):
            self._depth = max(0, self._depth + (-1 if slash else 1))

    def add(self) -> None:
        """Count an edit."""
        self._edits.append(self._depth > 0)

    def check(self) -> None:
        """Raise where the edits are of several proposals.

        Raises:
            EditError: a heading stands between them, or some stand in folded sections and others
                do not.
        """
        if self._heads & set(range(1, len(self._edits))) or len(set(self._edits)) > 1:
            raise EditError(
                "the answer holds several proposals, or a draft beside its final edit; write the "
                "blocks of one proposal and nothing else"
            )
