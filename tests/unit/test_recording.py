"""What stands between operators and models: the record, the retries, the limits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from llm_bodies import BODIES
from llm_server import LLMServer, Reply

from evolver.errors import ModelError, ModelUnavailable, PromptTooLong, ProposalError
from evolver.models import LiteLLMModel, OpenAIModel, ScriptedModel, reading
from evolver.routing.budget import Budget, BudgetSpent, SpendingLimit
from evolver.routing.choice import ByWeight
from evolver.routing.endpoint import Endpoint, Terms
from evolver.routing.recording import Models
from evolver.storage.facts import Attempt
from evolver.storage.store import Store
from evolver.storage.totals import Bill
from evolver.types import Bound, Completion, Prompt

PROMPT = Prompt("be brief", "hello")
NOTHING = Completion("", dollars=0.0)
FAST = Terms(backoff=0.001, retries=2)


def attempt(number, leader=None):
    return Attempt(number, 0, "ask", 0, 0, model="any", leader=leader)


@contextmanager
def models_on(folder, model, terms=FAST, budget=Budget()):  # noqa: B008 - frozen
    store = Store.resume(folder, "t") if any(folder.iterdir()) else Store.create(folder, {}, "t")
    endpoint = Endpoint("any", model, terms)
    yield store, Models([endpoint], ByWeight({"any": 1.0}), store, budget)
    asyncio.run(endpoint.close())
    store.close()


def asked(models, *attempts, samples=1):
    async def work():
        for one in attempts:
            if one.leader is None and samples > 1:
                models.share(one.id)
        asking = (models.of(one, samples if one.leader is None else 1) for one in attempts)
        return await asyncio.gather(
            *(one.complete(PROMPT) for one in asking), return_exceptions=True
        )

    found = asyncio.run(work())
    return [one if isinstance(one, BaseException) else one[0].text for one in found]


def test_every_try_is_recorded_with_what_it_cost(tmp_path):
    answers = [
        ModelUnavailable("slow down", NOTHING, is_limit=True),
        ModelUnavailable("no choices", Completion("", "m", 7, 3, 0.5)),
        Completion("yes", "m", 7, 1, 0.25),
    ]
    with models_on(tmp_path, ScriptedModel(answers)) as (store, models):
        assert asked(models, attempt(1)) == ["yes"]
        bills = [bill for _, _, bill in store.costs()]
        assert bills == [Bill(), Bill(0, 7, 3, 0.5), Bill(1, 7, 1, 0.25)]
        assert models.bills == store.bills() == {"any": Bill(1, 14, 4, 0.75)}


def test_what_was_answered_is_not_asked_again(tmp_path):
    with models_on(tmp_path, ScriptedModel(["one", "two"])) as (_, models):
        model = models.of(attempt(1))
        first = asyncio.run(model.complete(PROMPT, 2))
    with models_on(tmp_path, ScriptedModel(["three"])) as (_, models):
        model = models.of(attempt(1))
        assert asyncio.run(model.complete(PROMPT, 2)) == first
        assert asyncio.run(model.complete(PROMPT))[0].text == "three"


def test_a_model_that_ignores_n_is_asked_until_there_are_enough(tmp_path):
    class One:
        async def complete(self, prompt, n=1):
            return [Completion(f"one of {n}")]

    with models_on(tmp_path, One()) as (store, models):
        answers = asyncio.run(models.of(attempt(1)).complete(PROMPT, 3))
        assert [answer.text for answer in answers] == ["one of 3", "one of 2", "one of 1"]
        assert sorted(store.completions(1)) == [0, 1, 2]


def test_one_request_answers_several_attempts(tmp_path):
    group = attempt(3), attempt(4, 3), attempt(5, 3)
    with models_on(tmp_path, ScriptedModel(["a", "b", "a"])) as (store, models):
        *answers, same = asked(models, *group, samples=3)
        assert answers == ["a", "b"]
        assert isinstance(same, ProposalError)
        assert str(same) == "the model gave attempt 3 the same answer"
        assert len(list(store.costs())) == 1
    with models_on(tmp_path, ScriptedModel([])) as (_, models):  # as after a kill
        assert asked(models, group[1]) == ["b"]


def test_who_gets_no_share_asks_for_itself(tmp_path):
    class One:
        count = 0

        async def complete(self, prompt, n=1):
            self.count += 1
            return [Completion(f"answer {self.count}")]

    group = attempt(3), attempt(4, 3), attempt(5, 3)
    with models_on(tmp_path, One()) as (_, models):
        assert asked(models, *group, samples=3) == ["answer 1", "answer 2", "answer 3"]
    with models_on(tmp_path, ScriptedModel([])) as (_, models):
        assert asked(models, *group) == ["answer 1", "answer 2", "answer 3"]


def test_a_failed_request_fails_all_who_share_it_at_once(tmp_path):
    group = attempt(3), attempt(4, 3)
    with models_on(tmp_path, ScriptedModel([ModelError("too long")])) as (_, models):
        assert [str(error) for error in asked(models, *group, samples=2)] == ["too long"] * 2


class Shy:
    """Never answers one prompt."""

    def __init__(self):
        self.requests = 0

    async def complete(self, prompt, n=1):
        self.requests += 1
        await asyncio.sleep(0.001)
        if prompt.user == "poison":
            raise ModelUnavailable("failed (500)", NOTHING)
        return [Completion("yes")]


def test_a_request_that_alone_fails_is_given_up_and_stops_nobody(tmp_path):
    async def work(models):
        bad = models.of(attempt(1)).complete(Prompt("", "poison"))
        good = (models.of(attempt(number)).complete(PROMPT) for number in range(2, 9))
        return await asyncio.gather(bad, *good, return_exceptions=True)

    model = Shy()
    with models_on(tmp_path, model) as (_, models):
        error, *rest = asyncio.run(work(models))
    assert isinstance(error, ProposalError)
    assert str(error) in ("failed (500) (3 tries)", "failed (500) (6 tries)")
    assert [answers[0].text for answers in rest] == ["yes"] * 7


def test_an_outage_is_waited_out_and_burns_nothing(tmp_path):
    class Absent(Shy):
        async def complete(self, prompt, n=1):
            self.requests += 1
            if self.requests <= 15:
                raise ModelUnavailable("connection refused", NOTHING)
            return [Completion("yes")]

    with models_on(tmp_path, Absent(), Terms(backoff=0.001, retries=1)) as (store, models):
        told = []
        models.listen(lambda: told.append(models.troubles))
        assert asked(models, *map(attempt, range(1, 6))) == ["yes"] * 5
        assert store.bill() == Bill(5, 0, 0, None)
    assert ("any waits for 0 s: connection refused",) in told
    assert told[-1] == ()


# --- what arrived is kept, and not asked for again ------------------------------------------------


def is_no_outage(body):
    """Is this no error that says that it passes, such as one with the code 503?"""
    complaint = reading.read(body).complaint
    return complaint is None or (complaint.status or 400) < 408


_BYTES = st.binary(max_size=60) | BODIES.map(lambda body: json.dumps(body).encode())
_WHOLE = BODIES.map(lambda body: json.dumps({"choices": [{"message": body}]}).encode())


@pytest.fixture(scope="module")
def server():
    with LLMServer(lambda asked: "yes") as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("kind", [OpenAIModel, LiteLLMModel])
@examples(25)
@given(bodies=st.lists((_BYTES | _WHOLE).filter(is_no_outage), min_size=1, max_size=4))
def test_no_request_is_sent_again_for_an_answer_that_arrived(server, kind, bodies):
    """Whatever the body is: at most one request an attempt and turn, and nothing of it is lost."""
    server.play(lambda asked: Reply(body=bodies[asked.number]))
    model = kind("openai/any" if kind is LiteLLMModel else "any", api_base=server.address)

    async def work(store):
        endpoint = Endpoint("any", model, Terms(backoff=0.001, retries=1))
        models = Models([endpoint], ByWeight({"any": 1.0}), store, Budget())
        recorded = models.of(attempt(1))
        for _ in bodies:
            with contextlib.suppress(ModelError, ProposalError):
                await recorded.complete(PROMPT)
        await endpoint.close()

    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Store.create(Path(folder), {}, "t")) as store,
    ):
        asyncio.run(work(store))
        rows = store._database.execute("SELECT attempt, call FROM requests").fetchall()
        kept = store.completions(1)
        failed = store._database.execute("SELECT reason FROM failures").fetchall()
    assert len(server.asked) == len(rows) == len(bodies)
    assert set(Counter(rows).values()) == {1}
    assert len(kept) + len(failed) == len(bodies)
    for answers in kept.values():
        answers[0].text.encode()


# --- several models -------------------------------------------------------------------------------


class Gone:
    """Is gone until it is back."""

    def __init__(self):
        self.is_back, self.requests = False, 0

    async def complete(self, prompt, n=1):
        self.requests += 1
        await asyncio.sleep(0.001)
        if not self.is_back:
            raise ModelUnavailable("connection refused", NOTHING)
        return [Completion("yes", "gone")]

    async def check(self):
        if not self.is_back:
            raise ModelUnavailable("connection refused", NOTHING)


def test_a_model_that_is_down_is_left_out_and_comes_back(tmp_path):
    class There:
        async def complete(self, prompt, n=1):
            await asyncio.sleep(0.001)
            return [Completion("yes", "there")]

    async def work(store):
        gone, found = Gone(), Counter()
        endpoints = [
            Endpoint("any", gone, Terms(backoff=0.02, retries=5)),
            Endpoint("other", There()),
        ]
        models = Models(endpoints, ByWeight({"any": 1.0}), store, Budget())
        for number in range(1, 21):
            group = (models.of(attempt(10 * number + k)) for k in range(8))
            answers = await asyncio.gather(*(one.complete(PROMPT) for one in group))
            found.update(answer.model for (answer,) in answers)
        requests, gone.is_back = gone.requests, True
        while endpoints[0].is_away:
            await asyncio.sleep(0.01)
        (back,) = await models.of(attempt(900)).complete(PROMPT)
        for endpoint in endpoints:
            await endpoint.close()
        return found, requests, back

    with closing(Store.create(tmp_path, {}, "t")) as store:
        found, requests, back = asyncio.run(work(store))
        bills = store.bills()
    assert found == {"there": 160}
    assert requests <= 8  # those that were under way
    assert back.model == "gone"
    assert bills["other"].calls == 160  # on the bill of who answered


def test_those_who_wait_for_a_model_that_goes_down_are_sent_elsewhere(tmp_path):
    class Slow:
        async def complete(self, prompt, n=1):
            await asyncio.sleep(0.05)
            raise ModelUnavailable("connection lost", NOTHING)

    async def work(store):
        endpoints = [
            Endpoint("any", Slow(), Terms(concurrency=2, backoff=5.0)),
            Endpoint("other", ScriptedModel(["yes"] * 20)),
        ]
        models = Models(endpoints, ByWeight({"any": 1.0}), store, Budget())
        asking = (models.of(attempt(number)).complete(PROMPT) for number in range(1, 11))
        await asyncio.wait_for(asyncio.gather(*asking), 4)
        for endpoint in endpoints:
            await endpoint.close()

    with closing(Store.create(tmp_path, {}, "t")) as store:
        asyncio.run(work(store))


# --- prompts --------------------------------------------------------------------------------------


class Narrow:
    """Takes prompts of so many letters."""

    def __init__(self, most):
        self.most, self.asked = most, []

    async def complete(self, prompt, n=1):
        self.asked.append(len(prompt.user))
        if len(prompt.user) > self.most:
            raise PromptTooLong("400: too long", NOTHING, share=0.5)
        return [Completion("yes")]


def long_prompt(tokens):
    return Prompt("", "word" * tokens, shorter=lambda fewer: long_prompt(min(tokens, fewer)))


def test_a_prompt_that_is_too_long_is_cut_and_sent_again_once(tmp_path):
    model = Narrow(2000)
    with models_on(tmp_path, model) as (store, models):
        asyncio.run(models.of(attempt(1)).complete(long_prompt(1000)))
        asyncio.run(models.of(attempt(2)).complete(long_prompt(900)))  # it is known by now
        assert model.asked == [4000, 2000, 2000]
        assert [note for note in models.notes if "set [prompts] tokens = 500 (400:" in note]
        assert [len(prompt.user) for prompt in store.prompts(1).values()] == [2000]
        assert store.bill() == Bill(2, 0, 0, None)
    for most, error in ((1000, "too long"), (0, "too long")):
        model = Narrow(most)
        with models_on(tmp_path, model) as (_, models), pytest.raises(PromptTooLong, match=error):
            asyncio.run(models.of(attempt(3 + most)).complete(long_prompt(1000)))
        assert model.asked == [4000, 2000]


def test_a_prompt_that_cannot_be_cut_is_not_sent_again(tmp_path):
    model = Narrow(100)
    with models_on(tmp_path, model) as (_, models), pytest.raises(PromptTooLong):
        asyncio.run(models.of(attempt(1)).complete(Prompt("", "x" * 400)))
    assert model.asked == [400]


def test_an_answer_that_is_withheld_fails_its_prompt(tmp_path):
    withheld = Completion("", finish_reason="content_filter")
    with models_on(tmp_path, ScriptedModel([withheld, "yes"])) as (store, models):
        (error,) = asked(models, attempt(1))
        assert isinstance(error, ProposalError)
        assert "content filter" in str(error)
        assert asked(models, attempt(2)) == ["yes"]
        assert store.bill().calls == 2


def test_empty_answers_are_counted(tmp_path):
    cut_off = Completion(" \n", finish_reason="length", dollars=0.0)
    answers = [cut_off, Completion("", dollars=0.0), "yes", cut_off]
    with models_on(tmp_path, ScriptedModel(answers)) as (store, models):
        asked(models, *map(attempt, range(1, 5)))
        bill = store.bill()
        assert (bill.calls, bill.empty, bill.exhausted) == (4, 3, 2)
        assert models.bills["any"] == bill


# --- limits ---------------------------------------------------------------------------------------


class Wordy:
    """Uses up to its whole bound."""

    def __init__(self, share=1.0, told=True):
        self.share, self.told, self.tokens, self.dollars = share, told, 0, 0.0

    def bound(self, prompt, n):
        return Bound(10, 90 * n, 1.0 * n)

    async def complete(self, prompt, n=1):
        await asyncio.sleep(0.001)
        tokens = int(90 * self.share)
        self.tokens += 10 + tokens
        self.dollars += self.share
        if not self.told:
            return [Completion("yes")]
        return [Completion("yes", "m", 10, tokens, self.share)]


@pytest.mark.parametrize("share", [1.0, 0.2])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("budget", [Budget(tokens=350), Budget(dollars=3.5)])
def test_a_limit_is_never_passed(tmp_path, share, told, budget):
    model = Wordy(share, told)
    with models_on(tmp_path, model, budget=budget) as (_, models):
        found = asked(models, *map(attempt, range(20)))
    refused = [one for one in found if isinstance(one, BudgetSpent)]
    assert found.count("yes") + len(refused) == 20
    assert model.tokens <= (budget.tokens or 999)
    assert model.dollars <= (budget.dollars or 999)
    # What was not used goes to others, until the most that one may cost is more than is left.
    assert found.count("yes") == 3 if share == 1.0 or not told else found.count("yes") >= 9
    before = model.tokens
    with models_on(tmp_path, model, budget=budget) as (_, models):
        (again,) = asked(models, attempt(99))
    assert isinstance(again, BudgetSpent)
    assert model.tokens == before


def test_what_nobody_knows_the_cost_of_counts_as_the_most_it_can_be(tmp_path):
    class CutOff(Wordy):
        async def complete(self, prompt, n=1):
            raise ModelError("connection lost")

    with models_on(tmp_path, CutOff(), budget=Budget(tokens=350)) as (store, models):
        found = [type(one) for one in asked(models, *map(attempt, range(5)))]
        assert store.bill() == Bill(unknown=3)
    assert Counter(found) == {BudgetSpent: 2, ModelError: 3}
    with models_on(tmp_path, Wordy(), budget=Budget(tokens=450)) as (_, models):
        found = asked(models, attempt(8), attempt(9))
    assert found[0] == "yes"
    assert isinstance(found[1], BudgetSpent)


def test_a_request_in_flight_at_a_kill_is_unknown_and_counted(tmp_path):
    class KillError(BaseException):
        pass

    with models_on(tmp_path, Wordy(), budget=Budget(tokens=150)) as (store, models):
        bound = asyncio.run(models.reserve(Endpoint("any", Wordy()), PROMPT, 1))
        assert bound.tokens == 100
        store._database.execute(  # as `Store.send` does, and then the light goes out
            "INSERT INTO requests VALUES (NULL, 1, 0, 1, 1, 0, 'any', 1, '{}', 10, 90, NULL)"
        )
        store._database.commit()
    with models_on(tmp_path, Wordy(), budget=Budget(tokens=150)) as (store, models):
        assert store.bill().unknown == 1
        assert isinstance(asked(models, attempt(2))[0], BudgetSpent)


def test_a_spending_limit_waits_for_what_is_in_flight_before_it_refuses():
    async def work():
        limit = SpendingLimit(Budget(tokens=150))
        await limit.reserve(Bound(50, 50))
        waiting = asyncio.ensure_future(limit.reserve(Bound(50, 50)))
        await asyncio.sleep(0)
        assert not waiting.done()
        limit.settle(Bound(50, 50), Bill(1, 10, 10, 0.0))
        await asyncio.wait_for(waiting, 5)
        refused = asyncio.ensure_future(limit.reserve(Bound(50, 50)))
        await asyncio.sleep(0)
        limit.settle(Bound(50, 50), Bill(unknown=1))
        with pytest.raises(BudgetSpent, match=r"too few tokens are left .*: it may cost 100"):
            await refused

    asyncio.run(work())
