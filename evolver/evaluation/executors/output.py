"""What evaluators print: into the run's log with the program's number, else to standard error."""

from __future__ import annotations

import sys
from typing import IO

from evolver.wording import visible

_LONGEST = 1 << 16  # bytes without a line's end that are held back


class Output:
    """Whole lines of what one worker prints, each with whose evaluation it belongs to."""

    def __init__(self, log: IO[bytes] | None) -> None:
        """Begin with nothing.

        Args:
            log: of a run; None: lines go to standard error, those of an evaluation that printed
                the same as the one before only once.
        """
        self.subject = "evaluator"  # what lines begin with
        self._log = log
        self._rest = b""
        self._lines: list[str] = []  # of the evaluation at hand, where there is no log
        self._last: list[str] = []

    def feed(self, piece: bytes) -> None:
        """Take what was printed; write the lines that are whole."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _LONGEST:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._write(line)

    def end(self, subject: str = "evaluator") -> None:
        """Write what has no line's end yet; what follows belongs to another subject."""
        if self._rest:
            self._write(self._rest)
            self._rest = b""
        if self._lines and self._lines != self._last:
            for line in self._lines:
                sys.stderr.write(line)
            sys.stderr.flush()
        self._last, self._lines = self._lines or self._last, []
        self.subject = subject

    def _write(self, line: bytes) -> None:
        text = visible(line.removesuffix(b"\r").decode("utf-8", "backslashreplace"))
        if self._log is not None:
            self._log.write(f"{self.subject}: {text}\n".encode())
        else:
            self._lines.append(f"evaluator: {text}\n")
            if sum(map(len, self._lines[-1000:])) > _LONGEST or len(self._lines) > 1000:
                self.end(self.subject)
