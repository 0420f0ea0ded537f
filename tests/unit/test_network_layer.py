"""Layers and activations: the two protocols tell good from bad, and a formula is all that runs."""

from __future__ import annotations

import asyncio
import math
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from fake_candidate import InProcessCandidate

from evolver.bundled import bundled
from evolver.errors import CandidateOutputError, UsageError
from evolver.evaluation.evaluator import EvaluatorSource, guest_files
from evolver.operators.genetic import Mutate
from evolver.programs import literals
from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.tasks.plugins import configure, load_module
from evolver.tasks.task import load_task
from evolver.types import Context, Elite, Evaluation, Files, Program

FOLDER = bundled("evaluators") / "network_layer"
GUEST = FOLDER / "guest.py"
LAYERS = {
    "BN-ReLU": "max((x - mean_bwh(x)) / std_bwh(x) * gamma + beta, 0)",
    "EvoNorm-B0": "x / max(std_bwh(x), v * x + std_wh(x)) * gamma + beta",
    "EvoNorm-S0": "x * sigmoid(v * x) / std_group(x) * gamma + beta",
    "exp": "exp(x) * gamma + beta",
    "square": "square(x) * gamma + beta",
    "zero": "0 * x",
    "ReLU": "max(x, 0) * gamma + beta",
    "identity": "x * gamma + beta",
}


@cache
def module() -> Any:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed here")
    return load_module(FOLDER)


@cache
def torch() -> Any:
    """Return torch with one thread, as in a sandbox: two wait for each other on a busy machine."""
    found = pytest.importorskip("torch", reason="torch is not installed here")
    found.set_num_threads(1)
    return found


@cache
def guest() -> Any:
    torch()
    return load_module(GUEST)


def layer(expression: str, *lines: str) -> str:
    body = "".join(f"    {line}\n" for line in (*lines, f"return {expression}"))
    return f"def layer(x, v, gamma, beta):\n{body}"


def judge(source: str, **settings: Any) -> Any:
    torch()
    settings = {"rates": [0.15], **settings}
    return module().Evaluator(**settings).evaluate(InProcessCandidate(source, guest=GUEST, seed=3))


def quality(name: str, *anchors: str) -> float:
    worst: float = judge(layer(LAYERS[name]), anchors=anchors, steps=100).metrics["worst"]
    return worst


def gradient(name: str, *anchors: str) -> float:
    settings = {"protocol": "stability", "anchors": anchors, "steps": 100}
    result = judge(layer(LAYERS[name]), **settings)
    assert anchors[-1] in result.feedback
    found: float = result.metrics["gradient"]
    return found


# --- the protocols --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BN-ReLU", "EvoNorm-B0", "EvoNorm-S0"])
def test_what_is_known_to_be_good_passes_both(name: str) -> None:
    assert quality(name, "plain", "residual", "mobile") > 0.2
    assert gradient(name, "plain", "residual", "mobile") < 1e4


@pytest.mark.parametrize("name", ["exp", "square"])
def test_what_diverges_fails_the_test_of_quality(name: str) -> None:
    with pytest.raises(CandidateOutputError, match="the plain anchor diverges"):
        quality(name, "plain")


@pytest.mark.slow
def test_what_learns_nothing_fails_the_test_of_quality() -> None:
    assert quality("zero", "plain") < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ReLU", "identity"])
def test_what_does_not_normalise_fails_the_test_of_stability(name: str) -> None:
    assert gradient(name, "plain") > 1e8
    assert quality(name, "plain") > 0.2  # which this one would not tell


@pytest.mark.slow
def test_a_sigmoid_that_overflows_is_told_from_one_that_does_not() -> None:
    large = "1000 * x"
    stable = layer("y * sigmoid(v * y) / std_group(y) * gamma + beta", f"y = {large}")
    naive = layer("y / (1 + exp(-v * y)) / std_group(y) * gamma + beta", f"y = {large}")
    assert judge(stable, anchors=["plain"], steps=100).metrics["accuracy"] > 0.2
    with pytest.raises(CandidateOutputError, match="the plain anchor diverges"):
        judge(naive, anchors=["plain"], steps=100)


def test_what_has_no_slope_to_climb_is_not_stable_for_that() -> None:
    source = layer("y * y * 0.3 + 1e-9 * (y * 0.0) ** 1.5", "y = x * gamma + beta")
    settings = {"protocol": "stability", "anchors": ["plain"], "steps": 100}
    assert judge(source, **settings).metrics["gradient"] > 1e8


def test_what_is_zero_has_no_gradient_to_climb() -> None:
    assert gradient("zero", "plain") == 0


# --- what a training gives ------------------------------------------------------------------------


@pytest.mark.slow
def test_longer_training_tells_more() -> None:
    short, long = (
        judge(layer(LAYERS["BN-ReLU"]), anchors=["plain"], steps=steps) for steps in (5, 150)
    )
    assert long.metrics["accuracy"] > short.metrics["accuracy"] + 0.2
    assert long.metrics["loss"] < short.metrics["loss"]
    assert abs(long.private["held_out_accuracy"] - long.metrics["accuracy"]) < 0.1
    assert "plain" in long.feedback


def test_the_best_of_the_learning_rates_counts() -> None:
    settings = {"anchors": ["plain"], "steps": 30}
    both, good = (
        judge(layer(LAYERS["EvoNorm-S0"]), **settings, rates=rates) for rates in ([1e4, 0.1], [0.1])
    )
    assert both.metrics == good.metrics
    assert both.private == good.private
    assert both.metrics["rate"] == 0.1


def test_activations_follow_a_normalisation() -> None:
    source = "def activation(x, a):\n    return max(x, 0) + (0.01 + a) * x * exp(-x * x / 2)\n"
    settings = {"part": "activation", "anchors": ["residual"], "steps": 12}
    assert judge(source, **settings).metrics["accuracy"] > 0.1
    result = judge(source, **settings, protocol="stability")
    assert 0 < result.metrics["gradient"] < 1e4


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("exp(x * x)", "its value at x = -30, a = 0"),
        ("sqrt(abs(x))", "its derivative at x = 0"),
        ("log(x)", "its value"),
    ],
)
def test_an_activation_is_finite(expression: str, reason: str) -> None:
    with pytest.raises(CandidateOutputError, match=reason):
        judge(f"def activation(x, a):\n    return {expression}\n", part="activation")


# --- formulas -------------------------------------------------------------------------------------


def answer(source: str, x: Any, *others: Any) -> Any:
    formula = guest().Formula(source)
    return formula, formula(*map(torch().as_tensor, (x, *others))).numpy()


AXES = {"wh": (2, 3), "whc": (1, 2, 3), "bwh": (0, 2, 3)}


@pytest.mark.parametrize("axes", AXES)
def test_moments_are_those_of_numpy(axes: str) -> None:
    guest()
    x = np.random.default_rng(1).normal(3, 2, (4, 8, 5, 5)).astype(np.float32)
    for name, expected in {
        "mean": x.mean(AXES[axes], keepdims=True),
        "std": x.std(AXES[axes], keepdims=True),
        "rms": np.sqrt((x**2).mean(AXES[axes], keepdims=True)),
    }.items():
        _, found = answer(f"def layer(x):\n    return {name}_{axes}(x)\n", x)
        assert np.allclose(found, np.broadcast_to(expected, x.shape), rtol=1e-4), name


def test_a_group_is_a_fourth_of_the_channels() -> None:
    guest()
    x = np.random.default_rng(1).normal(3, 2, (4, 8, 5, 5)).astype(np.float32)
    _, found = answer("def layer(x):\n    return mean_group(x)\n", x)
    assert np.allclose(found[:, 2:4], x[:, 2:4].mean((1, 2, 3), keepdims=True), rtol=1e-5)
    assert found.shape == x.shape
    _, alone = answer("def layer(x):\n    return std_group(x)\n", x[:, :3])  # no fourth of three
    assert np.allclose(alone, x[:, :3].std((1, 2, 3), keepdims=True), rtol=1e-4)


def test_when_tested_no_image_hangs_on_the_others() -> None:
    guest()
    x = np.random.default_rng(1).normal(3, 2, (40, 8, 5, 5)).astype(np.float32)
    formula, _ = answer("def layer(x):\n    return x - mean_bwh(x) + std_bwh(x * x)\n", x)
    for seed in range(60):
        drawn = np.random.default_rng(seed).normal(3, 2, x.shape).astype(np.float32)
        formula(torch().as_tensor(drawn))
    formula.trains = False
    together, alone = (formula(torch().as_tensor(x[:n])).numpy() for n in (40, 1))
    assert np.array_equal(together[:1], alone)
    assert np.allclose(together, x - 3 + np.std(drawn**2), atol=1.0)


@pytest.mark.parametrize("expression", ["1.0", "beta", "mean_wh(2)", "std_bwh(beta)", "exp(0)"])
def test_what_is_smaller_than_an_image_is_spread_over_it(expression: str) -> None:
    torch()
    source = layer(expression)
    found = module().Evaluator().probe(InProcessCandidate(source, guest=GUEST))
    assert found.shape == (6, 8, 4, 4)
    assert np.isfinite(found).all()


def test_the_same_function_has_the_same_fingerprint() -> None:
    torch()
    probe = module().Evaluator().probe

    def of(*lines: str) -> Any:
        return probe(InProcessCandidate(layer(*lines), guest=GUEST))

    first = of(LAYERS["BN-ReLU"])
    assert np.array_equal(first, of("max(z, 0.0)", "y = x - mean_bwh(x)", "y = y / std_bwh(x)",
                                    "z = y * gamma + beta"))  # fmt: skip
    assert not np.array_equal(first, of(LAYERS["EvoNorm-B0"]))


def test_both_ends_know_the_same_functions() -> None:
    from_reading = {*module().POINTWISE, *module().MOMENTS}
    moments = {f"{moment}_{axes}" for moment in guest().MOMENTS for axes in guest().AXES}
    assert from_reading == {*guest().POINTWISE, *moments}


# --- the reading ----------------------------------------------------------------------------------


def read(source: str, name: str = "layer") -> str:
    functions = {**module().POINTWISE, **module().MOMENTS}
    text: str = module().read(Forger(None, source), name, 4, functions)
    return text


def test_a_formula_is_written_down_anew() -> None:
    source = '"""A layer."""\n\n' + layer(
        "max(-y ** 2 / +3, 0)  # as it is", '"""Normalises."""', "y = x - (mean_wh(x) + 1e-3)"
    )
    assert read(source) == (
        "def layer(x, v, gamma, beta):\n    y = (x - (mean_wh(x) + 0.001))\n"
        "    return max(((-(y ** 2.0)) / 3.0), 0.0)\n"
    )


def test_the_values_of_its_literals_are_read() -> None:
    candidate = InProcessCandidate(layer("x * 0.5 + 1.5"))
    functions = module().POINTWISE
    assert "((x * 0.25) + 2.0)" in module().read(candidate.at([0.25, 2.0]), "layer", 4, functions)


MODES = "import guest\n" + layer("x if guest.TRAINS else 0 * x")
CHEATS = {
    "an import": "import torch\n" + layer("x"),
    "the guest code": MODES,
    "code beside it": layer("x") + "open('/tmp/x', 'w')\n",
    "a second function": layer("x") + layer("v"),
    "a class": "class Layer:\n    pass\n" + layer("x"),
    "a default": "def layer(x, v, gamma, beta=[]):\n    return x\n",
    "too few arguments": "def layer(x, v, gamma):\n    return x\n",
    "a decorator": "@staticmethod\n" + layer("x"),
    "an attribute": layer("x.data"),
    "a look at the batch": layer("x * len(x)"),
    "a look at the shape": layer("x * x.shape[0]"),
    "an entry": layer("x[0]"),
    "a comparison": layer("x * (x > 0)"),
    "a branch": layer("x if v else 0 * x"),
    "a loop": layer("x", "for y in x: pass"),
    "an assignment in place": layer("x", "x *= 2"),
    "an entry that is set": layer("x", "x[0] = 1"),
    "a walrus": layer("(y := x)"),
    "a lambda": layer("(lambda: x)()"),
    "a global": layer("x", "global seen", "seen = x"),
    "a text": layer("'x'"),
    "a builtin": layer("eval(1)"),
    "a keyword": layer("max(x, y=0)"),
    "a starred argument": layer("max(*x)"),
    "one argument of two": layer("max(x)"),
    "a function as a value": layer("max"),
    "a name that is a function": layer("x", "max = x"),
    "a dunder": layer("x", "__builtins__ = x"),
    "a name before it is there": layer("y", "z = y", "y = x"),
    "a truth": layer("True"),
    "a complex number": layer("x * 1j"),
    "infinity": layer("x * 1e999"),
    "a huge integer": layer(f"x * {10**400}"),
    "no return": "def layer(x, v, gamma, beta):\n    y = x\n",
    "an early return": layer("x", "return v"),
    "nothing": "def layer(x, v, gamma, beta):\n    '''Nothing.'''\n",
    "no Python": "def layer(x:\n",
    "a long formula": layer(" + ".join(["x"] * 300)),
    "a deep one": layer("(" * 150 + "x" + ")" * 150 + "+" * 3000 + "x"),
    "another name": layer("x").replace("layer", "other"),
}


@pytest.mark.parametrize("what", CHEATS)
def test_what_is_no_formula_is_refused(what: str) -> None:
    with pytest.raises(CandidateOutputError):
        read(CHEATS[what])


@pytest.mark.parametrize("source", [MODES, CHEATS["an attribute"]])
def test_the_reason_helps(source: str) -> None:
    with pytest.raises(CandidateOutputError, match=r"mean_wh") as refused:
        module().Evaluator().smoke(InProcessCandidate(source))
    assert "without imports" in str(refused.value) or "line 2" in str(refused.value)


@pytest.mark.parametrize("name", ["normalisation-layer", "activation-function"])
def test_what_mutation_makes_of_a_seed_can_be_read(name: str) -> None:
    task = load_task(bundled("examples") / name)
    (settings,) = (dict(one) for one in task.settings.operator if one["use"] == "mutate")
    del settings["use"], settings["weight"]
    mutate: Any = configure(Mutate, settings, "[[operator]]")
    evaluator = module().Evaluator(**task.settings.evaluator.with_)
    seed = Elite(Program(0, task.files), Evaluation("ok", objectives=(0.0,)))
    for number in range(30):
        context = Context(task.brief, seed, (), Random(number), lambda _: False)
        ((_, source),) = asyncio.run(mutate.propose(context)).files.items()
        evaluator.smoke(Forger(None, source.decode()))


# --- what comes back is checked -------------------------------------------------------------------


class Forger:
    """A candidate whose process says whatever it likes, and keeps what it was told."""

    def __init__(self, answer: Any, source: str = layer("x")) -> None:
        self.files: Files = {"layer.py": source.encode()}
        self.parameters = [one.value for one in literals.find(self.files)]
        self.rng = Random(5)
        self.told: list[Any] = []
        self._answer = answer

    def call(self, function: str, *arguments: Any, **keywords: Any) -> Any:
        self.told += [*arguments, *keywords.values()]
        return self._answer(*arguments) if callable(self._answer) else self._answer


def forged(answer: Any, **settings: Any) -> Any:
    settings = {"anchors": ["plain"], "counts": [40, 30, 20], "rates": [0.1], **settings}
    return module().Evaluator(**settings).evaluate(Forger(answer))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        1.0,
        "accuracy 1",
        [np.zeros((30, 10))],
        [np.zeros((30, 10)), np.zeros((30, 10))],
        [np.zeros((30, 10), np.int64), np.zeros((20, 10), np.int64)],
        [np.zeros((30, 10)).tolist(), np.zeros((20, 10)).tolist()],
        [np.full((30, 10), np.nan), np.zeros((20, 10))],
        [np.zeros((30, 10)), np.full((20, 10), np.inf)],
    ],
)
def test_scores_that_are_none_are_refused(answer: Any) -> None:
    with pytest.raises(CandidateOutputError):
        forged(answer)


def test_all_the_same_is_no_answer() -> None:
    result = forged([np.ones((30, 10)), np.ones((20, 10))])
    assert result.metrics["accuracy"] == 0
    assert result.metrics["loss"] == pytest.approx(math.log(10))
    one = np.zeros((30, 10)), np.zeros((20, 10))
    for scores in one:
        scores[:, 4] = 1e300
    assert forged(one).metrics["accuracy"] == pytest.approx(0.1)


def test_labels_stay_where_the_candidate_is_not() -> None:
    forger = Forger([np.ones((30, 10)), np.ones((20, 10))])
    module().Evaluator(anchors=["plain"], counts=[40, 30, 20]).evaluate(forger)
    arrays = [one for one in forger.told if isinstance(one, np.ndarray)]
    arrays += [each for one in forger.told if isinstance(one, list) for each in one]
    lengths = {(array.dtype.kind, len(array)) for array in arrays}
    assert lengths == {("f", 40), ("i", 40), ("f", 30), ("f", 20)}


@pytest.mark.parametrize(
    "answer",
    [[], [1.0], np.zeros(0), np.zeros(9), np.zeros((2, 2)), np.array([1, 2]),
     np.array([1.0, -1.0]), np.array([1.0, np.nan])],
)  # fmt: skip
def test_norms_that_are_none_are_refused(answer: Any) -> None:
    with pytest.raises(CandidateOutputError):
        forged(answer, protocol="stability", steps=8)


def test_a_gradient_without_bound_is_a_large_number() -> None:
    result = forged(np.array([1.0, np.inf]), protocol="stability")
    assert result.metrics == {"gradient": 1e30}


# --- settings, sandbox ----------------------------------------------------------------------------


def test_what_known_functions_reached_is_told_for_the_settings_that_it_was_measured_with() -> None:
    for name in ("normalisation-layer", "activation-function"):
        task = load_task(bundled("examples") / name)
        settings = task.settings.evaluator.with_
        known = module().Evaluator(**settings).references()
        assert len(known) >= 4
        assert all(0.1 < point["accuracy"] < 1 for (point,) in known.values())
        assert module().Evaluator(**settings, steps=100).references() == {}
    assert "ReLU, here" in known


def test_wrong_settings_are_told() -> None:
    for settings in ({"steps": 0}, {"anchors": []}, {"anchors": ["deep"]}, {"rates": [0.1, 0.0]}):
        with pytest.raises(UsageError):
            EvaluatorSource("network_layer", Path()).load(settings)
    module()
    evaluator: Any = EvaluatorSource("network_layer", Path()).load({"device": "cuda"})
    with pytest.raises(UsageError, match="GPU"):
        evaluator.check_host([])


@pytest.mark.slow
def test_it_runs_in_a_sandbox() -> None:
    torch()
    module()
    evaluator = EvaluatorSource("network_layer", Path()).load({"anchors": ["plain"], "steps": 8})
    sandbox = LocalSandbox(
        SandboxSettings(preload=("numpy", "torch"), memory=2048), guest=guest_files(evaluator)
    )
    raising = layer("x * 1.0") + "raise SystemExit\n"
    try:
        for source in (layer(LAYERS["EvoNorm-B0"]), raising):
            program = Program(1, {"layer.py": source.encode()})
            with sandbox.open(program, seed=1, timeout=60) as candidate:
                if source is raising:  # it is never imported
                    with pytest.raises(CandidateOutputError, match="anything else beside it"):
                        evaluator.evaluate(candidate)
                else:
                    result: Any = evaluator.evaluate(candidate)
                    assert 0 < result.metrics["accuracy"] < 1
    finally:
        sandbox.close()
