"""What all chat endpoints share: reading answers, the bill, the sentence on errors.

One call is one request. The clients' own retries are off: `evolver.routing.endpoint` retries, in
the same way for every model. Requests leave out what the endpoint has refused so far (`Manner`).
"""

from __future__ import annotations

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evolver.errors import EditError, ModelAdapted, ModelError
from evolver.models import reading
from evolver.models.failures import Failure, explain, explain_complaint
from evolver.models.manner import Manner, Role
from evolver.programs import diffs
from evolver.types import Bound, Completion, Files, Prices, Prompt

_LONGEST_CHECK = 10.0  # seconds
_ENVELOPE = 64  # most tokens that a chat template puts around a system and a user message


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
        system: the role of a prompt's system part; "user" for endpoints without a system role.
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
    system: Role = "system"
    timeout: float = 300.0
    prompt_price: float | None = None
    completion_price: float | None = None
    cached_price: float | None = None
    _manners: list[Manner] = field(default_factory=list, init=False, compare=False, repr=False)

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Send one request; return its completions, fewer than `n` where the server ignores `n`.

        The bill is spread over the completions so that the sums are exact: the first carries the
        prompt, each an equal share of the rest.

        Raises:
            ModelUnavailable: no answer, for now.
            ModelAdapted: the endpoint refuses the way the request was written; the next request is
                written differently.
            ModelRefused: the key, the account or the model's name is refused.
            ModelError: the server refuses this request, or sent a malformed answer.
            UsageError: no key is set, or requests beyond this machine are switched off.
        """
        self.prepare()
        import openai

        started = time.monotonic()
        manner = self.manner
        try:
            async with asyncio.timeout(self.timeout):
                body = await self.send(prompt, n, manner)
        except (openai.OpenAIError, TimeoutError) as error:
            raise self._error(explain(error, self), n, manner) from error
        answer = reading.read(body)
        if answer.complaint is not None:
            failure = explain_complaint(answer.complaint, self)
            if answer.usage is not None:
                failure = replace(failure, bill=self._bill(answer.usage))
            raise self._error(failure, n, manner)
        return self._completions(answer, prompt.files, time.monotonic() - started)

    @property
    def manner(self) -> Manner:
        """How requests are written, given what the endpoint has refused so far."""
        return self._manners[-1] if self._manners else Manner(self.system)

    def wanted(self, n: int) -> dict[str, Any]:
        """Return the settings of a request for `n` answers, None where the endpoint decides."""
        return {
            "n": n if n > 1 else None,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "reasoning_effort": self.reasoning_effort,
        }

    def _error(self, failure: Failure, n: int, manner: Manner) -> ModelError:
        """Return the error to raise, and adapt later requests to what was refused."""
        if failure.kind not in ("request", "outage") or not failure.words:
            return failure.error
        if manner != self.manner:  # another request has been adapted meanwhile
            return ModelAdapted(failure.sentence, failure.bill)
        learnt = manner.after(failure.words, self.wanted(n))
        if learnt is None:
            return failure.error
        self._manners.append(learnt[0])
        lesson = f"{self.name} {learnt[1]} ({failure.sentence})"
        return ModelAdapted(failure.sentence, failure.bill, lesson=lesson)

    def bound(self, prompt: Prompt, n: int) -> Bound:
        """Return the most that a request can cost.

        A tokenizer makes at most one token of each UTF-8 byte of the text.
        """
        tokens = len(f"{prompt.system}{prompt.user}".encode("utf-8", "replace")) + _ENVELOPE
        if self.max_tokens is None:
            return Bound(tokens)
        answers = n * self.max_tokens
        return Bound(tokens, answers, self.prices().of(tokens, answers))

    @abstractmethod
    async def send(self, prompt: Prompt, n: int, manner: Manner) -> bytes | str:
        """Send one request, once, written in this manner; return the body of its answer.

        Raises:
            openai.OpenAIError: the request failed.
            UsageError: as `complete`.
        """

    async def check(self) -> None:
        """Send one request that costs nothing, so that a run can fail before it starts.

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
            # Any other status comes from a live server that does not know this request.
            if getattr(error, "status_code", None) in (None, 401):
                raise explain(error, probe).error from error
        finally:
            await probe.close()

    async def ping(self) -> None:
        """Send a request that costs nothing, if there is one."""
        return

    def prepare(self) -> None:
        """Import what the first request needs, before its time limit starts."""
        import openai  # noqa: F401  a second of imports: not for `evolver --help` to pay

    async def close(self) -> None:
        """Close all connections; the next request opens new ones."""
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

    def _bill(self, usage: reading.Usage) -> Completion:
        """Return the cost of a request that failed, by the usage in its error."""
        dollars = self.prices().of(usage.prompt, usage.completion, usage.cached)
        return Completion("", self.name, usage.prompt, usage.completion, dollars)

    def _completions(
        self, answer: reading.Answer, files: Files, seconds: float
    ) -> list[Completion]:
        usage = answer.usage or reading.Usage(0, 0)
        prices = self.prices() if answer.usage else Prices()  # the server sent no usage
        share, rest = divmod(usage.completion, len(answer.choices))
        completions = []
        for index, choice in enumerate(answer.choices):
            prompt, cached = (0, 0) if index else (usage.prompt, usage.cached)
            completion = share + (index < rest)
            is_blank = not choice.text.strip()
            completions.append(
                Completion(
                    text=choice.reasoning
                    if is_blank and _holds_edit(choice.reasoning, files)
                    else choice.text,
                    model=answer.model or self.name,
                    prompt_tokens=prompt,
                    completion_tokens=completion,
                    dollars=prices.of(prompt, completion, cached),
                    seconds=seconds,
                    finish_reason=choice.finish_reason,
                )
            )
        return completions


def _holds_edit(reasoning: str, files: Files) -> bool:
    """Does the reasoning hold the answer, because the server took the answer for reasoning?"""
    try:
        diffs.parse(reasoning, files)
    except EditError:
        return "```" in reasoning
    return True
