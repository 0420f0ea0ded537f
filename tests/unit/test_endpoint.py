"""Endpoints: places, rate limits, outages; and which of several is chosen."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from random import Random

import pytest

from evolver.errors import ModelError, ModelRefused, ModelUnavailable, PromptRefused
from evolver.routing.choice import Bandit, ByWeight
from evolver.routing.endpoint import Away, Endpoint, Terms, check_all
from evolver.storage.totals import Bill
from evolver.types import Completion, Prompt

PROMPT = Prompt("", "")


class Busy:
    """Bears so many requests at once; says 429 beyond them."""

    def __init__(self, bears, retry_after=None):
        self.bears, self.retry_after = bears, retry_after
        self.inside = self.most = self.refused = 0
        self.times = []

    async def complete(self, prompt, n=1):
        self.times.append(time.monotonic())
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            if self.inside > self.bears:
                self.refused += 1
                raise ModelUnavailable("slow down", retry_after=self.retry_after, is_limit=True)
            await asyncio.sleep(0.01)
        finally:
            self.inside -= 1
        return [Completion("yes")]


async def ask_until_answered(endpoint):
    while True:
        async with endpoint.place():
            try:
                return await endpoint.ask(PROMPT, 1)
            except ModelUnavailable:
                pass
        await asyncio.sleep(0.001)


def test_as_many_places_as_the_terms_say():
    async def work():
        model = Busy(bears=1000)
        endpoint = Endpoint("any", model, Terms(concurrency=5))
        await asyncio.gather(*(ask_until_answered(endpoint) for _ in range(30)))
        return model

    assert asyncio.run(work()).most == 5


def test_places_become_fewer_where_the_endpoint_bears_fewer_and_grow_again():
    async def work():
        model = Busy(bears=4)
        endpoint = Endpoint("any", model, Terms(concurrency=32))
        await asyncio.gather(*(ask_until_answered(endpoint) for _ in range(150)))
        model.refused = 0
        await asyncio.gather(*(ask_until_answered(endpoint) for _ in range(150)))
        later, model.bears, model.most = model.refused, 100, 0
        await asyncio.gather(*(ask_until_answered(endpoint) for _ in range(150)))
        return later, model.most

    later, most = asyncio.run(work())
    assert later < 75  # of 150 and more: every other request at most
    assert most > 8  # a better day is noticed


def test_a_time_to_wait_holds_for_all():
    async def work():
        model = Busy(bears=1, retry_after=0.3)
        endpoint = Endpoint("any", model, Terms(concurrency=3))
        await asyncio.gather(*(ask_until_answered(endpoint) for _ in range(5)))
        return model.times

    times = asyncio.run(work())
    assert all(b - times[1] >= 0.3 for b in times[2:])


def test_a_rate_limit_spaces_requests():
    async def work():
        model = Busy(bears=100)
        endpoint = Endpoint("any", model, Terms(rate_limit=60 / 0.05))
        await asyncio.gather(*(ask_until_answered(endpoint) for _ in range(6)))
        return model.times

    times = asyncio.run(work())
    assert all(b - a >= 0.045 for a, b in pairwise(times))


def test_whoever_gives_up_waiting_takes_no_place():
    async def work():
        endpoint = Endpoint("any", Busy(bears=9), Terms(concurrency=1))
        async with endpoint.place():
            waiting = [asyncio.ensure_future(ask_until_answered(endpoint)) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
        waiting[1].cancel()  # it has just been let in
        await asyncio.wait_for(waiting[2], 5)

    asyncio.run(work())


class Down:
    """Is not there for a while, then there, or refuses."""

    def __init__(self, checks, then=None):
        self.checks, self.then = checks, then

    async def complete(self, prompt, n=1):
        return [Completion("back")]

    async def check(self):
        self.checks -= 1
        if self.checks >= 0:
            raise ModelUnavailable("connection refused")
        if self.then is not None:
            raise self.then


def test_while_it_is_down_nobody_gets_in_and_somebody_is_told():
    async def work():
        model, told = Down(checks=2), []
        endpoint = Endpoint("any", model, Terms(backoff=0.02))
        endpoint.on_trouble = lambda: told.append(endpoint.trouble)
        endpoint.pause(ModelUnavailable("connection lost"))
        started = time.monotonic()
        (answer,) = await ask_until_answered(endpoint)
        assert answer.text == "back"
        assert time.monotonic() - started >= 0.02 + 0.04 + 0.08
        await endpoint.close()
        return told

    told = asyncio.run(work())
    assert told[0] == "any waits for 0 s: connection lost"
    assert "connection refused" in told[1]
    assert told[-1] == ""


def test_a_refusal_after_an_outage_reaches_those_who_wait():
    async def work():
        endpoint = Endpoint("any", Down(0, ModelRefused("no credit")), Terms(backoff=0.01))
        endpoint.pause(ModelUnavailable("connection lost"))
        waiting = [asyncio.ensure_future(ask_until_answered(endpoint)) for _ in range(3)]
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert [str(error) for error in asyncio.run(work())] == ["no credit"] * 3


def test_an_endpoint_that_refuses_one_request_after_an_outage_is_there():
    class Choosy:
        async def complete(self, prompt, n=1):
            raise ModelError("the prompt is too long")

    async def work():
        told = []
        endpoint = Endpoint("any", Choosy(), Terms(backoff=0.01))
        endpoint.pause(ModelUnavailable("connection lost"))
        async with endpoint.place():
            endpoint.on_trouble = lambda: told.append(endpoint.trouble)
            with pytest.raises(ModelError, match="too long"):
                await endpoint.ask(PROMPT, 1)
        return told

    assert asyncio.run(work()) == [""]


class Refusing:
    """Answers or refuses, as a list says; then it refuses."""

    def __init__(self, *answers, error=ModelError):
        self.answers, self.error, self.asked = list(answers), error, 0

    async def complete(self, prompt, n=1):
        self.asked += 1
        if self.answers and self.answers.pop(0):
            return [Completion("yes")]
        raise self.error("400: no")


def refusals(model, most=30):
    """Ask until the session would end; return how often that was, and why."""

    async def work():
        endpoint = Endpoint("any", model)
        for number in range(1, most + 1):
            async with endpoint.place():
                try:
                    await endpoint.ask(PROMPT, 1)
                except ModelRefused as error:
                    return number, str(error)
                except ModelError:
                    pass
        return None

    return asyncio.run(work())


def test_one_refusal_after_another_ends_the_session():
    told = "400: no (5 times in a row)"
    assert refusals(Refusing()) == (5, told)
    assert refusals(Refusing(False, False, True)) == (8, told)
    assert refusals(Refusing(error=PromptRefused)) == (5, told)


def test_prompts_that_are_refused_end_nothing_where_others_were_answered():
    assert refusals(Refusing(True, error=PromptRefused)) is None


def test_a_long_wait_is_told_at_once_and_others_are_asked_meanwhile():
    class Later:
        async def complete(self, prompt, n=1):
            raise ModelUnavailable("slow down", retry_after=60.0, is_limit=True)

    async def work():
        endpoint, moved = Endpoint("any", Later()), []
        endpoint.on_away = lambda: moved.append(endpoint.is_away)
        async with endpoint.place():
            with pytest.raises(ModelUnavailable):
                await endpoint.ask(PROMPT, 1)
        waiting = asyncio.ensure_future(ask_until_answered(endpoint))
        await asyncio.sleep(0)
        told = endpoint.trouble
        endpoint.release()
        with pytest.raises(Away):
            await waiting
        await endpoint.close()
        return told, moved

    told, moved = asyncio.run(work())
    assert told == "any waits for 0 s: slow down; next try in 60 s"
    assert moved == [True]


def test_a_session_begins_with_those_that_are_there():
    async def work(*models):
        endpoints = [Endpoint(f"{number}", model) for number, model in enumerate(models)]
        try:
            await check_all(endpoints)
            return [endpoint.is_away for endpoint in endpoints]
        finally:
            for endpoint in endpoints:
                await endpoint.close()

    assert asyncio.run(work(Down(1), Down(0))) == [True, False]
    with pytest.raises(ModelUnavailable, match="connection refused"):
        asyncio.run(work(Down(1), Down(1)))
    with pytest.raises(ModelRefused, match="no key"):
        asyncio.run(work(Down(0, ModelRefused("no key")), Down(0)))


def test_a_model_that_returns_nothing_is_not_asked_on_and_on():
    class Mute:
        async def complete(self, prompt, n=1):
            return []

    async def work():
        async with (endpoint := Endpoint("mute", Mute())).place():
            await endpoint.ask(PROMPT, 1)

    with pytest.raises(ModelError, match="mute returned no completion"):
        asyncio.run(work())


# --- choice ---------------------------------------------------------------------------------------


def test_weights_are_kept():
    choice = ByWeight({"small": 3.0, "large": 1.0})
    chosen = [choice.choose(Random(number)) for number in range(2000)]
    assert chosen.count("small") / 2000 == pytest.approx(0.75, abs=0.03)


def played(rates, prices, rounds=600):
    """Let a bandit play; return how often each model was asked in the second half."""
    bandit, world, chosen = Bandit(dict.fromkeys(rates, 1.0)), Random(1), []
    for number in range(rounds):
        model = bandit.choose(Random(f"{number}"))
        chosen.append(model)
        bill = Bill(1, 500, 500, prices[model])
        bandit.learn(model, is_better=world.random() < rates[model], bill=bill)
    return {name: chosen[rounds // 2 :].count(name) / (rounds - rounds // 2) for name in rates}


def test_the_bandit_prefers_who_improves_more_at_the_same_price():
    assert played({"good": 0.3, "bad": 0.1}, {"good": 1.0, "bad": 1.0})["good"] > 0.9


def test_the_bandit_prefers_who_improves_more_for_the_money():
    shares = played({"good": 0.3, "cheap": 0.1}, {"good": 10.0, "cheap": 1.0})
    assert shares["cheap"] > 0.9


def test_the_bandit_counts_tokens_where_a_price_is_unknown():
    assert played({"good": 0.3, "bad": 0.1}, {"good": None, "bad": 1e-9})["good"] > 0.9


def test_the_bandit_counts_attempts_where_nobody_counts_tokens():
    bandit = Bandit({"agent": 1.0, "chat": 1.0})
    for number in range(50):
        bandit.learn("agent", is_better=number == 0, bill=Bill(1, dollars=None))
        bandit.learn("chat", is_better=number % 2 == 0, bill=Bill(1, 1000, 500, 0.1))
    assert {bandit.choose(Random(number)) for number in range(100)} == {"chat"}


def test_the_bandit_tries_all_first_and_repeats_itself():
    prices = dict.fromkeys("abc", 1.0)
    assert played(dict.fromkeys("abc", 0.2), prices) == played(dict.fromkeys("abc", 0.2), prices)
    bandit = Bandit({"a": 1.0, "b": 1.0})
    for _ in range(10):
        bandit.learn("a", is_better=True, bill=Bill(1, 1, 1, 1.0))
    bandit.learn("gone", is_better=True, bill=Bill())
    assert bandit.choose(Random(0)) == "b"
