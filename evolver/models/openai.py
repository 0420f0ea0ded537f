"""Any OpenAI-compatible endpoint: OpenAI itself, vLLM, Ollama, llama.cpp, gateways."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from evolver.errors import UsageError
from evolver.models.chat import ChatModel
from evolver.models.manner import Manner
from evolver.models.remote import check_allowed, is_loopback
from evolver.types import Prompt

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_OPENAI = "https://api.openai.com/v1"
# httpcore inspects all its connections for each request: 9 ms of CPU with 64, 3 ms with 16.
_REQUESTS_A_CLIENT = 16


@dataclass
class _Lent:
    """A client, and its number of requests in flight."""

    client: AsyncOpenAI
    requests: int = 0


@dataclass(frozen=True)
class OpenAIModel(ChatModel):
    """A chat model behind an OpenAI-compatible endpoint.

    Without `api_base` requests go to ``OPENAI_BASE_URL`` if that is set, else to OpenAI. A local
    endpoint needs no key.
    """

    @property
    def endpoint(self) -> str:
        """The address that requests are sent to."""
        return self.api_base or os.environ.get("OPENAI_BASE_URL") or _OPENAI

    @property
    def manner(self) -> Manner:
        """How requests are written: newer OpenAI models have another name for the limit."""
        if self._manners or not self.endpoint.startswith(_OPENAI):
            return super().manner
        return Manner(self.system, "max_completion_tokens")

    async def send(self, prompt: Prompt, n: int, manner: Manner) -> bytes:
        """Send one request; see `ChatModel.send`."""
        settings = manner.settings(self.wanted(n))
        messages: Any = manner.messages(prompt)
        with self._client() as client:
            answer = await client.chat.completions.with_raw_response.create(
                model=self.name, messages=messages, **settings
            )
        body: bytes = answer.http_response.content
        return body

    async def ping(self) -> None:
        """List the endpoint's models and ignore the list: some servers list few or none."""
        with self._client() as client:
            await client.models.with_raw_response.list()

    async def close(self) -> None:
        """Close the connections that are kept open for this event loop."""
        for lent in self._clients.pop(asyncio.get_running_loop(), ()):
            await lent.client.close()

    @cached_property
    def _clients(self) -> WeakKeyDictionary[asyncio.AbstractEventLoop, list[_Lent]]:
        # Connections belong to the event loop that opened them, and a model may outlive it.
        return WeakKeyDictionary()

    @contextmanager
    def _client(self) -> Iterator[AsyncOpenAI]:
        """Lend a client for a request: one with few requests in flight, else a new one."""
        clients = self._clients.setdefault(asyncio.get_running_loop(), [])
        lent = next((lent for lent in clients if lent.requests < _REQUESTS_A_CLIENT), None)
        if lent is None:
            lent = _Lent(self._new_client())
            clients.append(lent)
        lent.requests += 1
        try:
            yield lent.client
        finally:
            lent.requests -= 1

    def _new_client(self) -> AsyncOpenAI:
        import openai

        address = self.endpoint
        if not address.startswith(("http://", "https://")):
            raise UsageError(f"the address {address!r} must begin with http:// or https://")
        check_allowed(address)
        if self.key is None and address == _OPENAI:
            raise UsageError(
                f"{self.name} needs a key: set {self.key_env}, or give the address of a local "
                "server (--api-base URL)"
            )
        # Requests to this machine use no proxy of the environment. A redirect is an error, because
        # following it sends the request and the key to another host.
        http = openai.DefaultAsyncHttpxClient(
            trust_env=not is_loopback(address), follow_redirects=False
        )
        return openai.AsyncOpenAI(
            base_url=address,
            api_key=self.key or "none",
            timeout=self.timeout,
            max_retries=0,
            http_client=http,
        )
