"""The output of evaluators, for the run's log or for standard error."""

from __future__ import annotations

import re
import sys
from typing import IO

from evolver.wording import visible

_LONGEST = 1 << 16  # bytes without a line's end that are held back
_NUMBER = re.compile(r"\d[\d.]*(?:e[-+]?\d+)?")


class Output:
    """Writes the output of one worker in whole lines, each with the program that it belongs to."""

    def __init__(self, log: IO[bytes] | None, shown: set[str] | None = None) -> None:
        """Begin with nothing.

        Args:
            log: of a run; None: lines go to standard error, and a line that an earlier evaluation
                printed is not shown again, not even with other numbers.
            shown: the lines that were shown; several workers may share it.
        """
        self.subject = "evaluator"  # the beginning of each line
        self._log = log
        self._rest = b""
        self._lines: list[str] = []  # of the evaluation at hand, where there is no log
        self._shown = set() if shown is None else shown
        self._own: set[str] = set()  # lines of the evaluation at hand; it may repeat itself

    def feed(self, piece: bytes) -> None:
        """Take output; write its whole lines."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _LONGEST:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._write(line)

    def end(self, subject: str = "evaluator") -> None:
        """Write the unfinished line; what follows belongs to another subject."""
        if self._rest:
            self._write(self._rest)
            self._rest = b""
        self._show()
        self._shown |= self._own
        self._own = set()
        self.subject = subject

    def _show(self) -> None:
        """Write the lines held back that no earlier evaluation printed."""
        for line in self._lines:
            alike = _NUMBER.sub("#", line)
            if alike not in self._shown:
                sys.stderr.write(line)
            self._own.add(alike)
        sys.stderr.flush()
        self._lines = []

    def _write(self, line: bytes) -> None:
        text = visible(line.removesuffix(b"\r").decode("utf-8", "backslashreplace"))
        if self._log is not None:
            self._log.write(f"{self.subject}: {text}\n".encode())
        else:
            self._lines.append(f"evaluator: {text}\n")
            if sum(map(len, self._lines[-1000:])) > _LONGEST or len(self._lines) > 1000:
                self._show()
