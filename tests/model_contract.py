"""What every model does: suites that the tests of each kind of model inherit."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from evolver.types import Completion, Model, Prompt

PROMPT = Prompt("You answer briefly.", "Say hello.", {"f.py": b"x = 1\n"}, "0012-0")


def ask(model: Any, prompt: Prompt = PROMPT, n: int = 1) -> Sequence[Completion]:
    """Ask a model in an event loop of its own."""

    async def asked() -> Sequence[Completion]:
        try:
            return await model.complete(prompt, n)
        finally:
            if hasattr(model, "close"):
                await model.close()

    return asyncio.run(asked())


class ModelContract(ABC):
    """What every model does; a subclass says how to make one that gives these answers."""

    @abstractmethod
    @pytest.fixture
    def make(self) -> Callable[[Sequence[str]], Model]: ...

    def test_answers_with_text(self, make: Callable[[Sequence[str]], Model]) -> None:
        (completion,) = ask(make(["hello there"]))
        assert completion.text == "hello there"
        assert completion.finish_reason == "stop"
        assert completion.model
        assert completion.seconds >= 0

    def test_gives_at_most_n_completions(self, make: Callable[[Sequence[str]], Model]) -> None:
        completions = ask(make(["one two three"] * 3), n=3)
        assert 1 <= len(completions) <= 3
        assert {completion.text for completion in completions} == {"one two three"}

    def test_answers_in_turn(self, make: Callable[[Sequence[str]], Model]) -> None:
        model = make(["first", "second"])
        assert [ask(model)[0].text, ask(model)[0].text] == ["first", "second"]

    def test_unicode_survives(self, make: Callable[[Sequence[str]], Model]) -> None:
        text = "ω → é\n\t\u2028é🦎"
        assert ask(make([text]))[0].text == text


class CountingModelContract(ModelContract):
    """What models do that know how many tokens an answer took."""

    def test_answers_with_a_bill(self, make: Callable[[Sequence[str]], Model]) -> None:
        (completion,) = ask(make(["hello there"]))
        assert completion.prompt_tokens == 5
        assert completion.completion_tokens == 2

    def test_gives_n_completions_and_bills_the_prompt_once(
        self, make: Callable[[Sequence[str]], Model]
    ) -> None:
        completions = ask(make(["one two three"] * 3), n=3)
        assert [completion.text for completion in completions] == ["one two three"] * 3
        assert sum(completion.prompt_tokens for completion in completions) == 5
        assert sum(completion.completion_tokens for completion in completions) == 9
