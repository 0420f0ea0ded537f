"""A person, or another program, as the model: prompts as files, answers as files beside them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from evolver.types import Bound, Completion, Prompt

_POLL = 0.2  # seconds between two checks for the answer
_DEFAULT_FOLDER = "manual"


@dataclass(frozen=True)
class Question:
    """A prompt without an answer yet."""

    prompt: Path
    answer: Path  # where it is looked for

    def give(self, text: str) -> None:
        """Write the answer atomically."""
        _write(self.answer, text)


@dataclass(frozen=True)
class ManualModel:
    """Writes each prompt to a file and reads the answer from another one, as soon as it is there.

    ``prompt-0012-0.md`` is the first request of attempt 12, and is answered by
    ``answer-0012-0.md`` in the same folder. An answer counts when its file has not changed for a
    moment; one that is there already is read at once, so a run that was stopped finds what was
    answered meanwhile. One to another question, of another run in the same folder, is put aside.
    ``evolver answer`` shows what waits and takes answers on a terminal.

    Attributes:
        name: of the model, for people.
        folder: where the files are; default: ``manual`` in the run's directory.
        settle: seconds for which an answer's file must not have changed.
    """

    name: str = "manual"
    folder: Path | None = None
    settle: Annotated[float, Field(ge=0)] = 0.5
    _waiting: set[str] = field(default_factory=set, init=False, compare=False, repr=False)

    def within(self, directory: Path) -> ManualModel:
        """Return the model for a run in a directory."""
        return self if self.folder else replace(self, folder=directory / _DEFAULT_FOLDER)

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Wait for one answer, whatever `n` is, for as long as it takes."""
        folder = self.folder or Path(_DEFAULT_FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        place = _place(folder, prompt.request or _digest(prompt))
        said = f"{prompt.system}\n{prompt.user}"
        if place.prompt.exists() and place.prompt.read_bytes() != _bytes(said):
            _put_aside(place.answer)  # it answers another run in the same folder
        _write(place.prompt, said)
        started = time.monotonic()
        self._waiting.add(str(place.answer))
        try:
            text = await self._answer(place.answer)
        finally:
            self._waiting.discard(str(place.answer))
        return (Completion(text, self.name, dollars=0.0, seconds=time.monotonic() - started),)

    def bound(self, prompt: Prompt, n: int) -> Bound:
        """Return what an answer can cost: nothing."""
        return Bound(0, 0, 0.0)

    @property
    def waits_for(self) -> str:
        """What the run waits for, for people; "" while it waits for nothing."""
        if not self._waiting:
            return ""
        more = f" and {len(self._waiting) - 1} more" if len(self._waiting) > 1 else ""
        return f"{self.name} waits for {min(self._waiting)}{more}"

    async def _answer(self, path: Path) -> str:
        """Wait for a file that is not blank and no longer changes, and return its text."""
        while True:
            if path.is_file() and path.stat().st_size > 0:
                age = time.time() - path.stat().st_mtime
                text = path.read_text(encoding="utf-8", errors="replace")
                if age >= self.settle and text.strip():
                    return text
            await asyncio.sleep(_POLL)


def questions(folder: Path) -> Iterator[Question]:
    """Yield the prompts in a folder that have no answer yet, in the order of their attempts."""
    for prompt in sorted(folder.glob("prompt-*.md")):
        place = _place(folder, prompt.stem.removeprefix("prompt-"))
        if not (place.answer.is_file() and place.answer.stat().st_size > 0):
            yield place


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(_bytes(text))
    partial.replace(path)


def _put_aside(answer: Path) -> None:
    if answer.exists():
        answer.replace(answer.with_suffix(".old"))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _digest(prompt: Prompt) -> str:
    return hashlib.sha256(f"{prompt.system}\n{prompt.user}".encode()).hexdigest()[:12]


def _place(folder: Path, request: str) -> Question:
    return Question(folder / f"prompt-{request}.md", folder / f"answer-{request}.md")
