"""A wrong setting is one sentence that says what to write, whatever key and whatever value."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from pydantic import BaseModel

from evolver.errors import UsageError
from evolver.routing.endpoint import Terms
from evolver.runs import assemble
from evolver.tasks.plugins import configure, find
from evolver.tasks.settings import TaskSettings, validate

TASK: dict[str, Any] = {
    "task": {"program": ["p.py"]},
    "evaluator": {"use": "score.py:score"},
    "objective": {"minimize": ["error"]},
}
WRONG = [{"use": "x"}, [{"use": "x"}], [1, "a"], "word", 3, -1, 2.5, True, [[1]], {"a": {"b": 1}}]
JARGON = ("should be", "Input", "valid ", "tuple", "dict", "instance", "str,", "None")


def refused(settings: dict[str, Any]) -> str:
    """Validate settings; return what is said, or "" where they will do."""
    try:
        validate(TaskSettings, settings, "task.toml")
    except UsageError as error:
        return str(error)
    return ""


def keys() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, field in TaskSettings.model_fields.items():
        found.append((name,))
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += [(name, f.alias or key) for key, f in kind.model_fields.items()]
    return found


@pytest.mark.parametrize("path", keys(), ids=".".join)
def test_no_message_speaks_of_python(path):
    said = []
    for value in WRONG:
        table = {**TASK.get(path[0], {}), path[-1]: value} if len(path) > 1 else value
        said.append(refused({**TASK, path[0]: table}))
    assert any(said), "nothing is refused"
    for message in filter(None, said):
        assert "\n" not in message
        assert path[0] in message
        assert not [word for word in JARGON if word in message], message


PLUGINS = {
    **{f"operator {name}": use for name, use in assemble.OPERATORS.items()},
    **{f"policy {name}": use for name, use in assemble.POLICIES.items()},
    **{f"archive {name}": use for name, use in assemble.ARCHIVES.items()},
    **{f"model {name}": use for name, use in assemble.MODELS.items() if name != "scripted"},
}


def misconfigured(plugin: Any, settings: dict[str, Any]) -> str:
    """Configure a plug-in; return what is said, or "" where the settings will do."""
    try:
        configure(plugin, settings, "[here]")
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("use", PLUGINS.values(), ids=PLUGINS)
def test_nor_does_one_of_a_plug_in(use, tmp_path):
    plugin = find(use, root=tmp_path, kind="plug-in", builtin={})
    for owner in (plugin, Terms):
        for field in dataclasses.fields(owner):
            for value in WRONG if field.init else ():
                message = misconfigured(owner, {field.name: value})
                assert "\n" not in message
                assert not [word for word in JARGON if word in message], message


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"operator": {"use": "mutate"}}, "write [[operator]] instead of [operator]"),
        ({"model": "gpt"}, "write [[model]] above its keys"),
        ({"stage": {"name": "quick"}}, "write [[stage]] instead of [stage]"),
        ({"budget": [{"seconds": 3}]}, "write [budget] instead of [[budget]]"),
        ({"budget": {"evaluations": "many"}}, "budget.evaluations: must be a whole number"),
        ({"budget": {"evaluations": 2.5}}, "budget.evaluations: must be a whole number, got 2.5"),
        ({"budget": {"seconds": [3]}}, "budget.seconds: must be a number, got [3]"),
        ({"islands": {"archive": 3}}, "islands.archive: must be a text in quotes or a table"),
        ({"islands": {"number": 0}}, "islands.number: must be at least 1, got 0"),
        ({"model_share": 1}, "model_share: must be below 1, got 1"),
        ({"sandbox": {"network": "perhaps"}}, "sandbox.network: must be true or false"),
        ({"sandbox": {"preload": "numpy"}}, "sandbox.preload: must be a list, got 'numpy'"),
        ({"objective": {"reference": {"e": "low"}}}, "objective.reference.e: must be a number"),
        ({"evaluator": "score.py"}, "evaluator: must be a table, got 'score.py'"),
        ({"ablate": {"part": "x"}}, "ablate: must be a list"),
    ],
)
def test_the_sentence_says_what_to_write(settings, said):
    assert said in refused({**TASK, **settings})


def test_a_key_that_a_plug_in_needs_is_named(tmp_path):
    plugin = find("replay", root=tmp_path, kind="model", builtin=assemble.MODELS)
    with pytest.raises(UsageError, match=r"^\[\[model\]\]: 'run' is missing; add it$"):
        configure(plugin, {}, "[[model]]")
