"""The loop with models: several of them, one request for several attempts, limits, outages."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass

import pytest
from number_runs import Step, dying_at, engine_on, history, kill_after

from evolver.errors import ModelUnavailable
from evolver.operators.mix import Weighted
from evolver.routing.budget import Budget
from evolver.routing.choice import Bandit
from evolver.routing.endpoint import Endpoint, Terms
from evolver.storage.store import Store
from evolver.types import Bound, Completion, Prompt, Proposal


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path, {}, "test")
    yield store
    store.close()


@dataclass(frozen=True)
class Ask:
    """Does what the model says, with another prompt every time."""

    async def propose(self, context):
        prompt = Prompt("", f"{context.parent.program.id} {context.rng.random()}")
        (answer,) = await context.model.complete(prompt)
        return Proposal({"n.txt": answer.text.encode()})


ASK = [Weighted("ask", Ask(), 1.0, needs_model=True)]
BOTH = [*ASK, Weighted("step", Step(), 1.0)]


class Numbers:
    """Answers numbers that follow from the prompt, each of 20 tokens."""

    def __init__(self, price=0.5, latency=0.0):
        self.price, self.latency = price, latency
        self.asked = Counter()

    def bound(self, prompt, n):
        return Bound(10, 20 * n, self.price * n)

    async def complete(self, prompt, n=1):
        self.asked[prompt.user] += 1
        await asyncio.sleep(self.latency)
        return [
            Completion(
                str(int(hashlib.sha256(f"{prompt.user} {k}".encode()).hexdigest()[:8], 16)),
                prompt_tokens=0 if k else 10,
                completion_tokens=10,
                dollars=self.price,
            )
            for k in range(n)
        ]


def endpoints(samples=1, **latencies):
    return [
        Endpoint(name, Numbers(price, latency), Terms(samples=samples))
        for name, price, latency in (
            ("small", 0.1, latencies.get("small", 0.0)),
            ("large", 1.0, latencies.get("large", 0.0)),
        )
    ]


def test_the_model_is_decided_with_the_attempt_and_stored_with_it(store):
    asyncio.run(engine_on(store, operators=BOTH, model=endpoints(), evaluations=40).run())
    asked = Counter((a.operator, a.model) for a in store.attempts())
    assert asked[("ask", "small")] > 3
    assert asked[("ask", "large")] > 3
    assert {model for operator, model in asked if operator != "ask"} == {""}
    for attempt in store.attempts():
        assert set(store.bills(attempt.id)) == ({attempt.model} if attempt.model else set())


@pytest.mark.parametrize("stop_at", [1, 5, 14])
def test_a_resumed_bandit_knows_what_it_knew(tmp_path, stop_at):
    found = []
    for name, kill in (("whole", None), ("killed", stop_at)):
        folder = tmp_path / name
        folder.mkdir()
        settings = {"operators": ASK, "choice": Bandit, "deterministic": True, "in_flight": 1}
        store = Store.create(folder, {}, "test")
        if kill is not None:
            with pytest.raises(InterruptedError):
                asyncio.run(
                    engine_on(store, model=endpoints(), executor=dying_at(kill), **settings).run()
                )
            store.close()
            store = Store.resume(folder, "test")
        asyncio.run(engine_on(store, model=endpoints(), evaluations=30, **settings).run())
        found.append(history(store))
        store.close()
    assert found[0] == found[1]


def test_attempts_that_share_a_request_share_the_decision_and_are_paid_once(store):
    models = endpoints(samples=4)
    engine = engine_on(store, operators=ASK, model=models, evaluations=30, in_flight=12)
    assert asyncio.run(engine.run()) == "evaluations"
    assert engine.progress().evaluations == 30
    groups = Counter(a.leader for a in store.attempts() if a.leader is not None)
    assert set(groups.values()) <= {1, 2, 3}
    assert groups.most_common(1)[0][1] == 3
    by_id = {attempt.id: attempt for attempt in store.attempts()}
    for attempt in by_id.values():
        if attempt.leader is not None:
            leader = by_id[attempt.leader]
            assert (attempt.parent, attempt.inspirations) == (leader.parent, leader.inspirations)
            assert (attempt.seen, attempt.model) == (leader.seen, leader.model)
            assert store.completions(attempt.id) == {}
    sent = sum(sum(endpoint.model.asked.values()) for endpoint in models)
    assert sent == sum(a.leader is None and a.operator == "ask" for a in by_id.values())
    bill = store.bill()
    assert (bill.calls, bill.prompt_tokens) == (sent, 10 * sent)


@pytest.mark.parametrize("stop_at", [1, 3, 9, 20])
def test_after_a_kill_those_who_share_find_the_stored_answers(tmp_path, stop_at):
    store = Store.create(tmp_path, {}, "test")
    settings = {"operators": ASK, "in_flight": 8, "delay": 0.002}
    dying = engine_on(store, model=endpoints(samples=3), listener=kill_after(stop_at), **settings)
    with pytest.raises(InterruptedError):
        asyncio.run(dying.run())
    store.close()
    store = Store.resume(tmp_path, "test")
    bought = Counter((a.id, call) for a in store.attempts() for call in store.completions(a.id))
    engine = engine_on(store, model=endpoints(samples=3), **settings)
    asyncio.run(engine.run())
    assert engine.progress().evaluations == 60
    sent = Counter(store._database.execute("SELECT attempt, call FROM requests"))
    assert all(sent[one] == 1 for one in bought)
    assert store.attempts(unfinished=True) == []
    store.close()


def test_one_seed_gives_one_run_with_several_models_samples_and_a_limit(tmp_path):
    found = []
    for latencies in ({}, {"small": 0.01}, {"large": 0.005, "small": 0.001}):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        store = Store.create(folder, {}, "test")
        engine = engine_on(
            store,
            operators=BOTH,
            model=endpoints(samples=2, **latencies),
            choice=Bandit,
            budget=Budget(tokens=700),
            deterministic=True,
            in_flight=6,
        )
        assert asyncio.run(engine.run()) == "tokens"
        assert 600 <= store.bill().tokens <= 700
        found.append(history(store))
        store.close()
    assert found[0] == found[1] == found[2]


def test_at_a_limit_what_is_in_flight_comes_to_its_end(tmp_path):
    store = Store.create(tmp_path, {}, "test")
    settings = {"operators": ASK, "in_flight": 6, "delay": 0.002}
    budget = Budget(tokens=200)
    engine = engine_on(store, model=endpoints(), budget=budget, **settings)
    assert asyncio.run(engine.run()) == "tokens"
    assert 180 <= store.bill().tokens <= 200
    assert store.bill().unknown == 0
    assert store.bill().calls == len([o for o in store.outcomes() if o.attempt.model])
    store.close()
    store = Store.resume(tmp_path, "test")
    left = {attempt.id for attempt in store.attempts(unfinished=True)}
    assert left
    engine = engine_on(store, model=endpoints(), budget=Budget(tokens=400), **settings)
    assert asyncio.run(engine.run()) == "tokens"
    assert left <= {o.attempt.id for o in store.outcomes()}
    store.close()


class Gone:
    """Is not there any more."""

    async def complete(self, prompt, n=1):
        raise ModelUnavailable("nobody is there", Completion("", dollars=0.0))


def test_while_the_model_is_gone_others_go_on_within_their_share_and_the_time_ends(store):
    terms = Terms(backoff=0.01, retries=1)
    told = []
    engine = engine_on(
        store,
        operators=BOTH,
        model=[Endpoint("gone", Gone(), terms)],
        budget=Budget(seconds=1.0),
        in_flight=4,
        listener=lambda progress: told.append(progress.troubles),
    )
    assert asyncio.run(engine.run()) == "seconds"
    assert any("gone waits for" in trouble for troubles in told for trouble in troubles)
    outcomes = list(store.outcomes())
    assert {o.attempt.operator for o in outcomes} == {"seed", "step"}
    assert len(outcomes) < 40  # its share of what the others did, not all the time there was
    assert {a.operator for a in store.attempts(unfinished=True)} == {"ask"}
