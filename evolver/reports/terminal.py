"""The terminal: what is printed cannot act on it, and a key that is pressed leaves no mark."""

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

_WIDTH_OF_A_FILE = 120  # columns where the output is no terminal


class Terminal(Console):
    """A console for people. Text is printed as it is: no markup, no names of emoji, no escapes."""

    def __init__(self, *, to_stderr: bool = False, **more: Any) -> None:
        super().__init__(stderr=to_stderr, markup=False, emoji=False, highlight=False, **more)
        if not self.is_terminal and "COLUMNS" not in os.environ and "width" not in more:
            self.width = _WIDTH_OF_A_FILE

    def render_str(self, text: str, **how: Any) -> Text:
        """Make a text of a string, its control characters visible before it is laid out."""
        return super().render_str(visible(text), **how)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render anything; whatever text it holds has no control characters."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the command line, which ends without a word."""
        raise BrokenPipeError


@contextlib.contextmanager
def without_marks(console: Console) -> Iterator[None]:
    """Keep the terminal from writing into the picture what is typed, such as ^C for Ctrl-C.

    At the end of a full line it would begin another one, and the picture could not be taken away.
    """
    try:
        import termios

        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
    except (ImportError, OSError, ValueError, termios.error):
        yield  # its input is no terminal
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
