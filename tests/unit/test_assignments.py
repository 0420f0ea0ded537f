"""KEY=VALUE over a task's settings: any key, TOML's values, and mistakes with the nearest key."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolver.errors import UsageError
from evolver.runs import config
from evolver.runs.assignments import assign, parse
from evolver.runs.config import Options
from evolver.tasks.settings import TaskSettings, validate

TASK: dict[str, Any] = {
    "task": {"program": ["p.py"]},
    "evaluator": {"use": "score.py:score", "with": {"points": 3}},
    "objective": {"minimize": ["error"]},
    "model": [{"name": "gpt-4.1", "weight": 1.0}, {"name": "small"}, {"use": "manual"}],
    "stage": [{"name": "quick", "require": {"error": "< 3"}}, {}],
}


def settings(**sections: Any) -> TaskSettings:
    return validate(TaskSettings, {**TASK, **sections}, "here")


def content(*assignments: str, **sections: Any) -> dict[str, Any]:
    return assign(settings(**sections), assignments).model_dump(by_alias=True)


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("sandbox.memory=2048", ("sandbox", "memory"), 2048),
        ("sandbox.network = true", ("sandbox", "network"), True),
        ("sandbox.preload=['numpy', \"scipy\"]", ("sandbox", "preload"), ("numpy", "scipy")),
        ("task.description=Pack x=y into circles.", ("task", "description"),
         "Pack x=y into circles."),
        ('task.description="3"', ("task", "description"), "3"),
        ("task.program=p.py", ("task", "program"), ("p.py",)),
        ("model_share=0.25", ("model_share",), 0.25),
        ("budget.target=-inf", ("budget", "target"), float("-inf")),
        ("evaluator.with.points=9", ("evaluator", "with", "points"), 9),
        ("evaluator.with.grid.size=[1, 2]", ("evaluator", "with", "grid"), {"size": [1, 2]}),
        ("objective.require.size=<= 12", ("objective", "require"), {"size": "<= 12"}),
        ("objective.units={ error = 'm' }", ("objective", "units"), {"error": "m"}),
        ("islands.archive=pareto", ("islands", "archive"), "pareto"),
        ("islands.archive.size=9", ("islands", "archive"), {"size": 9}),
        ("stage.quick.require.error=< 1", ("stage", 0, "require"), {"error": "< 1"}),
        ("stage.2.name=slow", ("stage", 1, "name"), "slow"),
        ('model."gpt-4.1".weight=2', ("model", 0, "weight"), 2),
        ("model.small.max_tokens=99", ("model", 1, "max_tokens"), 99),
        ("model.manual.settle=0", ("model", 2, "settle"), 0),
        ("operator.diff.weight=2", ("operator", 2, "weight"), 2),
        ('operator=[{ use = "mutate" }]', ("operator",), ({"use": "mutate"},)),
    ],
)  # fmt: skip
def test_any_key_gets_another_value(assignment, path, value):
    found = content(assignment)
    for part in path:
        found = found[part]
    assert found == value


def test_operators_that_a_task_does_not_name_are_those_it_has():
    found = content("operator.crossover.weight=9")["operator"]
    assert [table["use"] for table in found][:3] == ["mutate", "crossover", "diff"]
    assert [table["weight"] for table in found][:3] == [4.0, 9, 4.0]
    twice = [{"use": "mutate"}, {"use": "mutate", "tune": True}]
    assert content("operator.mutate-2.limit=5", operator=twice)["operator"][1]["limit"] == 5


def test_later_ones_go_before_and_what_is_not_named_stays():
    found = content("islands.policy.size=3", "islands.policy.use=tournament", "model_share=0.5")
    assert found["islands"]["policy"] == {"size": 3, "use": "tournament"}
    assert content("islands.policy.size=4", islands={"policy": "tournament"})["islands"][
        "policy"
    ] == {"use": "tournament", "size": 4}
    assert assign(settings(), ()) == settings()


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("sandbox.memory", "there is no '='"),
        ("=3", "'' is no key"),
        ("a b=3", "'a b' is no key"),
        ("a=1\nb=3", "unknown key 'a'"),
        ("sandbox.memry=3", "unknown key 'sandbox.memry'; did you mean 'memory'"),
        ("sandbx.memory=3", "unknown key 'sandbx'; did you mean 'sandbox'"),
        ("evaluator.use.x=3", "evaluator.use is .*, no table"),
        ("evaluator.timeout=soon", "evaluator.timeout: must be a number, got 'soon'"),
        ("evaluator.timeout=[3", "is not valid TOML"),
        ("sandbox.memory=3", "sandbox.memory: must be at least 16, got 3"),
        ("operator.dif.weight=2", r"there is no \[\[operator\]\] 'dif'; did you mean 'diff'"),
        ("operator.9.weight=2", r"there is no \[\[operator\]\] '9'"),
        ("operator.diff=2", "name one of its keys"),
        ("operator={use='mutate'}", r"write \[\[operator\]\]"),
        ("stage.quick.requir.error=2", "unknown key 'stage.0.requir'; did you mean 'require'"),
    ],
)
def test_a_mistake_is_a_sentence_that_begins_with_the_option(assignment, said):
    with pytest.raises(UsageError, match=said) as caught:
        content(assignment)
    assert str(caught.value).startswith(f"--set {assignment}: ")


def test_one_of_no_tables_is_none():
    with pytest.raises(UsageError, match=r"the task has no \[\[model\]\]"):
        content("model.small.weight=1", model=[])


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20))
def test_a_word_is_a_text_or_toml_and_never_an_accident(text):
    try:
        (key,), value = parse(f"model_share={text}")
    except UsageError as error:
        assert text.strip().startswith(('"', "'", "[", "{")), error  # noqa: PT017 - of any text
    else:
        assert key == "model_share"
        assert not isinstance(value, str) or value == text.strip() or text.strip()[0] in "\"'"


def test_a_run_takes_what_leaves_its_programs_comparable():
    begun = config.resolve(settings(), Options(workers=1, set=["sandbox.memory=99"]))
    assert begun.task.sandbox.memory == 99
    again = config.extend(begun, Options(set=["operator.mutate.weight=1", "sandbox.memory=98"]))
    assert again.task.operator[0]["weight"] == 1
    assert again.task.sandbox.memory == 98
    for assignment in ("evaluator.with.points=4", "islands.number=2", "objective.units.error=m",
                       "task.description=x", "ablate=no-context"):  # fmt: skip
        with pytest.raises(UsageError, match="cannot change within a run") as refused:
            config.extend(begun, Options(set=["sandbox.memory=98", assignment]))
        assert str(refused.value).endswith(f"evolver fork DIR --set {assignment}")
    config.extend(begun, Options(set=["evaluator.with.points=3"]))  # as it is


def test_an_option_of_its_own_goes_before():
    made = config.resolve(settings(), Options(evaluations=5, set=["budget.evaluations=7"]))
    assert made.task.budget.evaluations == 5
