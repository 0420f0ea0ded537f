"""What every chat endpoint has in common: the reading of answers, the bill, the sentence on errors.

One call is one request. The clients' own retries are off; ours are the same for every model and
stand in `evolver.endpoint`.
"""

from __future__ import annotations

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, Field, ValidationError

from evolver.models.failures import explain
from evolver.types import Bound, Completion, Prompt

_LONGEST_CHECK = 10.0  # seconds
_ENVELOPE = 64  # tokens, at most, that a chat template puts around a system and a user message


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _PromptTokens(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptTokens | None = None

    @property
    def cached_tokens(self) -> int:
        """How many of the prompt's tokens the provider had in its cache."""
        details = self.prompt_tokens_details
        return min(self.prompt_tokens, (details and details.cached_tokens) or 0)


class _Bill(BaseModel):
    """What a body that is no chat completion may still say."""

    usage: _Usage


class ChatAnswer(BaseModel):
    """The part of a chat completion's body that evolver reads; servers add and omit the rest."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None
    model: str | None = None


@dataclass(frozen=True)
class Prices:
    """Dollars per million tokens; None where unknown."""

    prompt: float | None = None
    completion: float | None = None
    cached: float | None = None  # of prompt tokens in the provider's cache; None: as any other

    def of(self, prompt: int, completion: int, cached: int = 0) -> float | None:
        """Return the dollars for so many tokens; `cached` are among those of the prompt."""
        if self.prompt is None or self.completion is None:
            return None
        price = self.prompt if self.cached is None else self.cached
        whole = self.prompt * (prompt - cached) + price * cached + self.completion * completion
        return 1e-6 * whole


@dataclass(frozen=True)
class ChatModel(ABC):
    """One chat endpoint; subclasses say how one request is sent.

    Attributes:
        name: the model's name, as the endpoint knows it.
        api_base: the endpoint's address, such as "http://localhost:8000/v1"; None: the
            provider's own.
        key_env: name of the environment variable that holds the key.
        temperature: None: the endpoint's default.
        max_tokens: most tokens of one answer, reasoning included; None: the endpoint's default.
        reasoning_effort: such as "low", for models that know it; None: the endpoint's default.
        timeout: seconds for one request, from its first byte out to its last byte in.
        prompt_price: dollars per million prompt tokens; None: unknown.
        completion_price: dollars per million completion tokens; None: unknown.
        cached_price: dollars per million prompt tokens that the provider had in its cache; None:
            as any other.
    """

    name: str
    api_base: str | None = None
    key_env: str = "OPENAI_API_KEY"
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    timeout: float = 300.0
    prompt_price: float | None = None
    completion_price: float | None = None
    cached_price: float | None = None

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Send one request; return its completions, fewer than `n` where the server ignores `n`.

        The bill is spread over the completions so that the sums are exact: the first carries the
        prompt, each an equal share of the rest.

        Raises:
            ModelUnavailable: no readable answer.
            ModelRefused: the key, the account or the model's name is refused.
            ModelError: the server refuses this request.
            UsageError: no key is set, or requests beyond this machine are switched off.
        """
        self.prepare()
        import openai

        started = time.monotonic()
        try:
            async with asyncio.timeout(self.timeout):
                body = await self.send(prompt, n)
        except (openai.OpenAIError, TimeoutError) as error:
            raise explain(error, self).error from error
        try:
            answer = ChatAnswer.model_validate_json(body)
        except ValidationError as error:
            raise replace(explain(error, self), bill=self._bill(body)).error from error
        return self._completions(answer, time.monotonic() - started)

    def bound(self, prompt: Prompt, n: int) -> Bound:
        """Return the most that a request can cost.

        Tokenizers that fall back on bytes never make more tokens than a text has bytes in UTF-8.
        """
        tokens = len(f"{prompt.system}{prompt.user}".encode("utf-8", "replace")) + _ENVELOPE
        if self.max_tokens is None:
            return Bound(tokens)
        answers = n * self.max_tokens
        return Bound(tokens, answers, self.prices().of(tokens, answers))

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
                raise explain(error, probe).error from error
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

    def prices(self) -> Prices:
        """Return what tokens cost, as far as that is known."""
        return Prices(self.prompt_price, self.completion_price, self.cached_price)

    def _bill(self, body: bytes | str) -> Completion | None:
        """Return what an unreadable answer says that it cost, if it says so."""
        try:
            usage = _Bill.model_validate_json(body).usage
        except ValidationError:
            return None
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        if not prompt:
            return None  # litellm makes up a count where the server gave none
        dollars = self.prices().of(prompt, completion, usage.cached_tokens)
        return Completion("", self.name, prompt, completion, dollars)

    def _completions(self, answer: ChatAnswer, seconds: float) -> list[Completion]:
        usage = answer.usage or _Usage()
        prices = self.prices() if usage.prompt_tokens else Prices()  # or it did not say
        share, rest = divmod(usage.completion_tokens, len(answer.choices))
        completions = []
        for index, choice in enumerate(answer.choices):
            prompt, cached = (0, 0) if index else (usage.prompt_tokens, usage.cached_tokens)
            completion = share + (index < rest)
            completions.append(
                Completion(
                    text=choice.message.content or "",
                    model=answer.model or self.name,
                    prompt_tokens=prompt,
                    completion_tokens=completion,
                    dollars=prices.of(prompt, completion, cached),
                    seconds=seconds,
                    finish_reason=choice.finish_reason or "stop",
                )
            )
        return completions
