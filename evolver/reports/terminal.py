"""Print to a terminal: text cannot send it control sequences, and keys leave no echo."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from evolver.wording import visible

_WIDTH_OF_A_FILE = 120  # columns, if the output is not a terminal


class Terminal(Console):
    """A console for people. It prints text literally: no markup, emoji names or escapes."""

    def __init__(self, *, to_stderr: bool = False, **more: Any) -> None:
        super().__init__(stderr=to_stderr, markup=False, emoji=False, highlight=False, **more)
        if not self.is_terminal and "COLUMNS" not in os.environ and "width" not in more:
            self.width = _WIDTH_OF_A_FILE

    def render_str(self, text: str, **how: Any) -> Text:
        """Convert a string to a text whose control characters are visible."""
        return super().render_str(visible(text), **how)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render anything, with control characters in its text made visible."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def on_broken_pipe(self) -> NoReturn:
        """Raise the error for the command line, which then exits silently."""
        raise BrokenPipeError


@contextlib.contextmanager
def without_echo(console: Console) -> Iterator[None]:
    """Switch off the terminal's echo of keys, such as ^C for Ctrl-C.

    An echo at the end of a full line would add a line, and the live view could not be erased.
    """
    try:
        import termios

        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
    except (ImportError, OSError, ValueError, termios.error):
        yield  # the input is not a terminal
        return
    quiet = list(before)
    quiet[3] &= ~termios.ECHO
    if console.is_terminal:
        termios.tcsetattr(number, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        if console.is_terminal:
            termios.tcsetattr(number, termios.TCSANOW, before)
