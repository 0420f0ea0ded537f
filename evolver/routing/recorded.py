"""A model that answers with the stored completions of another run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from evolver.errors import ModelError
from evolver.storage.facts import request_name
from evolver.storage.reader import Reader
from evolver.types import Bound, Completion, Prompt


@dataclass(frozen=True)
class ReplayModel:
    """Answers from the completions that another run has stored, and buys nothing.

    A request gets the answer to the same call of the same attempt, if the prompts are equal; else
    the next answer to an equal prompt anywhere in that run. So settings that do not change the
    prompts can be compared on the same answers.

    Attributes:
        run: directory of the other run.
        name: the model's name in reports.
    """

    run: Path
    name: str = "replay"
    _given: dict[Prompt, int] = field(
        default_factory=lambda: defaultdict(int), init=False, compare=False, repr=False
    )

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Return up to `n` of the stored answers, at no cost.

        Raises:
            ModelError: that run has no further answer to this prompt.
            UsageError: the directory holds no run.
        """
        asked, answers = self._by_request.get(prompt.request, (None, ()))
        if asked != prompt:
            known = self._by_prompt.get(prompt, ())
            start = self._given[prompt]
            answers = known[start : start + n]
            self._given[prompt] += len(answers)
            if not answers:
                many = f"no more than {len(known)} answers" if known else "no answer"
                raise ModelError(
                    f"the run {self.run} holds {many} to this prompt; a replay needs equal "
                    "prompts: keep that run's task, settings and --seed, or name another model",
                    bill=Completion("", self.name, dollars=0.0),
                )
        return tuple(replace(answer, dollars=0.0) for answer in answers[:n])

    def bound(self, prompt: Prompt, n: int) -> Bound:
        """Return a bound of zero: stored answers are free."""
        return Bound(0, 0, 0.0)

    async def check(self) -> None:
        """Check that the directory holds a run.

        Raises:
            UsageError: it does not.
        """
        Reader.open(self.run).close()

    @cached_property
    def _by_request(self) -> dict[str, tuple[Prompt, Sequence[Completion]]]:
        return {request: (prompt, answers) for request, prompt, answers in self._stored()}

    @cached_property
    def _by_prompt(self) -> dict[Prompt, list[Completion]]:
        found: dict[Prompt, list[Completion]] = {}
        for _, prompt, answers in self._stored():
            found.setdefault(prompt, []).extend(answers)
        return found

    def _stored(self) -> Iterator[tuple[str, Prompt, Sequence[Completion]]]:
        """Yield the name, the words and the answers of each request, in the order of attempts."""
        with closing(Reader.open(self.run)) as store:
            for attempt in store.attempts():
                prompts = store.prompts(attempt.id)
                for call, answers in sorted(store.completions(attempt.id).items()):
                    yield request_name(attempt.id, call), prompts[call], answers
