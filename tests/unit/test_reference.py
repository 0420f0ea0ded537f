"""The reference of every key: complete, current, and the same that `init` writes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from evolver.api import evolve
from evolver.checks.keys import keys_of, meanings
from evolver.checks.reference import page
from evolver.checks.template import commented
from evolver.operators import DEFAULT
from evolver.routing.endpoint import Terms
from evolver.runs import assemble
from evolver.runs.config import Options
from evolver.tasks.plugins import find
from evolver.tasks.settings import TaskSettings, validate
from evolver.types import Candidate, Result

PAGE = Path(__file__).parents[2] / "docs" / "task.md"
PLUGINS = {
    kind: use
    for table in (assemble.OPERATORS, assemble.MODELS, assemble.ARCHIVES, assemble.POLICIES)
    for kind, use in table.items()
    if kind != "scripted"
}
CONTENT = {
    "task": {"description": 'Say "ä".', "program": ["a.py", "b/*.py"], "root": ".."},
    "evaluator": {"use": "score.py:score", "with": {"a": [1, 2.5], "b c": {"d": True}}},
    "objective": {"minimize": ["error"], "reference": {"error": -1e-9}},
    "budget": {"evaluations": 7},
}
#: What an uncommented line shows beside the values: there is no default to show.
SHOWN = {"model", "stage", "operator", "budget"}


def test_the_page_is_current():
    assert PAGE.read_text("utf-8") == page(), "docs/task.md is old: make reference"


def sections() -> list[type]:
    found = [TaskSettings]
    for field in TaskSettings.model_fields.values():
        kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
        found += [kind for kind in kinds if hasattr(kind, "model_fields")]
    return found


@pytest.mark.parametrize("kind", sections(), ids=lambda kind: kind.__name__)
def test_every_key_of_a_section_has_a_meaning(kind):
    assert keys_of(kind)
    assert [key.name for key in keys_of(kind) if not key.meaning] == []


@pytest.mark.parametrize("name", PLUGINS)
def test_every_key_of_a_plug_in_has_a_meaning(name):
    plugin = find(PLUGINS[name], root=Path(), kind="plug-in", builtin={})
    assert [key.name for key in keys_of(plugin) if not key.meaning] == []


def test_so_has_what_evaluators_and_evolve_use():
    text = PAGE.read_text("utf-8")
    for kind in (Options, Terms):
        assert [key.name for key in keys_of(kind) if not key.meaning] == []
    assert set(meanings(Result)) == set(Result.__dataclass_fields__)
    for name in vars(Candidate):
        if not name.startswith("_"):
            assert f"### candidate.{name}" in text
    for name in evolve.__annotations__:
        assert f"- `{name}`: " in text or name in ("options", "return")


def test_a_commented_file_says_what_it_was_made_of():
    assert {k: v for k, v in tomllib.loads(commented(CONTENT)).items() if v} == CONTENT


def test_every_line_of_it_may_be_uncommented():
    lines = commented(CONTENT).splitlines()
    shown = [re.sub(r"^# (?=\w+ = |\[\[\w+\]\]$)", "", line) for line in lines]
    assert sum(old != new for old, new in zip(lines, shown, strict=True)) > 60
    full = validate(TaskSettings, tomllib.loads("\n".join(shown)), "here")
    plain = validate(TaskSettings, CONTENT, "here")
    assert full.objective.repeats == 20  # a number that stands for none
    full = full.model_copy(
        update={"objective": full.objective.model_copy(update={"repeats": None})}
    )
    for name in set(TaskSettings.model_fields) - SHOWN:
        assert getattr(full, name) == getattr(plain, name), name
    assert full.operator == tuple(dict(table) for table in DEFAULT)


def test_every_key_is_in_it():
    text = commented(CONTENT)
    for kind in sections():
        for key in keys_of(kind):
            assert re.search(rf"^(# )?{key.name} = .*  # \S", text, re.MULTILINE), key.name


def test_every_optional_part_of_an_evaluator_is_explained() -> None:
    section = page().split("## What an evaluator may have")[1].split("\n## ")[0]
    contributing = (PAGE.parents[1] / "CONTRIBUTING.md").read_text("utf-8")
    (row,) = re.findall(r"^\| evaluator \| .*? \| (.*) \|$", contributing, re.M)
    assert re.findall(r"^- `(\w+)", section, re.M) == re.findall(r"`(\w+)`", row)
