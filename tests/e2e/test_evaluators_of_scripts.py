"""Evaluators as scripts have them: of modules beside the script, objects, partial functions."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import pytest

import evolver

PROGRAM = "def f(x):\n    return x * 1.5\n"
BESIDE = """
from more import TARGET

class Misfit:
    def __init__(self, target):
        self.target = target
    def evaluate(self, candidate):
        return {"error": abs(candidate.call("f", 1.0) - self.target)}

def misfit(candidate, target=TARGET):
    return Misfit(target).evaluate(candidate)
"""
SCRIPT = """
import functools, sys
import evolver
{defined}
if __name__ == "__main__":
    run = evolver.evolve(
        {program!r}, evaluate={evaluate}, minimize="error", evaluations=2, workers=1,
        out=sys.argv[1], settings={settings},
    )
    print(run.score)
    print(evolver.resume(sys.argv[1], evaluations=3).evaluations)
"""
IN_MAIN = """
class Mine:
    def evaluate(self, candidate):
        return {"error": abs(candidate.call("f", 1.0) - 2.5)}

class Called:
    def __call__(self, candidate, target):
        return {"error": abs(candidate.call("f", 1.0) - target)}
"""
WITH = '{"evaluator": {"with": {"target": 2.5}, "timeout": 3}}'


@pytest.mark.parametrize(
    ("defined", "evaluate", "settings"),
    [
        ("import beside", "beside.misfit", "None"),
        ("import beside", "functools.partial(beside.misfit, target=2.5)", "None"),
        ("import beside", "beside.Misfit(2.5)", "None"),
        ("import beside", "beside.misfit", WITH),
        (IN_MAIN, "Mine()", "None"),
        (IN_MAIN, "Called()", WITH),
    ],
    ids=["function", "partial", "object", "with", "main", "callable"],
)
def test_a_script_evolves_with_what_stands_in_it_and_beside_it(
    tmp_path, defined, evaluate, settings
):
    """From another folder than its own, which is where Python looks, and a worker does not."""
    place, here = tmp_path / "place", tmp_path / "here"
    place.mkdir()
    here.mkdir()
    (place / "beside.py").write_text(BESIDE)
    (place / "more.py").write_text("TARGET = 2.5\n")
    script = place / "script.py"
    script.write_text(
        SCRIPT.format(defined=defined, evaluate=evaluate, settings=settings, program=PROGRAM)
    )
    done = subprocess.run(
        [sys.executable, script, tmp_path / "out"],
        cwd=here,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    score, evaluations = done.stdout.split()
    assert float(score) >= -1.0
    assert evaluations == "3"


def evolve(tmp_path, **arguments):
    return evolver.evolve(
        PROGRAM,
        minimize="error",
        evaluations=2,
        out=tmp_path / "run",
        **{"workers": 1, **arguments},
    )


def test_settings_go_with_the_arguments(tmp_path):
    def judge(candidate, target):
        return {"error": abs(candidate.call("f", 1.0) - target), "size": 3.0}

    run = evolve(
        tmp_path,
        evaluate=judge,
        settings={
            "evaluator": {"with": {"target": 1.5}, "timeout": 3},
            "objective": {"require": {"size": "< 4"}},
            "task": {"description": "A line."},
        },
    )
    assert run.score == 0
    task = run.configuration.task
    assert (task.evaluator.timeout, task.task.description) == (3, "A line.")
    assert task.objective.require == {"size": "< 4"}


def test_an_argument_goes_before_a_setting(tmp_path):
    run = evolve(
        tmp_path,
        evaluate=functools.partial(lambda candidate: {"error": 9 - candidate.call("f", 1.0)}),
        timeout=4.0,
        settings={"evaluator": {"timeout": 3}},
    )
    assert run.configuration.task.evaluator.timeout == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"evaluate": lambda candidate: {}, "timeout": 0}, "evaluator.timeout"),
        ({"evaluate": lambda c: {}, "settings": {"evaluator": {"use": "exp2"}}}, "leave out"),
        ({"evaluate": lambda c: {}, "settings": {"evaluator": {"with": {"n": 1}}}}, "key 'n'"),
        ({"evaluate": 3}, "is not an evaluator"),
        ({"evaluate": lambda c: {}, "workers": -1}, "workers"),
    ],
)
def test_what_cannot_be_meant_is_said(tmp_path, arguments, said):
    with pytest.raises(evolver.UsageError, match=said):
        evolve(tmp_path, **arguments)


def test_guest_files_of_a_class_without_a_file_are_missed_in_words(tmp_path):
    namespace = {}
    exec(
        "class E:\n    guest = 'guest.py'\n    def evaluate(self, candidate): return {}", namespace
    )
    with pytest.raises(evolver.UsageError, match="is not defined in a module"):
        evolve(tmp_path, evaluate=namespace["E"]())


def test_a_program_without_source_is_asked_for_as_a_string(tmp_path):
    with pytest.raises(evolver.UsageError, match="give it as a string"):
        evolver.evolve(abs, evaluate=lambda candidate: {}, minimize="error")
