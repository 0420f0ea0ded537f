"""A model of a run, with its rate limits, outages and refusals.

A request holds a place while it is under way (`evolver.routing.places`). An endpoint that is down
admits no request until it answers again; if the run has other models, waiting requests go to them.
An endpoint that refuses five requests in a row ends the session.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from evolver.errors import (
    ModelAdapted,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    PromptRefused,
    PromptTooLong,
)
from evolver.ports import Checking, Closing, Filing, Patient
from evolver.prompts import tokens
from evolver.routing.places import Places
from evolver.types import Completion, Model, Prompt

_SOON = 0.5  # seconds before the first reminder that a person is waited for; then ever less often
_LONGEST_SILENCE = 60.0  # seconds
_NOTICE = 2.0  # seconds without an answer before the user is told
_LONGEST_PAUSE = 30.0  # seconds between two tries, unless the endpoint asks for more
_LONG_WAIT = 5.0  # seconds: if an endpoint asks for a longer wait, other endpoints are asked
_MOST_REFUSALS = 5  # in a row
_MOST_FAILURES = 2  # in a row, if other endpoints can be asked


@dataclass(frozen=True)
class Terms:
    """How a run asks a model.

    Attributes:
        weight: its share of the attempts that ask a model, relative to the other weights.
        samples: answers to one request, which pays for the prompt once; each becomes a child.
        concurrency: requests at once, at most.
        rate_limit: requests a minute, at most; None: as the endpoint allows.
        retries: how often a failed request is sent again before the endpoint counts as down.
        backoff: seconds before the first retry, doubled each time, at most 30; the actual wait is
            a random 50 to 100 % of it, so that many callers do not return at once.
    """

    weight: Annotated[float, Field(gt=0)] = 1.0
    samples: Annotated[int, Field(ge=1, le=128)] = 1
    concurrency: Annotated[int, Field(ge=1)] = 8
    rate_limit: Annotated[float, Field(gt=0)] | None = None
    retries: Annotated[int, Field(ge=0)] = 5
    backoff: Annotated[float, Field(gt=0)] = 1.0


class Away(Exception):  # noqa: N818 - as asyncio's CancelledError, it takes back a wait
    """The endpoint went down while a request waited for a place; another one can be asked."""


async def check_all(endpoints: Sequence[Endpoint]) -> None:
    """Check which models answer, before a session begins; pause those that are unavailable.

    Raises:
        ModelError: no model is available, or one refuses the key.
        UsageError: the settings of one are wrong.
    """
    failures: dict[Endpoint, ModelUnavailable] = {}
    for endpoint in endpoints:
        try:
            await endpoint.check()
        except ModelUnavailable as error:
            failures[endpoint] = error
    if failures and len(failures) == len(endpoints):
        raise next(iter(failures.values()))
    for endpoint, failure in failures.items():
        endpoint.pause(failure)


class Endpoint:
    """One model of a run, by the name that the run gives it.

    Attributes:
        answered: requests that it answered so far.
        on_trouble: is called whenever `trouble` changes.
        on_away: is called whenever `is_away` changes.
        fits: tokens of a prompt that it was found to take, about; None: any.
    """

    def __init__(self, name: str, model: Model, terms: Terms = Terms()) -> None:
        """Make an endpoint that has not been asked yet."""
        self.name = name
        self.model = model
        self.terms = terms
        self.answered = 0
        self.on_trouble: Callable[[], None] = lambda: None
        self.on_away: Callable[[], None] = lambda: None
        self.fits: int | None = None
        self._failures = 0  # in a row
        self._refusals = 0  # in a row
        self._places = Places(terms.concurrency, terms.rate_limit)
        self._asked_until = 0.0  # of the monotonic clock: until when it wants no request
        self._reminder: asyncio.TimerHandle | None = None
        self._probe: asyncio.Task[None] | None = None
        self._pause = terms.backoff  # seconds before the next try while it is down
        self._reason = ""
        self._since = 0.0
        self._next_try = 0.0

    # --- asking --------------------------------------------------------------------------------

    def place(self) -> AbstractAsyncContextManager[None]:
        """Return a context that waits for a place and holds it.

        Entering it raises:
            ModelRefused: the endpoint was down, and answers again with a refusal.
            Away: the endpoint was released; see `release`.
        """
        return self._places.hold()

    async def ask(self, prompt: Prompt, n: int) -> Sequence[Completion]:
        """Send one request; the caller holds a place.

        Raises:
            ModelRefused: it refuses the key, or one request after another.
            ModelError: as `Model.complete`.
        """
        sent = time.monotonic()
        if isinstance(self.model, Patient):
            self._remind(_SOON)
        try:
            answers = await self.model.complete(prompt, n)
            if not answers:  # a caller that asks until it has enough would never end
                raise ModelError(f"{self.name} returned no completion at all")
        except ModelUnavailable as error:
            self._note_failure(error, sent)
            raise
        except ModelAdapted:
            raise
        except ModelError as error:
            self._note_answer()  # a refusal is an answer too
            self._failures = 0
            if isinstance(error, PromptTooLong) and self.fitting(prompt) is not prompt:
                raise  # the prompt was sent before the limit was known
            self._refusals += 1
            is_of_prompt = isinstance(error, PromptRefused) and self.answered > 0
            if self._refusals >= _MOST_REFUSALS and not is_of_prompt:
                raise ModelRefused(
                    f"{error} ({self._refusals} times in a row)", error.bill
                ) from error
            raise
        self.answered += 1
        self._failures = self._refusals = 0
        self._places.widen()
        self._pause = self.terms.backoff
        self._note_answer()
        return answers

    def fitting(self, prompt: Prompt) -> Prompt:
        """Return a prompt, cut to the length that the endpoint accepts."""
        size = tokens(f"{prompt.system}{prompt.user}")
        if self.fits is None or prompt.shorter is None or size <= self.fits:
            return prompt
        return prompt.shorter(self.fits)

    def backoff(self, failures: int, error: ModelUnavailable) -> float:
        """Return the seconds to wait before a request is sent again after so many failures."""
        if error.retry_after is not None:
            return 0.0  # `places` makes all requests wait for it
        longest = min(self.terms.backoff * 2.0 ** (failures - 1), _LONGEST_PAUSE)
        return longest * random.uniform(0.5, 1.0)  # timing does not affect decisions

    def pause(self, error: ModelUnavailable) -> None:
        """Admit no request until the endpoint is available again."""
        self._places.shut()
        if self._probe is None:
            self._probe = asyncio.ensure_future(self._until_back(str(error)))
            self.on_away()

    def fail(self, error: ModelUnavailable) -> None:
        """Count a request without an answer that is sent to another endpoint instead."""
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            self.pause(error)

    @property
    def is_away(self) -> bool:
        """Whether it is down, or asked for a long wait."""
        return self._probe is not None or self._asked_until - time.monotonic() > _LONG_WAIT

    def release(self) -> None:
        """Raise `Away` in requests that wait for a place, so that they go to another endpoint."""
        self._places.refuse(Away())

    def keep_files_in(self, directory: Path) -> None:
        """Let the model keep its files in the directory of a run."""
        if isinstance(self.model, Filing):
            self.model = self.model.within(directory)

    async def check(self) -> None:
        """Check whether the model is available, if the check costs nothing.

        Raises:
            ModelError: it is unavailable.
        """
        if isinstance(self.model, Checking):
            await self.model.check()

    async def close(self) -> None:
        """Close timers and connections; no request may be waiting."""
        self._places.close()
        if self._reminder is not None:
            self._reminder.cancel()
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)
            self._probe = None
        if isinstance(self.model, Closing):
            await self.model.close()

    @property
    def trouble(self) -> str:
        """What the model waits for, since when and why; "" while it answers."""
        if not self._reason:
            return self.model.waits_for if isinstance(self.model, Patient) else ""
        now = time.monotonic()
        wait = max(self._next_try, self._places.not_before) - now
        if self._probe is None and max(wait, now - self._since) < _NOTICE:
            return ""  # a retry that is this short is not worth a report
        again = f"; next try in {wait:.0f} s" if wait >= 0.5 else ""
        return f"{self.name} waits for {now - self._since:.0f} s: {self._reason.rstrip('.')}{again}"

    def _note_failure(self, error: ModelUnavailable, sent: float) -> None:
        """Slow down after the failure of a request that was sent at `sent`."""
        now = time.monotonic()
        if error.retry_after is not None:
            self._asked_until = now + error.retry_after
            self._places.put_off(self._asked_until)
        if error.is_limit:
            self._places.narrow(sent)
        self._set_reason(str(error))
        self._remind(_NOTICE)
        if self.is_away:
            self.on_away()

    def _remind(self, seconds: float) -> None:
        """Report what the model waits for, again and again until it stops waiting."""
        if self._reminder is not None:
            return

        def tell() -> None:
            self._reminder = None
            self.on_trouble()
            if self.trouble:
                self._remind(min(2 * seconds, _LONGEST_SILENCE))

        self._reminder = asyncio.get_running_loop().call_later(seconds, tell)

    # --- while it is down ----------------------------------------------------------------------

    async def _until_back(self, reason: str) -> None:
        """Try, with growing pauses, until the endpoint answers; then admit one request first."""
        while True:
            self._next_try = time.monotonic() + self._pause
            self._set_reason(reason)
            wait = max(self._pause, self._places.not_before - time.monotonic())
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            await asyncio.sleep(wait)
            try:
                await self.check()
            except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; it goes to the waiting requests
                if not isinstance(error, ModelError) or isinstance(error, ModelRefused):
                    self._places.refuse(error)
                    break
                reason = str(error)
            else:
                break
        self._probe = None
        self._places.open()
        self.on_away()

    def _note_answer(self) -> None:
        """Clear the reason for waiting, unless the endpoint asked for a wait that is not over."""
        if time.monotonic() >= self._asked_until:
            self._set_reason("")

    def _set_reason(self, reason: str) -> None:
        if not reason and not self._reason:
            return
        if not self._reason:
            self._since = time.monotonic()
        self._reason = reason
        self.on_trouble()
