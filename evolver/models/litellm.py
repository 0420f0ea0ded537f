"""Every other provider, by its ``provider/name``, through litellm."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from evolver.errors import UsageError
from evolver.models import credentials
from evolver.models.chat import ChatModel
from evolver.models.manner import Manner
from evolver.models.remote import refusal
from evolver.types import Prices, Prompt

_arrived: ContextVar[list[Any]] = ContextVar("arrived")  # the raw answers to a request

_client: list[Any] = []  # litellm's, at most one, for all models of this process
# Providers with protocols of their own that use the client which they are given.
_OWN_PROTOCOL = {"anthropic", "gemini", "vertex_ai", "cohere", "cohere_chat", "ollama",
                 "ollama_chat"}  # fmt: skip


def _load() -> ModuleType:
    """Import litellm without downloads and messages; it takes two seconds."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.disable_aiohttp_transport = True  # httpx, whose clients it closes
    return litellm


async def _keep(response: Any) -> None:
    """Keep the raw answer, because litellm refuses many answers that `reading` can read."""
    await response.aread()
    _arrived.get([]).append(response)


def _listening(litellm: Any) -> Any:
    """Return the client of OpenAI-compatible endpoints, which calls `_keep` on each answer."""
    if not _client:
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

        handler = AsyncHTTPHandler(event_hooks={"response": [_keep]}, follow_redirects=False)
        litellm.aclient_session = handler.client
        _client.append(handler)
    return _client[0]


@dataclass(frozen=True)
class LiteLLMModel(ChatModel):
    """A chat model of any provider that litellm knows, such as "anthropic/NAME".

    Without `key_env`, litellm takes the key from the provider's own variable. Without a price,
    litellm's price list applies; a model that it does not list has no price.
    """

    key_env: str = ""

    @property
    def key(self) -> str | None:
        """The key of `key_env`, if there is one."""
        return os.environ.get(self.key_env) if self.key_env else None

    def prepare(self) -> None:
        """Import litellm before the first request's time limit starts, and look for the key.

        Raises:
            UsageError: the provider is unknown, or a variable that it needs is not set.
        """
        _load()
        stopped = refusal(self.api_base or f"https://{self.name.partition('/')[0]}")
        missing = self._missing() if self.api_base is None else []
        lack = f"{self.name} needs a key: set {' and '.join(missing)}, or give the address of a "
        problems = [f"{lack}local server (--api-base URL)" if missing else "", stopped]
        if any(problems):
            raise UsageError("; ".join(filter(None, problems)))

    async def ping(self) -> None:
        """Look for credentials that may be in files or come from the machine.

        Raises:
            UsageError: there are none, so no request can succeed.
        """
        if self.api_base is not None or self.key_env:
            return
        lack = await asyncio.to_thread(credentials.not_found, _load(), self.name)
        if lack:
            raise UsageError(f"{self.name} needs {lack}")

    def _missing(self) -> list[str]:
        """Return the environment's variables that the model needs and that are not set."""
        has_key = self.key is not None
        if self.key_env and not has_key:
            return [self.key_env]
        return credentials.missing(_load(), self.name, has_key=has_key)

    async def send(self, prompt: Prompt, n: int, manner: Manner) -> bytes | str:
        """Send one request; see `ChatModel.send`.

        The raw answer of an OpenAI-compatible endpoint is returned, and that of any other endpoint
        where litellm fails to read it.
        """
        import openai

        litellm = _load()
        client = _listening(litellm)
        is_own = self.name.partition("/")[0] in _OWN_PROTOCOL
        wanted = self.wanted(n)
        if not self.gives_several():
            wanted["n"] = None
        settings = {
            **manner.settings(wanted),
            "allowed_openai_params": ["reasoning_effort"] if self.reasoning_effort else None,
            "client": client if is_own else None,
            "api_base": self.api_base,
            "api_key": self.key or ("none" if self.api_base else None),
        }
        arrived: list[Any] = []
        token = _arrived.set(arrived)
        try:
            answer = await litellm.acompletion(
                model=self.name,
                messages=manner.messages(prompt),
                timeout=self.timeout,
                num_retries=0,
                max_retries=0,
                **{key: value for key, value in settings.items() if value is not None},
            )
        except openai.OpenAIError as error:
            if arrived and arrived[-1].is_success:
                body: bytes = arrived[-1].content
                return body
            if arrived and isinstance(error, openai.APIStatusError):
                error.status_code = arrived[
                    -1
                ].status_code  # litellm turns some other statuses into 429
            raise
        finally:
            _arrived.reset(token)
        if arrived and not is_own:
            return bytes(arrived[-1].content)
        return str(answer.model_dump_json(warnings=False))

    def gives_several(self) -> bool:
        """Tell whether the provider gives several answers to one request."""
        known = _load().get_supported_openai_params(model=self.name)
        return known is None or "n" in known

    async def close(self) -> None:
        """Close every connection that litellm keeps open in this process."""
        if "litellm" in sys.modules:
            litellm: Any = _load()
            while _client:
                await _client.pop().client.aclose()
            litellm.aclient_session = None
            await litellm.close_litellm_async_clients()
            litellm.in_memory_llm_clients_cache.flush_cache()  # or litellm reuses closed ones

    def prices(self) -> Prices:
        """Return the prices that are set, else those of litellm's list."""
        if self.prompt_price is not None or self.completion_price is not None:
            return super().prices()
        known = _load().model_cost
        entry = known.get(self.name) or known.get(self.name.partition("/")[2]) or {}
        kinds = ("input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost")
        prices = (entry.get(kind) for kind in kinds)
        return Prices(*(None if price is None else 1e6 * price for price in prices))
