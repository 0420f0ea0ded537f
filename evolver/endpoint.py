"""A model of a run with the patience that it needs: places, rate limits, outages.

Whoever wants to ask holds a place meanwhile. How many there are adapts to what the endpoint bears,
by additive increase and multiplicative decrease (Chiu 1989,
https://doi.org/10.1016/0169-7552(89)90019-6), and a time to wait that it names holds for all.
An endpoint that is down lets nobody in until it answers again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

from pydantic import Field

from evolver.errors import ModelError, ModelRefused, ModelUnavailable
from evolver.types import Completion, Model, Prompt

_SOON = 0.5  # seconds after which people are told that they are waited for; then ever less often
_LONGEST_SILENCE = 60.0  # seconds
_NOTICE = 2.0  # seconds without an answer after which that is worth telling
_LONGEST_PAUSE = 30.0  # seconds between two tries, unless the endpoint asks for more


@dataclass(frozen=True)
class Terms:
    """How a run asks a model.

    Attributes:
        weight: its share of the attempts that ask a model, among the weights of all.
        samples: answers to one request, for one price of the prompt; each becomes a child.
        concurrency: requests at once, at most.
        rate_limit: requests a minute, at most; None: as the endpoint allows.
        retries: how often a failed request is sent again before the endpoint counts as down.
        backoff: seconds before the first retry, doubled each time, at most 30; half to all of it
            is waited, so that many callers do not return at once.
    """

    weight: Annotated[float, Field(gt=0)] = 1.0
    samples: Annotated[int, Field(ge=1, le=128)] = 1
    concurrency: Annotated[int, Field(ge=1)] = 8
    rate_limit: Annotated[float, Field(gt=0)] | None = None
    retries: Annotated[int, Field(ge=0)] = 5
    backoff: Annotated[float, Field(gt=0)] = 1.0


@runtime_checkable
class Checking(Protocol):
    """A model that can be asked for something that costs nothing, to see whether it is there."""

    async def check(self) -> None:
        """Ask once.

        Raises:
            ModelError: it is not there.
        """
        ...


@runtime_checkable
class Closing(Protocol):
    """A model that keeps connections open."""

    async def close(self) -> None:
        """Close them."""
        ...


@runtime_checkable
class Filing(Protocol):
    """A model that keeps files in the directory of the run."""

    def within(self, directory: Path) -> Model:
        """Return the model for a run in that directory."""
        ...


@runtime_checkable
class Patient(Protocol):
    """A model that waits for people."""

    @property
    def waits_for(self) -> str:
        """What it waits for; "" while it waits for nothing."""
        ...


class Endpoint:
    """One model of a run, by the name that the run gives it.

    Attributes:
        answered: requests that it answered so far.
        listener: is told whenever `trouble` changes.
    """

    def __init__(self, name: str, model: Model, terms: Terms = Terms()) -> None:
        """Nothing is asked yet."""
        self.name = name
        self.model = model
        self.terms = terms
        self.answered = 0
        self.listener: Callable[[], None] = lambda: None
        self._window = float(terms.concurrency)
        self._narrowed = float("-inf")  # when the window was last made smaller
        self._inside = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._not_before = 0.0  # of the monotonic clock: when the next request may go
        self._timer: asyncio.TimerHandle | None = None
        self._reminder: asyncio.TimerHandle | None = None
        self._probe: asyncio.Task[None] | None = None
        self._pause = terms.backoff  # seconds before the next try while it is down
        self._reason = ""
        self._since = 0.0
        self._next_try = 0.0

    # --- asking --------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold one of the places, once the endpoint may be asked; first come, first served.

        Raises:
            ModelRefused: it was down, and is back with a refusal.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave()
            raise
        try:
            yield
        finally:
            self._leave()

    async def ask(self, prompt: Prompt, n: int) -> Sequence[Completion]:
        """Send one request; the caller holds a place.

        Raises:
            ModelError: as `Model.complete`.
        """
        sent = time.monotonic()
        if isinstance(self.model, Patient) and self._reminder is None:
            self._remind(_SOON)
        try:
            answers = await self.model.complete(prompt, n)
            if not answers:  # whoever asks on until there are enough would never end
                raise ModelError(f"{self.name} returned no completion at all")
        except ModelUnavailable as error:
            self._suffer(error, sent)
            raise
        except ModelError:
            self._say("")  # it answers, be it with a refusal
            raise
        self.answered += 1
        self._window = min(self._window + 1 / self._window, self.terms.concurrency)
        self._pause = self.terms.backoff
        self._say("")
        return answers

    def backoff(self, failures: int, error: ModelUnavailable) -> float:
        """Return the seconds to wait before a request that failed so often is sent again."""
        if error.retry_after is not None:
            return 0.0  # all wait for that
        longest = min(self.terms.backoff * 2.0 ** (failures - 1), _LONGEST_PAUSE)
        return longest * random.uniform(0.5, 1.0)  # moments of requests decide nothing

    def pause(self, error: ModelUnavailable) -> None:
        """Let nobody in until the endpoint is there again: it does not answer anybody."""
        self._window = 1.0  # when it comes back, one request goes first
        if self._probe is None:
            self._probe = asyncio.ensure_future(self._until_back(str(error)))

    def move_in(self, directory: Path) -> None:
        """Let the model keep its files in the directory of a run."""
        if isinstance(self.model, Filing):
            self.model = self.model.within(directory)

    async def check(self) -> None:
        """See whether the model is there, where that costs nothing.

        Raises:
            ModelError: it is not.
        """
        if isinstance(self.model, Checking):
            await self.model.check()

    async def close(self) -> None:
        """Close what is kept open; nobody may be waiting."""
        for timer in (self._timer, self._reminder):
            if timer is not None:
                timer.cancel()
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)
            self._probe = None
        if isinstance(self.model, Closing):
            await self.model.close()

    @property
    def trouble(self) -> str:
        """What it waits for: a person, or itself, since when and why; "" while it answers."""
        if not self._reason:
            return self.model.waits_for if isinstance(self.model, Patient) else ""
        now = time.monotonic()
        if self._probe is None and now - self._since < _NOTICE:
            return ""  # a retry is nobody's worry
        wait = max(self._next_try, self._not_before) - now
        again = f"; next try in {wait:.0f} s" if wait >= 0.5 else ""
        return f"{self.name} waits for {now - self._since:.0f} s: {self._reason.rstrip('.')}{again}"

    # --- who may go in -------------------------------------------------------------------------

    def _admit(self) -> None:
        """Let in whoever may go now, and come back when the next one may."""
        while self._queue and self._inside < int(self._window) and self._probe is None:
            wait = self._not_before - time.monotonic()
            if wait > 0:
                self._call_later(wait)
                return
            turn = self._queue.popleft()
            if turn.done():
                continue  # whoever waited was cancelled
            if self.terms.rate_limit is not None:
                self._not_before = time.monotonic() + 60.0 / self.terms.rate_limit
            self._inside += 1
            turn.set_result(None)

    def _call_later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._admit)

    def _leave(self) -> None:
        self._inside -= 1
        self._admit()

    def _suffer(self, error: ModelUnavailable, sent: float) -> None:
        """Take the failure of a request that was sent at `sent` to heart."""
        now = time.monotonic()
        if error.retry_after is not None:
            self._not_before = max(self._not_before, now + error.retry_after)
        if error.is_limit and sent > self._narrowed:
            # Those under way when it was narrowed say nothing of the narrower window.
            self._window = max(1.0, self._window / 2)
            self._narrowed = now
        self._say(str(error))

    def _remind(self, seconds: float) -> None:
        """Have people told what the model waits for, as long as it waits."""

        def tell() -> None:
            self._reminder = None
            self.listener()
            if self.trouble:
                self._remind(min(2 * seconds, _LONGEST_SILENCE))

        self._reminder = asyncio.get_running_loop().call_later(seconds, tell)

    # --- while it is down ----------------------------------------------------------------------

    async def _until_back(self, reason: str) -> None:
        """Try, with growing pauses, until the endpoint is there; then let one request go first."""
        while True:
            self._next_try = time.monotonic() + self._pause
            self._say(reason)
            wait = max(self._pause, self._not_before - time.monotonic())
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            await asyncio.sleep(wait)
            try:
                await self.check()
            except Exception as error:  # noqa: BLE001 - models are plug-ins; whoever waits is told
                if not isinstance(error, ModelError) or isinstance(error, ModelRefused):
                    self._refuse(error)
                    break
                reason = str(error)
            else:
                break
        self._probe = None
        self._admit()

    def _refuse(self, error: Exception) -> None:
        """Hand an error that waiting does not mend to those who wait."""
        for turn in self._queue:
            if not turn.done():
                turn.set_exception(error)
        self._queue.clear()

    def _say(self, reason: str) -> None:
        if not reason and not self._reason:
            return
        if not self._reason:
            self._since = time.monotonic()
        self._reason = reason
        self.listener()
