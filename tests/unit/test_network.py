"""Networks that are trained: what is measured, what counts as a parameter, what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cifar10_files import write_cifar10
from fake_candidate import InProcessCandidate

from evolver.bundled import bundled
from evolver.errors import (
    CandidateCrashed,
    CandidateError,
    CandidateOutputError,
    CandidateTimeout,
    UsageError,
)
from evolver.programs.edits import find_regions
from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.scoring import datasets
from evolver.tasks.plugins import load_module
from evolver.types import Candidate, Program

GUEST = bundled("evaluators") / "network" / "guest.py"
SEED = bundled("examples") / "network-digits" / "network.py"
SMALL = {"data": "textures", "images": (200, 200, 200), "epochs": 3, "batch": 20, "runs": 1}
#: Learns the spectra of textures; `HEAD` is where a test puts what the scores come from.
SPECTRA = """
import torch
from torch import nn

KEPT = []

def optimiser(parameters, steps):
    found = torch.optim.Adam([*parameters, *KEPT], lr=0.05)
    return found, torch.optim.lr_scheduler.ConstantLR(found, 1.0)

class Spectra(nn.Module):
    def __init__(self, classes):
        super().__init__()
        HEAD

    def forward(self, x):
        power = torch.log1p(torch.fft.rfft2(x).abs()).mean(dim=1)
        power = nn.functional.avg_pool2d(power[:, :, :16], 2).flatten(1)
        power = power - power.mean(dim=1, keepdim=True)
        return RETURNED

def build(channels, size, classes):
    return Spectra(classes)
"""
LINEAR = {"HEAD": "self.head = nn.Linear(128, classes)", "RETURNED": "self.head(power)"}
PLAIN = {
    "HEAD": "self.table = torch.zeros(128, classes, requires_grad=True); KEPT.append(self.table);"
    " self.shift = nn.Parameter(torch.zeros(classes))",
    "RETURNED": "power @ self.table + self.shift",
}


#: Hands on the weights of `Spectra` as integers of which each holds four of six bits.
PACKED = """
class Packed(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.inner = [Spectra(classes)]  # in a list, so that torch does not see it
        self.wide = len(self.flat())
        self.kept = nn.Parameter(torch.zeros(2 + -(-self.wide // 4)), requires_grad=False)
        KEPT.extend(self.inner[0].parameters())

    def flat(self):
        return torch.cat([one.detach().reshape(-1) for one in self.inner[0].parameters()])

    def train(self, mode=True):
        if not mode:
            codes = self.kept[2:].long()[:, None] >> torch.tensor([0, 6, 12, 18]) & 63
            values = codes.reshape(-1)[: self.wide] * self.kept[1] + self.kept[0]
            start = 0
            for one in self.inner[0].parameters():
                one.data = values[start : start + one.numel()].reshape(one.shape)
                start += one.numel()
        return super().train(mode)

    def pack(self):
        flat = self.flat()
        low, step = flat.min(), (flat.max() - flat.min()) / 63
        codes = ((flat - low) / step).round().long()
        codes = torch.cat([codes, codes.new_zeros(-len(codes) % 4)]).reshape(-1, 4)
        whole = (codes << torch.tensor([0, 6, 12, 18])).sum(dim=1).float()
        self.kept.data = torch.cat([torch.stack([low, step]), whole])

    def forward(self, x):
        if self.training:
            self.pack()
        return self.inner[0](x)

def build(channels, size, classes):
    return Packed(classes)
"""


def program(**parts: str) -> str:
    source = SPECTRA
    for name, text in parts.items():
        assert name in source
        source = source.replace(name, text)
    return source


@cache
def module() -> Any:
    torch = pytest.importorskip("torch", reason="torch is not installed here")
    torch.set_num_threads(1)  # as in the sandbox
    return load_module(bundled("evaluators") / "network")


def judge(source: str, kind: type[InProcessCandidate] = InProcessCandidate, **settings: Any) -> Any:
    evaluator = module().Evaluator(**{**SMALL, **settings})
    return evaluator.evaluate(kind(source, guest=GUEST, seed=5))


# --- what is measured -----------------------------------------------------------------------------


def test_a_network_that_learns_is_better_than_chance() -> None:
    result = judge(program(**LINEAR))
    assert 30 < result.metrics["accuracy"] < 100
    assert 30 < result.private["held_out_accuracy"] < 100
    assert result.metrics["accuracy"] < result.metrics["train_accuracy"]
    assert result.metrics["parameters"] == 128 * 10 + 10
    assert "1290 numbers recognise" in result.feedback


def test_the_number_that_is_returned_is_the_mean_of_the_runs() -> None:
    result = judge(program(**LINEAR), runs=2)
    each = [float(word) for word in result.feedback.replace("%", " ").split() if "." in word][:2]
    assert result.metrics["accuracy"] == pytest.approx(np.mean(each), abs=0.06)
    assert each[0] != each[1]


def test_images_and_seeds_are_drawn_anew() -> None:
    evaluator = module().Evaluator(**SMALL)
    found = [
        evaluator.evaluate(InProcessCandidate(program(**LINEAR), guest=GUEST, seed=seed)).metrics
        for seed in (1, 2, 1)
    ]
    assert found[0] == found[2]
    assert found[0] != found[1]


def test_cifar10_is_used_where_its_files_are(tmp_path: Path) -> None:
    settings = {"data": "cifar10", "path": str(write_cifar10(tmp_path)), "images": (60, 20, 20)}
    assert judge(program(**LINEAR), **settings).metrics["accuracy"] < 60  # they are but noise


# --- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ("self.register_buffer('table', torch.zeros(100))", 100),
        ("self.norm = nn.BatchNorm2d(7)", 4 * 7),  # weight, bias, running mean and variance
        ("self.short = nn.Parameter(torch.zeros(3).half())", 3),
        ("self.twice = nn.Parameter(torch.zeros(5)); self.again = self.twice", 10),
    ],
)
def test_all_that_training_hands_on_counts(more: str, count: int) -> None:
    source = program(HEAD=f"{LINEAR['HEAD']}; {more}", RETURNED=LINEAR["RETURNED"])
    assert judge(source, epochs=1).metrics["parameters"] == 1290 + count


def test_what_is_kept_in_plain_tensors_is_lost() -> None:
    hidden = judge(program(**PLAIN))
    assert hidden.metrics["parameters"] == 10
    assert hidden.metrics["accuracy"] < 22  # of ten classes, by no more than chance
    honest = PLAIN["HEAD"].replace("torch.zeros(128, classes, requires_grad=True)",
                                   "nn.Parameter(torch.zeros(128, classes))")  # fmt: skip
    honest = honest.replace("KEPT.append(self.table)", "pass")
    assert judge(program(HEAD=honest, RETURNED=PLAIN["RETURNED"])).metrics["accuracy"] > 30


def exact(source: str) -> float:
    """Return the accuracy, in percent, where the numbers are handed on as they are."""
    evaluator = module().Evaluator(**SMALL)
    candidate = InProcessCandidate(source, guest=GUEST, seed=5)
    data = datasets.textures(3, 200, 200, 200)
    numbers = evaluator._train(candidate, data.train.inputs, data.train.labels, 10, 3, 20)
    found = evaluator._predict(candidate, numbers, data.validation.inputs, 10)
    return 100.0 * float((found == data.validation.labels).mean())


def test_one_number_holds_no_four() -> None:
    """Weights of six bits, four in each number as integers that float32 holds exactly."""
    packed = program(**LINEAR) + PACKED
    assert exact(packed) > 30
    lost = judge(packed).metrics
    assert lost["parameters"] == 2 + -(-1290 // 4)
    assert lost["accuracy"] < 22


def test_what_a_program_says_that_it_holds_is_not_asked() -> None:
    silent = program(**LINEAR) + "Spectra.state_dict = lambda self, *_, **__: {}\n"
    assert judge(silent, epochs=1).metrics["parameters"] == 1290


def test_random_numbers_that_do_not_count_are_others_in_prediction() -> None:
    head = "self.table = {}; self.head = nn.Linear(40, classes)"
    drawn = "torch.randn(128, 40) / 11"
    returned = "self.head((power @ self.table).relu())"
    counted = f"nn.Parameter({drawn})"
    assert judge(program(HEAD=head.format(counted), RETURNED=returned)).metrics["accuracy"] > 30
    with pytest.raises(CandidateOutputError, match="nor on chance"):
        judge(program(HEAD=head.format(drawn), RETURNED=returned))


def test_predictions_that_ignore_the_images_are_worth_a_class() -> None:
    constant = judge(
        program(HEAD="self.a = nn.Parameter(torch.zeros(classes))", RETURNED="self.a + 0 * x.mean()"
                " + 0 * power[:, :1]")
    )  # fmt: skip
    assert constant.metrics["accuracy"] == pytest.approx(10.0)
    assert constant.private["held_out_accuracy"] == pytest.approx(10.0)


# --- what never enters ----------------------------------------------------------------------------


class Recorder(InProcessCandidate):
    """Remembers what is asked of it."""

    asked: list[tuple[str, tuple[Any, ...]]] = []  # noqa: RUF012 - of one test

    def call(self, function: str, *args: Any, timeout: Any = None, **kwargs: Any) -> Any:
        self.asked.append((function, args))
        return super().call(function, *args, timeout=timeout, **kwargs)

    def restart(self) -> None:
        self.asked.append(("restart", ()))


def test_only_labels_of_training_enter_and_each_step_has_a_process_of_its_own() -> None:
    Recorder.asked = []
    judge(program(**LINEAR), Recorder, runs=2, epochs=1)
    once = ["guest:train", "restart", "guest:predict", "restart", "guest:predict"]
    assert [name for name, _ in Recorder.asked] == [*once, "restart", *once]
    rng = InProcessCandidate("x = 1\n", seed=5).rng
    dataset = datasets.textures(rng.getrandbits(63), 200, 200, 200)
    for name, arguments in Recorder.asked[: len(once)]:
        wide = [one for one in arguments if isinstance(one, np.ndarray)]
        labels = [one for one in wide if one.dtype.kind == "i"]
        if name == "guest:train":
            assert (labels[0] == dataset.train.labels).all()
            assert (wide[0] == dataset.train.inputs).all()
        else:
            assert labels == []
    asked = Recorder.asked[2][1][1]
    assert asked.shape == (600, 3, 32, 32)
    # About one in three images is of validation, and one in 600 of all stays in its place.
    assert (asked[:200] == dataset.validation.inputs).all(axis=(1, 2, 3)).sum() < 5


def test_a_network_that_looks_at_other_images_is_refused() -> None:
    by_place = program(
        HEAD=LINEAR["HEAD"],
        RETURNED="self.head(power) + 99 * nn.functional.one_hot(torch.arange(len(x)) % 10, 10)",
    )
    with pytest.raises(CandidateOutputError, match="among other images"):
        judge(by_place, epochs=1)


def test_statistics_of_the_other_images_are_refused_each_time() -> None:
    source = program(
        HEAD=f"{LINEAR['HEAD']}; self.norm = nn.BatchNorm1d(128, track_running_stats=STATS)",
        RETURNED="self.head(self.norm(power))",
    )
    honest = source.replace("STATS", "True")
    assert judge(honest, epochs=1).metrics["parameters"] == 1290 + 4 * 128
    evaluator = module().Evaluator(**SMALL)
    for seed in range(4):
        candidate = InProcessCandidate(source.replace("STATS", "False"), guest=GUEST, seed=seed)
        with pytest.raises(CandidateOutputError, match="track_running_stats=True"):
            evaluator.evaluate(candidate)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("from sklearn.datasets import load_digits", "sklearn"),
        ("import sklearn", "sklearn"),
        ("import numpy", "numpy"),
        ("from . import network", "not allowed"),
        ("__import__('sklearn')", "__import__"),
        ("DATA = torch.load('x')", "load is not"),
        ("torch.hub.load('a', 'b')", "not allowed"),
        ("from torch import hub", "hub is not"),
        ("torch.os.system('true')", "not allowed"),
        ("open('labels.txt')", "open is not"),
        ("getattr(torch, 'o' + 's')", "getattr is not"),
        ("().__class__", "__class__ is not"),
        ("torch.manual_seed(1)", "random numbers are the evaluator's"),
        ("G = torch.Generator()", "random numbers are the evaluator's"),
        (f"W = {'w' * 101!r}", "weights are learnt"),
        (f"W = {[0.5] * 201}", "weights are learnt"),
        ("torch.nn.functional.cross_entropy = len", "cross_entropy of torch"),
        ("match ():\n    case torch.Tensor(data=x):\n        pass", "class pattern"),
        ("def f(:", "not valid Python"),
    ],
)
def test_other_data_and_seeds_of_its_own_are_refused(line: str, reason: str) -> None:
    with pytest.raises(CandidateOutputError, match=reason):
        module().LANGUAGE.check({"network.py": f"{program(**LINEAR)}\n{line}\n".encode()})


# --- what comes back ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "answer", "reason"),
    [
        ("guest:train", np.zeros(5), "float32"),
        ("guest:train", np.zeros((5, 2), np.float32), "float32"),
        ("guest:train", [0.0], "float32"),
        ("guest:train", np.full(5, np.inf, np.float32), "not finite"),
        ("guest:predict", np.zeros(3, np.int64), "predictions must have the shape"),
        ("guest:predict", np.full(600, 0.5), "predictions must be integers"),
        ("guest:predict", "all of them", "predictions must be an array"),
    ],
)
def test_what_the_guest_may_forge_is_checked(function: str, answer: Any, reason: str) -> None:
    class Forger(InProcessCandidate):
        def call(self, name: str, *args: Any, timeout: Any = None, **kwargs: Any) -> Any:
            usual = {"guest:train": np.zeros(5, np.float32), "guest:predict": np.zeros(600, int)}
            return answer if name == function else usual[name]

    with pytest.raises(CandidateOutputError, match=reason):
        judge(program(**LINEAR), Forger)


def test_a_network_that_overflows_is_told_so() -> None:
    with pytest.raises(CandidateOutputError, match="lower the learning rate"):
        judge(program(HEAD=LINEAR["HEAD"], RETURNED="self.head(power) / 0.0"))


def test_a_network_of_another_size_in_prediction_is_refused() -> None:
    source = program(
        HEAD="self.head = nn.Linear(128, classes); self.more = nn.Parameter(torch.zeros(DRAWN))",
        RETURNED=LINEAR["RETURNED"],
    ).replace("KEPT = []", "KEPT = []\nDRAWN = int(torch.rand(1) * 10**6)")
    with pytest.raises(CandidateCrashed, match="but training returned"):
        judge(source, epochs=1)


# --- the seed, in the sandbox ---------------------------------------------------------------------


@contextmanager
def sandboxed(source: bytes, seed: int = 3) -> Iterator[Candidate]:
    settings = SandboxSettings(preload=("numpy", "torch"), memory=2048, allow_unisolated=True)
    sandbox = LocalSandbox(settings, guest={"guest.py": GUEST.read_bytes()})
    try:
        with sandbox.open(Program(1, {"network.py": source}), seed=seed, timeout=100) as candidate:
            yield candidate
    finally:
        sandbox.close()


@pytest.mark.slow
def test_the_seed_learns_digits_in_the_sandbox() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed here")
    settings = {"data": "digits", "images": (600, 300, 300), "epochs": 4, "batch": 30, "runs": 1}
    evaluator = module().Evaluator(**settings)
    with sandboxed(SEED.read_bytes()) as candidate:
        evaluator.smoke(candidate)
    with sandboxed(SEED.read_bytes()) as candidate:
        result = evaluator.evaluate(candidate)
    assert result.metrics["accuracy"] > 50
    assert result.metrics["parameters"] == 5290


@pytest.mark.slow
def test_training_ends_when_its_time_is_over() -> None:
    source = program(HEAD=LINEAR["HEAD"], RETURNED="self.head(self.think(power))")
    source += (
        "\ndef think(self, power):\n    while self.training:\n        power = power.exp().log()\n"
    )
    source += "    return power\nSpectra.think = think\n"
    evaluator = module().Evaluator(**{**SMALL, "seconds": 1.0})
    with sandboxed(source.encode()) as candidate, pytest.raises(CandidateTimeout, match="1 s"):
        evaluator.evaluate(candidate)


@pytest.mark.slow
def test_what_a_process_knew_is_gone_with_it() -> None:
    """The same that a plain tensor loses in this process is lost in the sandbox."""
    evaluator = module().Evaluator(**SMALL)
    with sandboxed(program(**PLAIN).encode()) as candidate:
        result = evaluator.evaluate(candidate)
    assert result.metrics["parameters"] == 10
    assert result.metrics["accuracy"] < 22


def test_the_seed_has_named_regions() -> None:
    regions = find_regions({"network.py": SEED.read_bytes()})
    assert [region.name for region in regions] == [
        "optimiser", "attention", "concentrate", "depthwise", "expand", "network",
    ]  # fmt: skip


def test_a_smoke_run_finds_what_does_not_fit() -> None:
    evaluator = module().Evaluator(data="digits")
    evaluator.smoke(InProcessCandidate(SEED.read_text(), guest=GUEST))
    wrong = SEED.read_text().replace("nn.Linear(wide, classes)", "nn.Linear(wide + 1, classes)")
    with pytest.raises(CandidateError, match="mat1 and mat2"):
        evaluator.smoke(InProcessCandidate(wrong, guest=GUEST))


@pytest.mark.slow
def test_the_compiler_is_there_for_whoever_asks_for_it() -> None:
    judge(program(**LINEAR), epochs=1)
    import torch

    known = torch._dynamo.config.cache_size_limit
    assert known > 0
    assert sys.modules["torch._dynamo"].__file__


# --- settings -------------------------------------------------------------------------------------


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="give three"):
        module().Evaluator(images=(1, 2))
    with pytest.raises(UsageError, match="1 or more"):
        module().Evaluator(epochs=0)
    with pytest.raises(UsageError, match="each part needs at least 10"):
        module().Evaluator(images=(50, 10, 9))
    with pytest.raises(UsageError, match="500 exceeds the 100 images for training"):
        module().Evaluator(images=(100, 100, 100), batch=500)
    with pytest.raises(UsageError, match="2500 exceeds the 2000 images"):
        module().Evaluator(batch=2500)


def test_the_fewest_images_will_do() -> None:
    assert judge(program(**LINEAR), images=(50, 10, 10), epochs=1).metrics["parameters"] == 1290


def test_what_the_machine_lacks_is_said(tmp_path: Path) -> None:
    module().Evaluator(data="textures").check_host(())
    with pytest.raises(UsageError, match="does not download"):
        module().Evaluator(data="cifar10", path=str(tmp_path)).check_host(())
    with pytest.raises(UsageError, match="its sandbox has none"):
        module().Evaluator(data="textures", device="cuda").check_host(())
