"""The models of a run as attempts see them: each answer is stored, and paid for once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from random import Random

from evolver.errors import (
    ModelAdapted,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    PromptTooLong,
    ProposalError,
    UsageError,
)
from evolver.ports import Bounding, Patient
from evolver.prompts import tokens
from evolver.routing.budget import Budget, SpendingLimit
from evolver.routing.choice import Choice
from evolver.routing.endpoint import Away, Endpoint
from evolver.routing.patience import Patience
from evolver.storage.facts import Attempt, Request
from evolver.storage.store import Store
from evolver.storage.totals import Bill
from evolver.types import Bound, Completion, Prompt

Turn = Callable[[], Awaitable[None]]  # waits until an attempt may ask


class Models:
    """The models of a run: which one an attempt asks, its answers, and the costs.

    Attributes:
        bills: the cost of each model so far, by its name.
        notes: lessons about how a model must be asked, in sentences.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], choice: Choice, store: Store, budget: Budget
    ) -> None:
        """Start with the bills of the store's requests."""
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._choice = choice
        self._store = store
        self.bills: dict[str, Bill] = {}
        spent = []
        for name, bound, bill in store.costs():
            self._add(name, bill)
            spent.append((bound, bill))
        self._limit = SpendingLimit(budget, spent)
        self._shared: dict[int, asyncio.Future[Sequence[Completion]]] = {}
        self._answered = Counter[int]()  # attempt in flight -> its requests that were answered
        self.notes: list[str] = []
        self._listener: Callable[[], None] = lambda: None
        for endpoint in endpoints:
            endpoint.on_away = self._send_elsewhere

    # --- deciding ------------------------------------------------------------------------------

    def choose(self, rng: Random) -> tuple[str, int]:
        """Return the model that an attempt asks, and how many attempts share its request."""
        name = self._choice.choose(rng)
        return name, self._endpoints[name].terms.samples

    def learn(self, attempt: Attempt, *, is_better: bool) -> None:
        """Take in a finished attempt, in commit order."""
        bill = self._store.bills(attempt.id).get(attempt.model, Bill())
        self._choice.learn(attempt.model, is_better=is_better, bill=bill)

    # --- asking --------------------------------------------------------------------------------

    def share(self, leader: int) -> None:
        """Announce that the first request of an attempt also answers the first ones of others."""
        self._shared[leader] = asyncio.get_running_loop().create_future()

    def of(
        self,
        attempt: Attempt,
        samples: int = 1,
        turn: Turn | None = None,
    ) -> RecordedModel:
        """Return the model that an attempt asks.

        Args:
            attempt: as it was decided. A model that the run no longer has is replaced by the first.
            samples: how many attempts share its first request.
            turn: is awaited before each of its requests. In a run that must repeat itself, the
                rest of a limit may not depend on which attempt asked first.
        """
        endpoint = self._endpoints.get(attempt.model) or next(iter(self._endpoints.values()))
        return RecordedModel(self, endpoint, self._store, attempt, samples, turn)

    def end(self, attempt: Attempt) -> None:
        """Release those that wait for the first request of an attempt."""
        shared = self._shared.pop(attempt.id, None)
        if shared is not None and not shared.done():
            shared.set_result(())

    def count_answer(self, attempt: Attempt) -> None:
        """Count a request of an attempt that was answered; a refusal is an answer."""
        self._answered[attempt.id] += 1

    def answered(self, attempt: int) -> int:
        """Return how many requests of an attempt were answered, and forget the count."""
        return self._answered.pop(attempt, 0)

    @contextmanager
    def sharing(self, attempt: Attempt) -> Iterator[Callable[[Sequence[Completion]], None]]:
        """Share the result of an attempt's first request: answers or an error."""
        shared = self._shared.get(attempt.id)

        def give(answers: Sequence[Completion]) -> None:
            if shared is not None and not shared.done():
                shared.set_result(answers)

        try:
            yield give
        except Exception as error:
            if shared is not None and not shared.done():
                shared.set_exception(error)
                shared.exception()  # mark it as retrieved, even if no attempt waits for it
            raise

    async def shared(self, leader: int) -> Sequence[Completion]:
        """Return the answers to the first request of an attempt, if it made one."""
        if leader in self._shared:
            return await asyncio.shield(self._shared[leader])
        return self._store.completions(leader).get(0, ())

    def stand_in(self, own: Endpoint, without: Collection[Endpoint] = ()) -> Endpoint:
        """Return the endpoint to ask: its own, or while that is away another that is not.

        The choice may be random: the answers are recorded, with the model that gave them.
        """
        others = [
            one
            for one in self._endpoints.values()
            if one is own or not isinstance(one.model, Patient)  # people get only their share
        ]
        there = [one for one in others if not one.is_away and one not in without]
        if own in there or not there:
            return own
        return random.choices(there, [one.terms.weight for one in there])[0]

    def _send_elsewhere(self) -> None:
        """Send requests that wait for an endpoint that is away to another one."""
        for endpoint in self._endpoints.values():
            if endpoint.is_away and self.stand_in(endpoint) is not endpoint:
                endpoint.release()

    def note(self, sentence: str) -> None:
        """Keep a lesson and report it; ignore ""."""
        if sentence and sentence not in self.notes:
            self.notes.append(sentence)
            self._listener()

    def shorten(self, endpoint: Endpoint, prompt: Prompt, error: PromptTooLong) -> bool:
        """Cut prompts for an endpoint from now on; return whether this one can be cut."""
        size = tokens(f"{prompt.system}{prompt.user}")
        if endpoint.fits is not None and size > endpoint.fits:
            return True  # another request has learnt it meanwhile
        fits = int(size * error.share)
        if prompt.shorter is None:
            return False
        cut = prompt.shorter(fits)
        if tokens(f"{cut.system}{cut.user}") >= size:
            return False
        endpoint.fits = fits
        self.note(
            f"{endpoint.name} rejects prompts of this length, so prompts are cut to about {fits} "
            f"tokens; set [prompts] tokens = {fits} ({error})"
        )
        return True

    async def reserve(self, endpoint: Endpoint, prompt: Prompt, n: int) -> Bound:
        """Reserve the upper bound of a request's cost; see `SpendingLimit.reserve`."""
        model = endpoint.model
        bound = model.bound(prompt, n) if isinstance(model, Bounding) else Bound()
        await self._limit.reserve(bound)
        return bound

    def settle(self, endpoint: Endpoint, bound: Bound, bill: Bill) -> None:
        """Charge the cost of a request."""
        self._add(endpoint.name, bill)
        self._limit.settle(bound, bill)

    def _add(self, name: str, bill: Bill) -> None:
        self.bills[name] = self.bills.get(name, Bill()) + bill

    # --- watching ------------------------------------------------------------------------------

    def listen(self, listener: Callable[[], None]) -> None:
        """Call a listener whenever a model stops or begins to answer, or a lesson is noted."""
        self._listener = listener
        for endpoint in self._endpoints.values():
            endpoint.on_trouble = listener

    @property
    def troubles(self) -> Sequence[str]:
        """Why some models do not answer, one sentence each."""
        return tuple(e.trouble for e in self._endpoints.values() if e.trouble)


class RecordedModel:
    """The model of one attempt: it answers from the store, else asks and stores the answer."""

    def __init__(
        self,
        models: Models,
        endpoint: Endpoint,
        store: Store,
        attempt: Attempt,
        samples: int,
        turn: Turn | None,
    ) -> None:
        """Wrap a model for one attempt; see `Models.of`."""
        self._models = models
        self._endpoint = endpoint
        self._store = store
        self._attempt = attempt
        self._samples = samples
        self._turn = turn
        self._stored: Mapping[int, Sequence[Completion]] = store.completions(attempt.id)
        self._calls = 0

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Return exactly `n` completions, in as few requests as the endpoint allows.

        Raises:
            BudgetSpent: not enough tokens or dollars are left.
            ModelRefused: no request with the model's settings can succeed.
            ModelError: this request cannot succeed.
            ProposalError: the answer equals another attempt's; or the provider withholds it; or
                this request failed again and again while others were answered.
        """
        answers: list[Completion] = []
        while len(answers) < n:  # some endpoints ignore n and send one answer
            call = self._calls
            self._calls += 1
            if call == 0 and n == 1:
                answers += await self._first(prompt)
            else:
                answers += await self._answers(call, prompt, n - len(answers))
        if all(one.is_empty and one.finish_reason == "content_filter" for one in answers):
            raise ProposalError("the model withholds its answer to this prompt (content filter)")
        return tuple(answers[:n])

    async def _first(self, prompt: Prompt) -> Sequence[Completion]:
        """Return the answer to the first request, which several attempts may share."""
        leader = self._attempt.leader
        if leader is not None and 0 not in self._stored:
            try:
                shared = await self._models.shared(leader)
            except ModelRefused:
                raise
            except ModelError as error:  # the leader counts it
                raise ProposalError(str(error)) from error
            own = self._attempt.id - leader
            if own < len(shared):
                texts = [answer.text for answer in shared]
                earliest = leader + texts.index(texts[own])
                if earliest < self._attempt.id:
                    raise ProposalError(f"the model gave attempt {earliest} the same answer")
                return shared[own : own + 1]
        with self._models.sharing(self._attempt) as give:
            answers = await self._answers(0, prompt, self._samples)
            give(answers)
        return answers[:1]

    async def _answers(self, call: int, prompt: Prompt, n: int) -> Sequence[Completion]:
        """Return the answers to the attempt's `call`-th request: at least one."""
        if call in self._stored:
            return self._stored[call]
        patience = Patience(self._endpoint, self._models.stand_in)
        is_cut = False
        while True:
            endpoint = patience.endpoint()
            asked = endpoint.fitting(prompt)
            try:
                return await self._ask(endpoint, call, asked, n)
            except (Away, ModelAdapted):
                continue
            except PromptTooLong as error:
                if is_cut or not self._models.shorten(endpoint, asked, error):
                    raise
                is_cut = True
            except ModelUnavailable as error:
                await patience.wait(endpoint, error)

    async def _ask(
        self, endpoint: Endpoint, call: int, prompt: Prompt, n: int
    ) -> Sequence[Completion]:
        """Send one request, recorded before and after."""
        if self._turn is not None:
            await self._turn()
        async with endpoint.place():
            bound = await self._models.reserve(endpoint, prompt, n)
            request = Request(self._attempt.id, call, endpoint.name, prompt, n, bound)
            number = self._store.send(request)
            try:
                answers = await endpoint.ask(replace(prompt, request=request.name), n)
            except BaseException as error:
                self._fail(endpoint, number, bound, error)
                raise
            self._store.record(number, answers)
            self._models.settle(endpoint, bound, Bill.of_answers(answers))
        self._models.count_answer(self._attempt)
        return answers

    def _fail(self, endpoint: Endpoint, number: int, bound: Bound, error: BaseException) -> None:
        known = error.bill if isinstance(error, ModelError) else None
        if isinstance(error, UsageError):  # nothing was sent
            known = Completion("", dollars=0.0)
        self._store.fail(number, str(error) or "given up: the run stopped", known)
        self._models.settle(endpoint, bound, Bill.of_failure(known))
        if isinstance(error, ModelAdapted):
            self._models.note(error.lesson)
        elif isinstance(error, ModelError) and not isinstance(error, ModelUnavailable):
            self._models.count_answer(self._attempt)
