"""Optimisers: what is measured, that the order changes as networks grow, and what is refused."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed here")

from evolver.bundled import bundled
from evolver.errors import CandidateCrashed, CandidateOutputError, UsageError
from evolver.evaluation.evaluator import guest_files
from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.tasks.plugins import load_module
from evolver.tasks.task import load_task
from evolver.types import Program

FOLDER = bundled("evaluators") / "optimiser"
MODULE = load_module(FOLDER)
TASK = bundled("examples") / "optimiser"
SMALL = {"hidden": (8,), "steps": 40, "seeds": 2, "rates": (0.01, 0.04), "batch": 16}
SEED = (TASK / "optimiser.py").read_text()
TRAIN = "def train(w, g, m, v, lr):\n    return g * lr, m, v\n"
HEAD = "import numpy as np\n\ndef train(w, g, m, v, lr):\n    "


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    settings = SandboxSettings(preload=("numpy",), allow_unisolated=True)
    with closing(LocalSandbox(settings, guest=guest_files(MODULE.Evaluator()))) as opened:
        yield opened


def judge(sandbox: LocalSandbox, source: str, *, seed: int = 3, **settings: Any) -> Any:
    with sandbox.open(Program(0, {"program.py": source.encode()}), seed=seed, timeout=60) as it:
        return MODULE.Evaluator(**{**SMALL, **settings}).evaluate(it)


def trained(sandbox: LocalSandbox, source: str, **settings: Any) -> Any:
    """Have networks trained by a program whose source nobody reads; return course and weights."""
    evaluator = MODULE.Evaluator(**{**SMALL, **settings})
    with sandbox.open(Program(0, {"program.py": source.encode()}), seed=3, timeout=60) as it:
        course = evaluator.course(it.rng)
        return course, evaluator.trained(it, course)


# --- what is measured -----------------------------------------------------------------------------


def test_the_seed_is_what_it_is_compared_with(sandbox: LocalSandbox) -> None:
    result = judge(sandbox, SEED)
    assert result.metrics["gained"] == 0.0
    assert result.private["held_out_gained"] == 0.0
    assert result.metrics["loss"] < np.log(10)
    assert result.metrics["rate"] in SMALL["rates"]
    assert "0.01 " in result.feedback


@pytest.mark.parametrize("name", ["lion", "sgd", "sign"])
def test_the_known_ones_train_in_the_sandbox_as_they_do_here(
    sandbox: LocalSandbox, name: str
) -> None:
    source = (FOLDER / "known" / f"{name}.py").read_text()
    course, weights = trained(sandbox, source)
    train = load_module(FOLDER / "known" / f"{name}.py").train
    assert np.abs(course.taken_by(train) - weights).max() < 1e-5


def test_a_draw_is_new_for_each_evaluation(sandbox: LocalSandbox) -> None:
    half = SEED.replace("update * lr", "update * lr * 0.5")
    one, same, other = (judge(sandbox, half, seed=seed).metrics for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert one["gained"] != 0


def test_numbers_stand_for_arrays(sandbox: LocalSandbox) -> None:
    result = judge(sandbox, HEAD + "return np.sign(g) * lr, 0, np.float64(1.5)\n")
    assert np.isfinite(result.metrics["gained"])


def test_the_best_are_measured_again_over_more_seeds(sandbox: LocalSandbox) -> None:
    evaluator = MODULE.Evaluator(**{**SMALL, "seeds": 1, "confirm_seeds": 3})
    program = Program(0, {"p.py": SEED.replace("update * lr", "update * lr * 0.5").encode()})
    found = []
    for measure in (evaluator.evaluate, evaluator.confirm, replace(evaluator, seeds=3).evaluate):
        with sandbox.open(program, seed=3, timeout=60) as candidate:
            found.append(measure(candidate).metrics["gained"])
    assert found[0] != found[1] == found[2]


def test_gradients_are_those_of_the_loss() -> None:
    guest, rng = MODULE.guest, np.random.default_rng(1)
    widths = (5, 4, 6, 3)
    count = sum(m * n for m, n in guest.shapes(widths))
    weights = rng.normal(size=(2, count))
    inputs, labels = rng.normal(size=(2, 7, 5)), rng.integers(3, size=(2, 7))

    def losses(at: Any) -> Any:
        _, logits = guest.forward(guest.matrices(at, widths), inputs)
        right = np.take_along_axis(logits, labels[:, :, None], axis=2)[:, :, 0]
        return (np.log(np.exp(logits).sum(axis=2)) - right).mean(axis=1)

    found = guest.gradients(weights, widths, inputs, labels)
    for step in 1e-6 * np.eye(count)[rng.permutation(count)[:20]]:
        slope = (losses(weights + step) - losses(weights - step)) / 2e-6
        assert found @ step / 1e-6 == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_parts_and_rates_of_a_course() -> None:
    course = MODULE.Evaluator(**SMALL, noise=0.0).course(Random(1))
    parts = (course.train, course.validation, course.held_out)
    assert [len(part.labels) for part in parts] == [1079, 4 * 359, 4 * 359]
    assert len({row.round(3).tobytes() for part in parts for row in part.inputs}) == 1797
    for part in parts:
        counts = np.bincount(part.labels, minlength=10) / len(part.labels)
        assert counts.min() > 0.09
    assert (course.weights[0] == course.weights[1]).all()
    assert (course.weights[0] != course.weights[2]).any()
    factors = [factor for stretch in course.stretches for factor in stretch.factors]
    assert len(factors) == 40
    assert factors[0] == 1
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] < 0.01


def test_programs_that_compute_the_same_give_the_same_to_a_probe(sandbox: LocalSandbox) -> None:
    def probed(source: str) -> Any:
        program = Program(0, {"program.py": source.encode()})
        with sandbox.open(program, seed=1, timeout=60) as candidate:
            return [array.tolist() for array in MODULE.Evaluator().probe(candidate)]

    assert probed(SEED) == probed(SEED.replace("np.square(g)", "g * g"))
    assert probed(SEED) != probed(SEED.replace("0.999", "0.998"))


# --- the funnel -----------------------------------------------------------------------------------


def test_the_stages_grow() -> None:
    settings = load_task(TASK).settings
    stages = [MODULE.Evaluator(**{**settings.evaluator.with_, **s.with_}) for s in settings.stage]
    sizes = [len(stage.course(Random(1)).start[0]) * stage.steps for stage in stages]
    assert sizes[1] > 4 * sizes[0]
    assert sizes[2] > 4 * sizes[1]


@pytest.mark.slow
def test_the_order_changes_as_networks_grow() -> None:
    settings = load_task(TASK).settings
    first, second, _ = settings.stage
    ahead = []
    for stage, rates in ((first, (0.0064, 0.0128)), (second, (0.0016, 0.0032))):
        with_ = {**settings.evaluator.with_, **stage.with_, "seeds": 4}
        lion, sign = (
            losses(name, MODULE.Evaluator(**{**with_, "rates": (rate,)}))
            for name, rate in zip(("lion", "sign"), rates, strict=True)
        )
        ahead.append(lion - sign)
    assert ahead[0] > 0.03  # in logarithms: signSGD is better by 3 percent, and then Lion is
    assert ahead[1] < -0.03


def losses(name: str, evaluator: Any) -> float:
    """Return the logarithm of the loss of a known optimiser at the only learning rate."""
    course = evaluator.course(Random(1))
    train = load_module(FOLDER / "known" / f"{name}.py").train
    return float(course.losses(course.taken_by(train)).validation.mean())


def test_the_stored_table_shows_it() -> None:
    with (FOLDER / "measured.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    order = {stage: [row["optimiser"] for row in rows if row["stage"] == stage] for stage in "ABCD"}
    assert {tuple(sorted(names)) for names in order.values()} == {("adamw", "lion", "sgd", "sign")}
    for stage in "ABCD":
        found = [float(row["loss"]) for row in rows if row["stage"] == stage]
        assert found == sorted(found)
    assert order["A"].index("sign") < order["A"].index("lion")
    assert order["D"].index("sign") > order["D"].index("lion")


def test_the_records_are_those_of_the_last_stage() -> None:
    settings = load_task(TASK).settings
    records = MODULE.Evaluator(**settings.evaluator.with_).references()
    assert records["AdamW, without the correction of bias"] == [{"gained": 0.0}]
    assert records["Lion"][0]["gained"] < 0
    own = {**settings.evaluator.with_}
    for name, other in {
        "hidden": (3,), "steps": 9, "batch": 9, "noise": 0.0, "rates": (1.0,)
    }.items():  # fmt: skip
        assert MODULE.Evaluator(**{**own, name: other}).references() == {}


# --- what is refused ------------------------------------------------------------------------------

COUNTING = """
import numpy as np

calls = [0]

def train(w, g, m, v, lr):
    calls[0] += 1
    return (g if calls[0] % 3 else -g) * lr, m, v
"""
THIRD_BUFFER = """
import numpy as np

kept = {}

def train(w, g, m, v, lr):
    key = float(m.flat[0])  # whose buffer it is
    if key == 0:
        key = float(len(kept) + 1)
    last = kept.get(key, np.zeros_like(w))
    kept[key] = 0.9 * last + g
    return kept[key] * lr, np.full_like(m, key), v
"""
REMEMBERED = """
kept = {}

def train(w, g, m, v, lr):
    key = w.tobytes() + g.tobytes() + m.tobytes()  # the same answer to the same question
    kept.setdefault(key, 1 + len(kept) % 3)
    return g * lr * kept[key], m, v
"""
SHARED = """
import guest

step = guest.step

def forged(found, rates):
    found[:] = found.mean(axis=0)  # a step of all networks' batches
    return step(found, rates)

guest.step = forged

def train(w, g, m, v, lr):
    return 0.05 * g, m, v
"""


@pytest.mark.parametrize(
    "source",
    [COUNTING, THIRD_BUFFER, REMEMBERED, SHARED],
    ids=["a count of calls", "a third buffer", "remembered", "shared"],
)
def test_weights_that_do_not_follow_from_the_updates_are_refused(
    sandbox: LocalSandbox, source: str
) -> None:
    with pytest.raises(CandidateOutputError, match="lead to other weights"):
        trained(sandbox, source)
    with pytest.raises(CandidateOutputError, match="is not allowed"):
        judge(sandbox, source)


FROM_INFINITY = """
import guest
import numpy as np

def forged(found, rates):
    return np.full_like(found, np.inf if rates[-1] > 0.02 else 0.5)

guest.step = forged

def train(w, g, m, v, lr):
    return g * lr, m, v
"""


def test_what_went_through_infinity_has_diverged_for_good(sandbox: LocalSandbox) -> None:
    course, weights = trained(sandbox, FROM_INFINITY)
    assert not np.isfinite(weights).all(axis=1).any()
    assert np.isinf(course.losses(weights).validation).all()


JUMP = """
import gc
import sys

import guest
import numpy as np

def reached():
    frame = sys._getframe()
    while frame is not None:
        yield from frame.f_locals.values()
        yield from frame.f_globals.values()
        frame = frame.f_back
    yield from gc.get_objects()

def arrays(value, depth=3):
    if isinstance(value, np.ndarray):
        yield value
    elif depth and isinstance(value, (list, tuple)):
        for part in value:
            yield from arrays(part, depth - 1)
    elif depth and hasattr(value, "__dict__"):
        for part in vars(value).values():
            yield from arrays(part, depth - 1)

def train(w, g, m, v, lr):
    found = any(
        64 in array.shape[1:] or array.dtype.kind == "i" and array.size > 16
        for value in reached() for array in arrays(value)
    )
    return g * lr, np.full_like(m, found), v
"""


@pytest.mark.parametrize("more", ["", "an_image = np.zeros((1, 64))\n"])
def test_no_image_and_no_label_can_be_reached_from_the_function(
    sandbox: LocalSandbox, more: str
) -> None:
    evaluator = MODULE.Evaluator(**{**SMALL, "steps": 2, "rates": (0.01,)})
    with sandbox.open(Program(0, {"p.py": (JUMP + more).encode()}), seed=3, timeout=60) as it:
        course = evaluator.course(it.rng)
        training = MODULE.guest.Training(*course.arguments)
        asked = MODULE.Asked(it, "train", training)
        asked.begin(training.weights)
        training.advance(asked, *course.stretches[0])
        asked.end()
    assert asked.buffers[0].any() == bool(more)


@pytest.mark.parametrize(
    "forged",
    ["weights[:, :5]", "weights.astype('f8')", "None", "[weights]", "'no'"],
)
def test_what_is_no_update_is_refused(sandbox: LocalSandbox, forged: str) -> None:
    source = (
        "import guest\n\ndef forged(found, rates):\n    weights = found\n"
        f"    return {forged}\n\nguest.step = forged\n" + TRAIN
    )
    with pytest.raises(CandidateOutputError, match=r"must be|not usable"):
        trained(sandbox, source)


def test_chance_is_refused(sandbox: LocalSandbox) -> None:
    with pytest.raises(CandidateOutputError, match="use no random numbers"):
        judge(sandbox, HEAD + "return g * lr * (id(g) // 64 % 3), m, v\n")


def test_weights_that_were_found_elsewhere_are_of_no_use(sandbox: LocalSandbox) -> None:
    course, weights = trained(sandbox, SEED)
    arrays = [layer[1].tolist() for layer in MODULE.guest.matrices(weights, course.widths)]
    source = f"import numpy as np\nFOUND = {arrays}\n"
    source = source.replace("[", "(").replace("]", ",)").replace(",,", ",") + (
        "def train(w, g, m, v, lr):\n"
        "    found = [each for each in FOUND if len(each) == len(w)][0]\n"
        "    return (w - np.array(found)) * 0.5, m, v\n"
    )
    here = course.losses(weights).mean().validation.min()
    elsewhere = judge(sandbox, source, seed=4).metrics["loss"]
    assert here < np.log(2.0)
    assert elsewhere > 2.0


def test_no_image_and_no_label_goes_into_the_sandbox(sandbox: LocalSandbox) -> None:
    class Watched:
        def __init__(self, candidate: Any) -> None:
            self.candidate, self.sent = candidate, []

        def __getattr__(self, name: str) -> Any:
            return getattr(self.candidate, name)

        def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
            self.sent += args
            return self.candidate.call(function, *args, **kwargs)

    evaluator = MODULE.Evaluator(**SMALL)
    with sandbox.open(Program(0, {"p.py": SEED.encode()}), seed=3, timeout=60) as candidate:
        watched = Watched(candidate)
        course = evaluator.course(candidate.rng)
        evaluator.trained(watched, course)
    sent = [each for each in watched.sent if isinstance(each, np.ndarray)]
    assert {array.shape[1] for array in sent} == {course.weights.shape[1]}
    assert all(np.isfinite(array).all() and array.dtype == np.float32 for array in sent)
    others = [each for each in watched.sent if not isinstance(each, np.ndarray)]
    rates = {rate * factor for rate in SMALL["rates"] for s in course.stretches for factor in s[1]}
    for each in others:
        assert each in ("train", course.widths) or set(each) <= rates


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return g * lr", "a tuple of three"),
        ("return g * lr, m", "a tuple of three"),
        ("return None", "a tuple of three"),
        ("return (g * lr).tolist(), m, v", "update must be an array"),
        ("return g[:1] * lr, m, v", "update must be real numbers of the shape"),
        ("return g * lr, m.T, v", "m must be real numbers of the shape"),
        ("return g * lr, m, v > 0", "v must be real numbers"),
        ("return g * 1j, m, v", "update must be real numbers"),
        ("return g * np.inf, m, v", "diverged at every learning rate"),
        ("return -1e6 * g, m, v", "diverged at every learning rate"),
    ],
)
def test_updates_that_are_none_are_refused(sandbox: LocalSandbox, body: str, reason: str) -> None:
    with pytest.raises(CandidateOutputError, match=reason):
        judge(sandbox, HEAD + body + "\n")


@pytest.mark.parametrize("body", ["w -= g\n    return g, m, v", "m *= 0.9\n    return m, m, v"])
def test_what_is_given_may_not_be_written_to(sandbox: LocalSandbox, body: str) -> None:
    with pytest.raises(CandidateCrashed, match="read-only"):
        judge(sandbox, HEAD + body + "\n")


def test_one_rate_that_diverges_is_no_more_than_a_bad_rate(sandbox: LocalSandbox) -> None:
    result = judge(
        sandbox, SEED.replace("update * lr", "update * lr * (1.0 if lr < 0.02 else 1e9)")
    )
    assert result.metrics["rate"] == 0.01


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import sys\n", "importing sys"),
        ("import sklearn.datasets\n", "importing sklearn.datasets"),
        ("from guest import advance\n", "importing guest"),
        ("from . import guest\n", "importing ."),
        ("import numpy as np\nx = np.random.random()\n", "outside a function"),
        ("import numpy as n\ndef f():\n    return n.random.random()\n", "numpy.random"),
        ("import numpy as n\nm = n\n", "numpy as a value"),
        ("import numpy as n\ndef f():\n    m = n.linalg\n", "numpy.linalg as a value"),
        ("from numpy import linalg as n\ndef f():\n    m = n\n", "numpy.linalg as a value"),
        ("from numpy import random\n", "numpy.random"),
        ("from numpy import *\n", r"\* is not"),
        ("import numpy as np\ndef f():\n    return np.load('x')\n", "load"),
        ("kept = []\n", "outside a function"),
        ("kept = {}\n", "outside a function"),
        ("def f(kept=[]):\n    return kept\n", "a default value"),
        ("f = lambda kept=[]: kept\n", "outside a function"),
        ("def f(g):\n    global x\n    x = g\n", "global"),
        ("def f(g):\n    f.x = g\n", "attribute x"),
        ("def f(g):\n    return g.base\n", "base"),
        ("def f(g):\n    g.flags.writeable = True\n", "attribute writeable"),
        ("def f(g):\n    return g.__class__\n", "__class__"),
        ("def f(g):\n    return open('x')\n", "open"),
        ("def f(g):\n    return getattr(g, 'ba' + 'se')\n", "getattr"),
        ("class A:\n    x = 1\n", "outside a function"),
        ("def f():\n    yield 1\n", "generator"),
        ("import numpy as np\n@np.vectorize\ndef f(x):\n    return x\n", "decorator"),
        ("print(1)\n", "outside a function"),
        (
            "def f(g):\n    match g:\n        case int(__class__=c):\n            return c\n",
            "match",
        ),
        ("def f(:\n", "not valid Python"),
    ],
)
def test_what_could_remember_is_not_read_further(source: str, reason: str) -> None:
    with pytest.raises(CandidateOutputError, match=reason):
        MODULE.LANGUAGE.check({"optimiser.py": (source + TRAIN).encode()})


@pytest.mark.parametrize(
    "source",
    [
        SEED,
        '"""A page."""\nimport math\nfrom numpy import sign\nB = (0.9, -math.pi / 2)\n' + TRAIN,
        "import numpy as np\ndef f(g, n=3):\n    x = np.linalg.norm(g)\n    for _ in range(n):\n"
        "        x = x + 1 if x > 0 else x\n    y = [x]\n    y[0] = 2\n    return y\n" + TRAIN,
    ],
)
def test_what_computes_may_pass(source: str) -> None:
    MODULE.LANGUAGE.check({"optimiser.py": source.encode()})


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"rates": ()}, "rates"),
        ({"rates": (0.1, 0.0)}, "rates"),
        ({"steps": 0}, "steps is 0"),
        ({"seeds": 0}, "seeds is 0"),
        ({"hidden": (8, 0)}, "hidden is 0"),
    ],
)
def test_settings_that_are_none_are_named(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        MODULE.Evaluator(**settings)
