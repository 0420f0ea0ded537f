"""What every chat endpoint has in common: retries, the reading of answers, the bill.

The clients' own retries are off. Ours are the same for every client, honour the server's
Retry-After, and end in one sentence that says what is wrong and what to do.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from evolver.errors import ModelError
from evolver.models.failures import Failure, explain
from evolver.types import Completion, Prompt

_LONGEST_BACKOFF = 30.0  # seconds
_LONGEST_CHECK = 10.0  # seconds
_LONGEST_WAIT = 120.0  # seconds; a Retry-After beyond it is an error, not a wait


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class ChatAnswer(BaseModel):
    """The part of a chat completion's body that evolver reads; servers add and omit the rest."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None
    model: str | None = None


@dataclass(frozen=True)
class ChatModel(ABC):
    """One chat endpoint; subclasses say how one request is sent.

    Attributes:
        name: the model's name, as the endpoint knows it.
        api_base: the endpoint's address, such as "http://localhost:8000/v1"; None: the
            provider's own.
        key_env: name of the environment variable that holds the key.
        temperature: None: the endpoint's default.
        max_tokens: most tokens of one answer; None: the endpoint's default.
        timeout: seconds for one request, from its first byte out to its last byte in.
        retries: how often a failed request is sent again.
        backoff: seconds before the first retry, doubled each time, at most 30; half to all of
            it is waited, so that many callers do not return at once.
        prompt_price: dollars per million prompt tokens; None: unknown.
        completion_price: dollars per million completion tokens; None: unknown.
    """

    name: str
    api_base: str | None = None
    key_env: str = "OPENAI_API_KEY"
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float = 300.0
    retries: int = 5
    backoff: float = 1.0
    prompt_price: float | None = None
    completion_price: float | None = None

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Return `n` completions, in as few requests as the endpoint allows.

        A request's bill is spread over its completions so that the sums are exact: the first
        carries the prompt, each an equal share of the rest.

        Raises:
            ModelError: no readable answer after the retries, or a request that cannot succeed.
            ModelRefused: the key, the account or the model's name is refused.
            UsageError: no key is set, or requests beyond this machine are switched off.
        """
        self.prepare()
        completions: list[Completion] = []
        while len(completions) < n:  # some servers ignore n and send one choice
            completions += await self._request(prompt, n - len(completions))
        return tuple(completions[:n])

    @abstractmethod
    async def send(self, prompt: Prompt, n: int) -> bytes | str:
        """Send one request, once, and return the body of its answer: JSON as OpenAI defined it.

        Raises:
            openai.OpenAIError: the request failed.
            UsageError: as `complete`.
        """

    async def check(self) -> None:
        """Ask for something that costs nothing, once, so that a run can fail before it starts.

        Raises:
            ModelError: no answer within 10 seconds, or the key is refused (`ModelRefused`).
            UsageError: as `complete`.
        """
        self.prepare()
        import openai

        probe = replace(self, timeout=min(self.timeout, _LONGEST_CHECK))
        try:
            async with asyncio.timeout(probe.timeout):
                await probe.ping()
        except (openai.OpenAIError, TimeoutError) as error:
            # Any other status is a server that lives and knows no such request.
            if getattr(error, "status_code", None) in (None, 401, 403):
                raise explain(error, probe).error(0) from error
        finally:
            await probe.close()

    async def ping(self) -> None:
        """Send a request that costs nothing, if there is one."""
        return

    def prepare(self) -> None:
        """Import what the first request needs, outside its time limit."""
        import openai  # noqa: F401  a second of imports: not for `evolver --help` to pay

    async def close(self) -> None:
        """Close what connections are kept open; the next request opens new ones."""
        return

    @property
    def endpoint(self) -> str:
        """Where requests go, for messages."""
        return self.api_base or f"the provider of {self.name}"

    @property
    def key(self) -> str | None:
        """The key, if its variable is set."""
        return os.environ.get(self.key_env) or None

    def prices(self) -> tuple[float | None, float | None]:
        """Return dollars per million tokens of prompt and of completion; None where unknown."""
        return self.prompt_price, self.completion_price

    async def _request(self, prompt: Prompt, n: int) -> list[Completion]:
        import openai

        for attempt in range(self.retries + 1):
            started = time.monotonic()
            try:
                async with asyncio.timeout(self.timeout):
                    body = await self.send(prompt, n)
                answer = ChatAnswer.model_validate_json(body)
            except (openai.OpenAIError, TimeoutError, ValidationError) as error:
                failure = explain(error, self)
                if not failure.is_passing or attempt == self.retries:
                    raise failure.error(attempt) from error
                await asyncio.sleep(self._wait(failure, attempt))
            else:
                return self._completions(answer, time.monotonic() - started)
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, failure: Failure, attempt: int) -> float:
        if failure.retry_after is None:
            backoff = min(self.backoff * 2.0**attempt, _LONGEST_BACKOFF)
            return backoff * random.uniform(0.5, 1.0)  # moments of requests decide nothing
        if failure.retry_after > _LONGEST_WAIT:
            raise ModelError(
                f"{failure.sentence}; it asks to wait {failure.retry_after:.0f} seconds"
            )
        return failure.retry_after

    def _completions(self, answer: ChatAnswer, seconds: float) -> list[Completion]:
        usage = answer.usage or _Usage()
        prompt_price, completion_price = self.prices()
        is_known = usage.prompt_tokens > 0 and None not in (prompt_price, completion_price)
        share, rest = divmod(usage.completion_tokens, len(answer.choices))
        completions = []
        for index, choice in enumerate(answer.choices):
            bill: dict[str, Any] = {
                "prompt_tokens": 0 if index else usage.prompt_tokens,
                "completion_tokens": share + (index < rest),
            }
            if is_known:
                assert prompt_price is not None
                assert completion_price is not None
                bill["dollars"] = 1e-6 * (
                    prompt_price * bill["prompt_tokens"]
                    + completion_price * bill["completion_tokens"]
                )
            completions.append(
                Completion(
                    text=choice.message.content or "",
                    model=answer.model or self.name,
                    seconds=seconds,
                    finish_reason=choice.finish_reason or "stop",
                    **bill,
                )
            )
        return completions
