"""Models and operators made from a task's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evolver.errors import UsageError
from evolver.models import LiteLLMModel, OpenAIModel
from evolver.routing.choice import Bandit, ByWeight
from evolver.runs.assemble import make_choice, make_endpoints
from evolver.tasks.settings import TaskSettings
from evolver.tasks.task import Task

LOCAL = "http://127.0.0.1:9/v1"


def task_with(*models: dict[str, Any], **sections: Any) -> Task:
    content = {
        "task": {"program": "p.py"},
        "evaluator": {"use": "e.py:f"},
        "model": models,
        **sections,
    }
    return Task("t", Path(), TaskSettings.model_validate(content), {}, {}, {})


def test_terms_and_settings_of_a_model_stand_in_one_table() -> None:
    table = {"name": "small", "api_base": LOCAL, "weight": 3, "samples": 4, "temperature": 0.5}
    (endpoint,) = make_endpoints(task_with(table))
    assert (endpoint.name, endpoint.terms.weight, endpoint.terms.samples) == ("small", 3.0, 4)
    assert isinstance(endpoint.model, OpenAIModel)
    assert endpoint.model.temperature == 0.5
    assert endpoint.model.max_tokens is None


def test_a_provider_is_asked_through_litellm() -> None:
    (endpoint,) = make_endpoints(task_with({"name": "anthropic/any"}))
    assert isinstance(endpoint.model, LiteLLMModel)


def test_models_of_one_name_are_told_apart() -> None:
    same = {"name": "any", "api_base": LOCAL}
    endpoints = make_endpoints(task_with(same, {**same, "temperature": 1.0}, same))
    assert [endpoint.name for endpoint in endpoints] == ["any", "any#2", "any#3"]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"wieght": 2}, r"unknown key 'wieght'; did you mean 'weight'\?"),
        ({"temprature": 2}, r"unknown key 'temprature'; did you mean 'temperature'\?"),
        ({"samples": 0}, "samples: must be at least 1"),
        ({"rate_limit": -1}, "rate_limit: must be above 0"),
        ({"concurrency": "many"}, "concurrency: must be a whole number"),
    ],
)
def test_a_mistake_is_named(table: dict[str, Any], sentence: str) -> None:
    good = {"name": "any", "api_base": LOCAL}
    with pytest.raises(UsageError, match=rf"\[\[model\]\] number 2: {sentence}"):
        make_endpoints(task_with(good, {**good, **table}))


@pytest.mark.parametrize(
    ("budget", "most"),
    [
        ({"evaluations": 9}, None),
        ({"tokens": 10_000_000}, 8192),
        ({"tokens": 64_000}, 2000),
        ({"tokens": 100}, 1024),
    ],
)
def test_under_a_limit_answers_have_one_too(budget: dict[str, int], most: int | None) -> None:
    table = {"name": "any", "api_base": LOCAL}
    (endpoint,) = make_endpoints(task_with(table, budget=budget))
    assert isinstance(endpoint.model, OpenAIModel)
    assert endpoint.model.max_tokens == most
    (endpoint,) = make_endpoints(task_with({**table, "max_tokens": 50}, budget=budget))
    assert isinstance(endpoint.model, OpenAIModel)
    assert endpoint.model.max_tokens == 50


def test_a_limit_in_dollars_needs_every_price() -> None:
    priced = {"name": "a", "api_base": LOCAL, "prompt_price": 1.0, "completion_price": 2.0}
    assert make_endpoints(task_with(priced, budget={"dollars": 1.0}))
    with pytest.raises(UsageError, match=r"set prompt_price .* of the \[\[model\]\] number 2"):
        make_endpoints(task_with(priced, {"name": "b", "api_base": LOCAL}, budget={"dollars": 1.0}))


def test_the_task_says_how_a_model_is_chosen() -> None:
    models = {"name": "a", "api_base": LOCAL}, {"name": "b", "api_base": LOCAL}
    for sections, kind in (({}, ByWeight), ({"models": {"choice": "bandit"}}, Bandit)):
        task = task_with(*models, **sections)
        assert isinstance(make_choice(task, make_endpoints(task)), kind)
