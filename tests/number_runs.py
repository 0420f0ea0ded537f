"""A task that needs no file and no process: the program is a number. For tests of the loop."""

from __future__ import annotations

from dataclasses import dataclass

from evolver.errors import CandidateCrashed, ProposalError
from evolver.evaluation.executors.inline import InlineExecutor
from evolver.operators.mix import Mix, Weighted
from evolver.routing.budget import Budget
from evolver.routing.choice import ByWeight
from evolver.routing.endpoint import Endpoint
from evolver.routing.recording import Models
from evolver.search.archives import BestN
from evolver.search.engine import Engine
from evolver.search.parts import EngineSettings, RunParts
from evolver.search.population import Island, Population
from evolver.search.selection import Tournament
from evolver.tasks.objective import Objective
from evolver.types import Brief, Context, Prompt, Proposal

SEED = {"n.txt": b"1"}
OBJECTIVE = Objective(("value",))


@dataclass(frozen=True)
class Step:
    """Adds a random number to the parent's."""

    async def propose(self, context: Context) -> Proposal:
        value = int(context.parent.program.files["n.txt"]) + context.rng.randrange(-50, 100)
        return Proposal({"n.txt": str(value).encode()})


@dataclass(frozen=True)
class Same:
    """Never has an idea."""

    async def propose(self, context: Context) -> Proposal:
        return Proposal(context.parent.program.files)


@dataclass(frozen=True)
class Ask:
    """Does what the model says."""

    async def propose(self, context: Context) -> Proposal:
        (answer,) = await context.model.complete(Prompt("", str(context.parent.program.id)))
        if not answer.text.isdigit():
            raise ProposalError("prose")
        return Proposal({"n.txt": answer.text.encode()})


def measure(program):
    value = int(program.files["n.txt"])
    if value % 7 == 0:
        raise CandidateCrashed("a multiple of seven")
    return {"value": float(value)}


def engine_on(store, *, evaluations=60, slots=2, delay=0.0, operators=None, **settings):
    budget = settings.pop("budget", Budget(evaluations=evaluations))
    extra = {key: settings.pop(key) for key in ("listener", "reserve", "gate") if key in settings}
    model = settings.pop("model", None)
    if model is not None:
        endpoints = model if isinstance(model, list) else [Endpoint("any", model)]
        weights = {endpoint.name: endpoint.terms.weight for endpoint in endpoints}
        choice = settings.pop("choice", ByWeight)(weights)
        extra["models"] = Models(endpoints, choice, store, budget)
    return Engine(
        RunParts(
            brief=Brief("", SEED),
            base="",
            seeds=settings.pop("seeds", [SEED]),
            store=store,
            population=Population(
                settings.pop("objective", OBJECTIVE),
                lambda: Island(BestN(20), Tournament()),
                islands=3,
                migration_interval=10,
            ),
            mix=Mix(operators or [Weighted("step", Step(), 1.0)]),
            executor=settings.pop("executor", None)
            or InlineExecutor(settings.pop("measure", measure), OBJECTIVE, slots, delay),
            budget=budget,
            settings=EngineSettings(**settings),
            **extra,
        )
    )


def history(store):
    return [
        (o.attempt, o.verdict, o.program, o.evaluation and o.evaluation.objectives)
        for o in store.outcomes()
    ]


def kill_after(evaluations):
    def listener(progress):
        if progress.evaluations >= evaluations:
            raise InterruptedError

    return listener


def dying_at(number):
    """Return an executor whose process is killed when it is to judge this attempt's program."""

    class Dying(InlineExecutor):
        async def evaluate(self, job):
            if job.program.id == number:
                raise InterruptedError
            return await super().evaluate(job)

    return Dying(measure, OBJECTIVE)
