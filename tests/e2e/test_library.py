"""evolver as a library: the same machinery, closures as evaluators included."""

from __future__ import annotations

import math
import subprocess
import sys
import threading

import pytest

import evolver

SOURCE = """\
def f(x):
    # EVOLVE-BLOCK-START
    return x * 1.0
    # EVOLVE-BLOCK-END
"""


def misfit_to(offset):
    """An evaluator that only exists here."""

    def evaluate(candidate):
        points = (0.0, 1.0, 2.0, 3.0)
        return {"error": sum(abs(candidate.call("f", x) - (2 * x + offset)) for x in points)}

    return evaluate


def test_a_closure_judges_and_the_run_is_a_directory_that_can_be_resumed(tmp_path):
    out = tmp_path / "run"
    run = evolver.evolve(
        SOURCE, evaluate=misfit_to(5.0), minimize="error", evaluations=40, seed=1, out=out
    )
    assert run.evaluations == 40
    assert run.best.evaluation.metrics["error"] < run.elites[0].evaluation.metrics["error"]
    assert (out / "best" / "program.py").read_bytes() == run.best.program.files["program.py"]
    assert run.lineage(run.best.program.id)[0].program.id == 0
    again = evolver.resume(out, evaluations=55)
    assert again.evaluations == 55
    assert again.score >= run.score


def test_a_function_of_this_file_is_a_program(tmp_path):
    def f(x):
        return x * 1.0

    run = evolver.evolve(
        f, evaluate=misfit_to(1.0), minimize="error", evaluations=5, out=tmp_path / "run"
    )
    assert run.task.name == "f"
    assert run.elites[0].program.files["program.py"].startswith(b"def f(x):")


OFFSET = 0.5


def shifted(x):
    return x + OFFSET


def test_so_is_one_that_uses_other_things_of_this_file(tmp_path):
    def f(x):
        return math.floor(shifted(x)) * OFFSET

    run = evolver.evolve(
        f, evaluate=misfit_to(1.0), minimize="error", evaluations=3, out=tmp_path / "run"
    )
    misfit = sum(abs(f(x) - (2 * x + 1.0)) for x in (0.0, 1.0, 2.0, 3.0))
    assert run.elites[0].evaluation.metrics == {"error": misfit}
    with pytest.raises(evolver.UsageError, match=r"its file cannot hold.*LOCK is a _thread\.lock"):
        evolver.evolve(locked, evaluate=misfit_to(1.0), minimize="error")


LOCK = threading.Lock()


def locked(x):
    with LOCK:
        return x


def test_a_number_is_the_only_objective(tmp_path):
    def judge(candidate):
        return candidate.call("f", 2.0)

    run = evolver.evolve(
        SOURCE, evaluate=judge, maximize="height", evaluations=3, out=tmp_path / "run"
    )
    assert run.elites[0].evaluation.metrics == {"height": 2.0}
    with pytest.raises(evolver.UsageError, match=r"the number 2\.0, but .* height, width"):
        evolver.evolve(
            SOURCE,
            evaluate=judge,
            maximize=["height", "width"],
            reference={"height": 0, "width": 0},
            out=tmp_path / "two",
        )


@pytest.mark.parametrize(
    ("call", "wrong", "meant"),
    [
        (evolver.evolve, "evaluatons", "evaluations"),
        (evolver.evolve, "minimise", "minimize"),
        (evolver.evolve, "eval", "evaluate"),
        (evolver.run, "worker", "workers"),
        (evolver.run, "start_frm", "start_from"),
        (evolver.resume, "second", "seconds"),
    ],
)
def test_a_wrong_keyword_is_told_with_the_nearest(tmp_path, call, wrong, meant):
    wanted = {"evaluate": len} if call is evolver.evolve else {}
    with pytest.raises(evolver.UsageError) as caught:
        call("no such place", **{wrong: 3}, **wanted)
    assert str(caught.value).startswith(f"{call.__name__}() takes no '{wrong}'; did you mean")
    assert f"'{meant}'" in str(caught.value)


def test_the_package_shows_its_public_names():
    assert sorted(evolver.__all__) == dir(evolver)
    assert {"evolve", "run", "resume"} <= set(dir(evolver))
    code = "import sys, evolver; dir(evolver); sys.exit('evolver.api' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_works_inside_a_running_event_loop_as_in_a_notebook(tmp_path):
    import asyncio

    async def cell():
        return evolver.evolve(
            SOURCE, evaluate=misfit_to(1.0), minimize="error", evaluations=5, out=tmp_path / "run"
        )

    assert asyncio.run(cell()).evaluations == 5


def test_progress_is_told(tmp_path):
    told = []
    evolver.evolve(
        SOURCE,
        evaluate=misfit_to(1.0),
        minimize="error",
        evaluations=10,
        out=tmp_path / "run",
        listener=lambda progress: told.append((progress.evaluations, threading.get_ident())),
    )
    assert told[-1][0] == 10


def test_what_the_evaluator_says_of_the_seed_is_said_to_the_user(tmp_path):
    def broken(candidate):
        raise KeyError("no such column")

    with pytest.raises(evolver.UsageError, match=r"seed program fails(.|\n)*no such column"):
        evolver.evolve(SOURCE, evaluate=broken, minimize="error", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ({}, "no metric"),
        ({"error": float("nan")}, "finite"),
        ({"error": "small"}, "not a number"),
        ({"eror": 1.0}, "no metric 'error'"),
        ("3.0", "must return a number, a mapping"),
        (True, "must return a number, a mapping"),
    ],
)
def test_what_is_no_measurement_is_named(tmp_path, returned, said):
    with pytest.raises(evolver.UsageError, match=said):
        evolver.evolve(
            SOURCE, evaluate=lambda candidate: returned, minimize="error", out=tmp_path / "run"
        )


def test_several_objectives_and_conditions(tmp_path):
    def judge(candidate):
        value = candidate.call("f", 1.0)
        return {"a": value, "b": -abs(value), "size": len(candidate.files["program.py"])}

    run = evolver.evolve(
        SOURCE,
        evaluate=judge,
        maximize=["a", "b"],
        require={"size": "<= 200"},
        reference={"a": -100.0, "b": -100.0},
        evaluations=20,
        out=tmp_path / "run",
    )
    assert run.score > 0
    assert all(elite.evaluation.metrics["size"] <= 200 for elite in run.front)
