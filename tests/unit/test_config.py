"""Configurations: options over settings, and settings.json there and back."""

from __future__ import annotations

import math
from datetime import date

import pytest

from evolver.errors import UsageError
from evolver.runs import config
from evolver.runs.config import CONFIGURATION, Options
from evolver.search import rules
from evolver.tasks.settings import TaskSettings, validate

TASK = {
    "task": {"program": ["p.py"]},
    "evaluator": {"use": "score.py:score", "with": {"bound": math.inf, "low": -math.inf, "n": [1]}},
    "objective": {"minimize": ["error"]},
}


def settings(**sections):
    return validate(TaskSettings, {**TASK, **sections}, "here")


def test_what_is_written_is_read_back(tmp_path):
    """Infinity too, which was written as null."""
    configuration = config.resolve(settings(), Options(evaluations=7, seed=3, workers=2))
    config.write(tmp_path, configuration)
    assert config.read(tmp_path) == configuration
    assert config.read(tmp_path).task.evaluator.with_["bound"] == math.inf


def test_a_date_becomes_text(tmp_path):
    table = {"use": "score.py:score", "with": {"since": date(2026, 1, 31)}}
    config.write(tmp_path, config.resolve(settings(evaluator=table), Options()))
    assert config.read(tmp_path).task.evaluator.with_ == {"since": "2026-01-31"}


def test_what_is_not_a_number_stays_so(tmp_path):
    table = {"use": "score.py:score", "with": {"bound": math.nan}}
    config.write(tmp_path, config.resolve(settings(evaluator=table), Options()))
    assert math.isnan(config.read(tmp_path).task.evaluator.with_["bound"])


@pytest.mark.parametrize("content", [b"", b'{"task": {', b"\xff\xfe", b"[]", b"null", b'{"a": 1}'])
def test_a_damaged_configuration_is_named(tmp_path, content):
    (tmp_path / CONFIGURATION).write_bytes(content)
    with pytest.raises(UsageError, match=CONFIGURATION):
        config.read(tmp_path)


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(UsageError, match="holds no run"):
        config.read(tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(workers=-1), "workers"),
        (Options(workers=0), "workers"),
        (Options(evaluations=0), "evaluations"),
        (Options(seconds=-1), "seconds"),
        (Options(dollars=-1), "dollars"),
        (Options(seed="one"), "seed"),  # type: ignore[arg-type]
        (Options(api_base="http://localhost"), "--model"),
        (Options(deterministic=True, seconds=5), "--deterministic"),
    ],
)
def test_an_option_that_makes_no_sense_is_one_sentence(options, said):
    with pytest.raises(UsageError, match=said) as caught:
        config.resolve(settings(), options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(workers=-1), "workers"),
        (Options(workers=0), "workers"),
        (Options(seed=4), "--seed cannot change"),
        (Options(deterministic=True), "--deterministic cannot change"),
        (Options(evaluations=0), "evaluations"),
    ],
)
def test_so_at_a_resume(options, said):
    begun = config.resolve(settings(), Options(seed=3))
    with pytest.raises(UsageError, match=said):
        config.extend(begun, options)


def test_a_resume_may_change_limits_and_workers():
    begun = config.resolve(settings(), Options(evaluations=7, workers=2))
    extended = config.extend(begun, Options(evaluations=9, workers=3, target=0.5))
    assert (extended.budget.evaluations, extended.budget.target) == (9, 0.5)
    assert (extended.workers, extended.in_flight) == (3, begun.in_flight + 2)


def test_a_run_without_any_limit_gets_one():
    assert config.resolve(settings(), Options()).budget.evaluations == 1000
    assert config.resolve(settings(), Options(seconds=5)).budget.evaluations is None


def test_a_model_option_replaces_the_tasks_models_and_an_address_goes_to_all():
    table = settings(model=[{"name": "a", "api_base": "http://one"}])
    assert config.resolve(table, Options(model="b")).task.model == ({"name": "b"},)
    moved = config.resolve(table, Options(api_base="http://two"))
    assert moved.task.model == ({"name": "a", "api_base": "http://two"},)


def test_what_is_left_out_is_recorded_and_stays(tmp_path):
    models = ({"name": "large"}, {"name": "small"})
    task = settings(model=models)
    made = config.resolve(task, Options(ablate=["no-context", "small-model"]))
    assert made.task.ablate == ("no-context", "small-model")
    assert [model["name"] for model in made.task.model] == ["small"]
    config.write(tmp_path, made)
    assert config.extend(config.read(tmp_path), Options()).task == made.task
    assert config.resolve(task, Options(ablate="no-evolution")).task.ablate == ("no-evolution",)
    assert config.resolve(task, Options()).task.model == models
    with pytest.raises(UsageError, match="cannot change within a run"):
        config.extend(made, Options(ablate=["no-context"]))
    with pytest.raises(UsageError, match="at least two"):
        config.resolve(settings(), Options(ablate=["small-model"]))
    with pytest.raises(UsageError, match="'no-evolution', 'no-context'"):
        config.resolve(task, Options(ablate=["everything"]))


def test_there_are_no_more_workers_than_gpus():
    two = settings(sandbox={"gpus": [0, 1]})
    assert config.resolve(two, Options()).workers <= 2
    with pytest.raises(UsageError, match="3 workers cannot share 2 GPUs; give --workers 2"):
        config.resolve(two, Options(workers=3))


def test_where_candidates_run_may_change_at_a_resume():
    configuration = config.resolve(settings(), Options(sandbox="docker"))
    assert configuration.task.sandbox.use == "docker"
    assert config.extend(configuration, Options()).task.sandbox.use == "docker"
    again = config.extend(configuration, Options(sandbox="local"))
    assert again.task.sandbox.use == "local"


def test_several_models_may_be_named_those_of_the_task_among_them():
    own = {"name": "small", "api_base": "http://here/v1", "weight": 3.0, "samples": 4}
    task = settings(model=[own, {"name": "unused"}])
    configuration = config.resolve(task, Options(model=["small", "openai/large"], workers=2))
    assert configuration.task.model == (own, {"name": "openai/large"})
    assert configuration.in_flight == 2 * 2 + 8 * 4 + 8  # all that can wait for models, and more
    (only,) = config.resolve(task, Options(model="small", api_base="http://there/v1")).task.model
    assert only == {**own, "api_base": "http://there/v1"}


def test_a_resume_with_other_models_has_places_for_them():
    begun = config.resolve(settings(model=[{"name": "a"}]), Options(workers=2))
    assert begun.in_flight == 12
    assert config.extend(begun, Options(model=["a", "b"])).in_flight == 20
    assert config.extend(begun, Options(model=["a", "b"], workers=3)).in_flight == 22


def test_settings_of_older_versions_are_read(tmp_path):
    config.write(tmp_path, config.resolve(settings(), Options()))
    path = tmp_path / CONFIGURATION
    path.write_text(path.read_text().replace('"seed"', '"model_slots": 8,\n"seed"', 1))
    assert config.read(tmp_path).seed == 0


@pytest.mark.parametrize(
    ("version", "stored", "said"), [(1, 0.05, -0.2), (rules.CURRENT, -0.05, 0.2)]
)
def test_a_target_of_an_older_run_is_a_score_and_what_is_said_now_is_a_value(version, stored, said):
    run = config.Configuration(task=settings(budget={"target": -0.05}), rules=version)
    assert config.with_own_target(run).budget.target == stored
    assert config.extend(run, Options(target=0.2)).budget.target == said
    assert config.extend(run, Options(evaluations=9)).budget.target == -0.05
