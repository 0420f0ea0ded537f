"""Rules for tiles: that the score moves with them, and what is made of what cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
from effort import examples
from fake_candidate import InProcessCandidate
from hypothesis import given
from hypothesis import strategies as st

from evolver.bundled import bundled
from evolver.errors import CandidateError, UsageError
from evolver.tasks.plugins import load_module
from evolver.types import Result

pytest.importorskip("numba", reason="numba is not installed here")

SEED = (bundled("examples") / "matmul-tiling" / "tiles.py").read_text()
FOLDER = bundled("evaluators") / "product_tiling"
SHAPES = ((120, 130, 140), (9, 200, 90))


@cache
def module() -> Any:
    return load_module(FOLDER)


def judge(source: str, **given: Any) -> Result:
    given = {"shapes": SHAPES, "held_out": (), "repeats": 2, **given}
    result = module().Evaluator(**given).evaluate(InProcessCandidate(source))
    assert isinstance(result, Result)
    return result


def choosing(tiles: str) -> str:
    return f"def choose(m, k, n):\n    return {tiles}\n"


def tiles_of(source: str, device: str = "cpu", room: int = 8192) -> Any:
    evaluator = module().Evaluator(device=device, room=room)
    return evaluator._choose(InProcessCandidate(source), (100, 200, 300))


@pytest.mark.slow
def test_a_rule_is_measured_by_the_baseline() -> None:
    result = judge(SEED, held_out=((30, 40, 50),))
    assert 0.25 < result.metrics["speedup"] < 4
    assert result.metrics["gflops"] > 0
    assert set(result.private) == {"held_out_speedup"}
    assert "tiles (32, 32, 32)" in result.feedback
    assert "120 x 130 by 130 x 140" in result.feedback


@pytest.mark.slow
def test_better_tiles_score_higher_and_worse_ones_lower() -> None:
    """Of the speed with tiles of 32 those of 1, 2, 1 have a fortieth."""
    worse = judge(choosing("1, 2, 1"))
    better = judge(choosing("32, 32, 32"), baseline=(1, 2, 1))
    assert worse.metrics["speedup"] < 0.25
    assert better.metrics["speedup"] > 4


@pytest.mark.parametrize(
    "tiles", ["8", "8, 8", "'a', 'b', 'c'", "8, 8, float('nan')", "1j, 8, 8", "None", "1 / 0, 8, 8"]
)
def test_what_is_no_three_numbers_is_refused(tiles: str) -> None:
    with pytest.raises(CandidateError):
        judge(choosing(tiles))


@pytest.mark.parametrize(
    ("tiles", "device", "expected"),
    [
        ("7.6, 32, 32", "cpu", (8, 32, 32)),
        ("0, -5, 0.2", "cpu", (1, 1, 1)),
        ("1e300, 1, 1", "cpu", (2048, 1, 1)),
        ("64, 1000, 64", "cpu", (64, 64, 64)),  # as many columns as there is room for
        ("2048, 2048, 2048", "cpu", (2048, 2, 2048)),
        ("5000, 48, 3", "cuda", (256, 64, 16)),
        ("-1, 100, 45", "cuda", (16, 128, 32)),
    ],
)
def test_numbers_become_the_nearest_tiles(tiles: str, device: str, expected: Any) -> None:
    assert tiles_of(choosing(tiles), device) == expected


def test_a_rule_sees_the_shape() -> None:
    assert tiles_of(choosing("m / 10, k / 10, n / 10")) == (10, 20, 30)


@examples(40)
@given(st.tuples(*[st.integers(1, 40)] * 3), st.tuples(*[st.integers(1, 70)] * 3))
def test_the_kernel_multiplies_with_any_tiles(tiles: Any, shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    rng = np.random.default_rng(sum(shape))
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    a, b, out = a.astype("f"), b.astype("f"), np.full((m, n), np.nan, "f")
    module()._multiplying(module().Evaluator()._kernel(), {shape: tiles})(a, b, out)
    assert np.allclose(out, a @ b, atol=1e-4)


INTERPRETED = """
import importlib.util, json, sys, torch
spec = importlib.util.spec_from_file_location("graphics", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
errors = []
for (m, k, n), tiles in (((50, 70, 33), (16, 32, 16)), ((128, 64, 130), (32, 16, 64))):
    a, b = torch.randn(m, k), torch.randn(k, n)
    out = torch.full((m, n), float("nan"))
    module.multiply(tiles, a, b, out)
    errors.append((out - a @ b).abs().max().item())
print(json.dumps(errors))
"""


@pytest.mark.slow
def test_the_kernel_for_a_gpu_multiplies_in_tritons_interpreter() -> None:
    pytest.importorskip("torch", reason="torch is not installed here")
    pytest.importorskip("triton", reason="triton is not installed here")
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED, str(FOLDER / "graphics.py")],
        env={"TRITON_INTERPRET": "1", "PYTHONPATH": ":".join(sys.path), "HOME": "/tmp"},
        capture_output=True,
        check=True,
    )
    assert np.max(json.loads(done.stdout)) < 1e-4


def test_a_gpu_that_is_not_there_is_told() -> None:
    with pytest.raises(UsageError, match=r"set \[sandbox\] gpus"):
        module().Evaluator(device="cuda").check_host(())
    module().Evaluator().check_host(())
