"""Every other provider, by its ``provider/name``, through litellm."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from evolver.models.chat import ChatModel, Prices
from evolver.models.remote import check_allowed
from evolver.types import Prompt


def _load() -> ModuleType:
    """Import litellm, which takes two seconds, so that it fetches and prints nothing."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.disable_aiohttp_transport = True  # httpx, whose clients it closes
    return litellm


@dataclass(frozen=True)
class LiteLLMModel(ChatModel):
    """A chat model of any provider that litellm knows, such as "anthropic/NAME".

    Where no `key_env` is set, litellm takes the key from the provider's own variable. Where no
    price is set, litellm's list of prices is used; a model that is not in it has none.
    """

    key_env: str = ""

    @property
    def key(self) -> str | None:
        """The key of `key_env`, if there is one."""
        return os.environ.get(self.key_env) if self.key_env else None

    def prepare(self) -> None:
        """Import litellm, outside the first request's time limit."""
        _load()

    async def send(self, prompt: Prompt, n: int) -> str:
        """Send one request; see `ChatModel.send`."""
        check_allowed(self.api_base or f"https://{self.name.partition('/')[0]}")
        settings: dict[str, Any] = {
            "n": n if n > 1 and self.gives_several() else None,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "reasoning_effort": self.reasoning_effort,
            "allowed_openai_params": ["reasoning_effort"] if self.reasoning_effort else None,
            "api_base": self.api_base,
            "api_key": self.key or ("none" if self.api_base else None),
        }
        answer = await _load().acompletion(
            model=self.name,
            messages=[
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            timeout=self.timeout,
            num_retries=0,
            max_retries=0,
            **{key: value for key, value in settings.items() if value is not None},
        )
        body: str = answer.model_dump_json(warnings=False)
        return body

    def gives_several(self) -> bool:
        """Tell whether the provider gives several answers to one request."""
        known = _load().get_supported_openai_params(model=self.name)
        return known is None or "n" in known

    async def close(self) -> None:
        """Close every connection that litellm keeps open in this process."""
        if "litellm" in sys.modules:
            litellm = _load()
            await litellm.close_litellm_async_clients()
            litellm.in_memory_llm_clients_cache.flush_cache()  # or it hands out closed ones

    def prices(self) -> Prices:
        """Return the prices that are set, else those of litellm's list."""
        if self.prompt_price is not None or self.completion_price is not None:
            return super().prices()
        known = _load().model_cost
        entry = known.get(self.name) or known.get(self.name.partition("/")[2]) or {}
        kinds = ("input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost")
        prices = (entry.get(kind) for kind in kinds)
        return Prices(*(None if price is None else 1e6 * price for price in prices))
