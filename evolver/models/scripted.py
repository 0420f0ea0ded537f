"""A model that answers from a script: for tests, demonstrations and dry runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from evolver.errors import ModelError
from evolver.types import Completion, Prompt

Answer = str | Completion | Exception


@dataclass(frozen=True)
class ScriptedModel:
    """Answers from a list, one after the other, or from a function of the prompt.

    An answer is a text, a whole `Completion`, or an exception to raise. A text is billed at one
    token a word and zero dollars, so that budgets have tokens to count.

    Attributes:
        answers: the list, or the function.
        latency: seconds before each request is answered.
        asked: the prompts received so far, in order, once per request.
    """

    __pydantic_config__: ClassVar = {"arbitrary_types_allowed": True}  # exceptions as answers

    answers: Sequence[Answer] | Callable[[Prompt], Answer]
    latency: float = 0.0
    asked: list[Prompt] = field(default_factory=list, init=False, compare=False)
    _given: list[Answer] = field(default_factory=list, init=False, compare=False, repr=False)

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Return the next `n` answers.

        Raises:
            ModelError: the list is exhausted.
            Exception: whatever the script says to raise.
        """
        self.asked.append(prompt)
        if self.latency:
            await asyncio.sleep(self.latency)
        return tuple(self._completion(prompt, is_first=i == 0) for i in range(n))

    def _completion(self, prompt: Prompt, *, is_first: bool) -> Completion:
        answer = self._next(prompt)
        self._given.append(answer)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Completion):
            return answer
        return Completion(
            text=answer,
            model="scripted",
            prompt_tokens=len(prompt.system.split()) + len(prompt.user.split()) if is_first else 0,
            completion_tokens=len(answer.split()),
            dollars=0.0,
            seconds=self.latency,
        )

    def _next(self, prompt: Prompt) -> Answer:
        if callable(self.answers):
            return self.answers(prompt)
        if len(self._given) >= len(self.answers):
            raise ModelError(
                f"the script holds {len(self.answers)} answers and was asked for one more"
            )
        return self.answers[len(self._given)]
