"""A model between the operators and the real one, which loses no answer and buys none twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from evolver.store import Request, Store
from evolver.types import Completion, Model, Prompt


class RecordedModel:
    """A model whose answers are stored before anybody reads them, and used again on resume."""

    def __init__(self, model: Model, store: Store, attempt: int, slots: asyncio.Semaphore,
                 billed: Callable[[Sequence[Completion]], None]) -> None:  # fmt: skip
        """Wrap a model for one attempt."""
        self._model = model
        self._store = store
        self._attempt = attempt
        self._slots = slots
        self._billed = billed
        self._stored = store.completions(attempt)
        self._calls = 0

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Answer from the store, else from the model."""
        call = self._calls
        self._calls += 1
        if call in self._stored:
            return self._stored[call]
        async with self._slots:
            request = self._store.send(Request(self._attempt, call, "", prompt, n))
            answers = await self._model.complete(prompt, n)
        self._store.record(request, answers)
        self._billed(answers)
        return answers
