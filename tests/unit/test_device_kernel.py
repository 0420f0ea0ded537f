"""Kernels on devices: what counts as a product in each precision, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from evolver.bundled import bundled
from evolver.errors import CandidateOutputError, UsageError
from evolver.evaluation.evaluator import EvaluatorSource, guest_files
from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.scoring import bench
from evolver.scoring.bench import product
from evolver.tasks.plugins import load_module
from evolver.types import Program, Result

HAS_GPU = Path("/dev/nvidia0").exists()
SEED = bundled("examples") / "matmul-triton" / "multiply.py"
ROWS = """
def multiply(a, b, out):
    for i in range(a.shape[0]):
        out[i] = 0
        for k in range(a.shape[1]):
            out[i] += a[i, k] * b[k]
"""
LIBRARY = {
    "cpu": [
        "def multiply(a, b, out):\n    out[...] = a @ b\n",
        "import numpy as np\ndef multiply(a, b, out):\n    np.dot(a, b, out=out)\n",
        "import torch\n",
        "import numpy as np\ndef multiply(a, b, out):\n"
        "    out[:] = np.asmatrix(a) * np.asmatrix(b)\n",
        "import numpy as np\ndef multiply(a, b, out):\n"
        "    out[:] = np.bmat([[a]]) * np.bmat([[b]])\n",
        "import numpy as np\ndef multiply(a, b, out):\n    out[:] = np.ma.innerproduct(a, b.T)\n",
        "import numpy as np\ndef multiply(a, b, out):\n    np.einsum_path('ij,jk', a, b)\n",
        "from numpy import ma\n",
        # Names that are read by no attribute.
        "import numpy as np\nAny = type('Any', (), {'__match_args__': ('matmul',)})\n"
        "match np:\n    case Any(product):\n        pass\n",
        "def multiply(a, b, out):\n    open('more.py', 'w')\n",
    ],
    "cuda": [
        *(
            f"def multiply(a, b, out):\n    out.{method}(a, b, beta=0)\n"
            for method in ("addmm_", "addbmm_", "baddbmm_", "addmv_", "addr_", "sspaddmm_")
        ),
        *(
            f"import torch\ndef multiply(a, b, out):\n    out.copy_(torch.{function}(a, b))\n"
            for function in (
                "conv_transpose1d",
                "conv_transpose2d",
                "conv_tbc",
                "conv1d",
                "convolution",
                "_int_mm",
                "_scaled_mm",
                "_addmm_activation",
                "inner",
                "einsum",
                "bilinear",
            )
        ),
        "def multiply(a, b, out):\n    out.copy_(a @ b)\n",
        "import torch\ndef multiply(a, b, out):\n    torch.mm(a, b, out=out)\n",
        "import torch.nn.functional as f\n",
        "from torch import addmm\n",
        "import torch\ndef multiply(a, b, out):\n    torch.ops.aten.mm.out(a, b, out=out)\n",
        # A kernel that does not run, and what is done then.
        "import triton\nimport torch\ndef multiply(a, b, out):\n    try:\n"
        "        triton.no_such_kernel(a, b, out)\n    except Exception:\n"
        "        torch.matmul(a, b, out=out)\n",
        "import torch\ndef multiply(a, b, out):\n    getattr(torch, 'm' + 'm')(a, b, out=out)\n",
        "import torch\ndef multiply(a, b, out):\n    torch.compile(f)(a, b)\n",
        "import ctypes\n",
        "import numpy\n",
    ],
}


@cache
def evaluators() -> Any:
    return load_module(bundled("evaluators") / "device_kernel")


def judge(source: str, **settings: Any) -> Result:
    """Judge a program on the processor, in a sandbox."""
    settings = {"shapes": [[30, 20, 40], [17, 23, 19]], "held_out": [], "repeats": 2, **settings}
    evaluator = EvaluatorSource("device_kernel", Path()).load(settings)
    preload = ("numpy", "numba") if "numba" in source else ("numpy",)
    with (
        closing(
            LocalSandbox(
                SandboxSettings(preload=preload, memory=2048, allow_unisolated=True),
                guest=guest_files(evaluator),
            )
        ) as sandbox,
        sandbox.open(Program(1, {"multiply.py": source.encode()}), seed=1, timeout=60) as candidate,
    ):
        result = evaluator.evaluate(candidate)
        assert isinstance(result, Result)
        return result


def test_a_product_is_timed_against_the_library() -> None:
    result = judge(ROWS, held_out=[[20, 30, 10]], peak=100.0)
    assert 0 < result.metrics["speedup"] < 0.3
    assert result.metrics["gflops"] > 0
    assert set(result.private) == {"held_out_speedup"}
    assert "30 x 20 by 20 x 40" in result.feedback
    assert "of the peak" in result.feedback


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("out[i] = 0", "out[i] = 1e-4"),
        ("a[i, k] * b[k]", "(a[i, k] * b[k]).astype('float16')"),
        ("range(a.shape[1])", "range(a.shape[1] - 1)"),
        ("a[i, k] * b[k]", "a[i, k] * b[k] if i or k % 7 else 0"),
    ],
)
def test_what_is_nearly_a_product_is_refused(change: str, told: str) -> None:
    with pytest.raises(CandidateOutputError, match="is wrong: entry"):
        judge(ROWS.replace(change, told))


@pytest.mark.parametrize("device", LIBRARY)
def test_the_library_is_not_called(device: str) -> None:
    language = evaluators().LANGUAGES[device]
    for source in LIBRARY[device]:
        with pytest.raises(CandidateOutputError, match="is not allowed"):
            language.check({"multiply.py": source.encode()})
    evaluators().LANGUAGES["cuda"].check({"multiply.py": SEED.read_bytes()})


GROUPED = """
import torch
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

@triton.autotune(configs=[triton.Config({"ROWS": 128}, num_warps=8)], key=["m", "k", "n"])
@triton.jit
def product(a, b, out, m, k, n, ROWS: tl.constexpr):
    place = tl.program_id(0)
    first = tl.multiple_of(tl.maximum(place, 0), 16)
    total = tl.zeros((ROWS, ROWS), dtype=tl.float32)
    for step in tl.range(0, tl.cdiv(k, ROWS), num_stages=3):
        total = tl.dot(a.load([first, step]), b.load([step, first]).T, total)
    tl.atomic_add(out + first, total.to(tl.float16))

def multiply(a, b, out):
    count = torch.cuda.get_device_properties(a.device).multi_processor_count
    parts = torch.empty((4, *out.shape), device=a.device, dtype=torch.float32)
    left = TensorDescriptor.from_tensor(a.contiguous(), [128, 64])
    product[lambda meta: (triton.cdiv(count, meta["ROWS"]),)](left, b, parts, *a.shape, b.stride(0))
    out.copy_(parts.sum(0))
"""
COMPILED = """
import math
import numpy as np
from numba import njit, prange
@njit(fastmath=True)
def product(a, b, out):
    total = np.zeros((4, b.shape[1]), dtype=np.float32)
    for i in prange(a.shape[0]):
        total[0] = 0
        for k in range(a.shape[1]):
            total[0] += a[i, k] * b[k]
        out[i, :] = total[0]
def multiply(a, b, out):
    product(np.ascontiguousarray(a), b.T.copy().T.reshape(b.shape), out)
"""


@pytest.mark.parametrize(("device", "source"), [("cuda", GROUPED), ("cpu", COMPILED)])
def test_what_kernels_are_written_with_is_allowed(device: Any, source: str) -> None:
    evaluators().LANGUAGES[device].check({"multiply.py": source.encode()})


def test_a_device_that_is_not_there_is_told() -> None:
    with pytest.raises(UsageError, match=r"set \[sandbox\] gpus"):
        evaluators().Evaluator(device="cuda").check_host(())
    with pytest.raises(UsageError, match="no bfloat16 on the processor"):
        evaluators().Evaluator(dtype="bfloat16").check_host(())
    evaluators().Evaluator().check_host(())


# --- what counts as a product in each precision, by torch on the processor ------------------------


def verified(function: Any, dtype: str, shape: tuple[int, int, int] = (90, 700, 110)) -> None:
    rng = Random(3)
    one = bench.in_worker(function, "torch", rng)
    check = partial(product.check, rng=rng)
    bench.verify(one, lambda: product.draw(rng, shape, dtype), check, inputs=5)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_sums_in_single_precision_or_better_will_do(dtype: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed here")

    def exact(a: Any, b: Any, out: Any) -> None:
        out.copy_(a.double() @ b.double())

    def single(a: Any, b: Any, out: Any) -> None:
        out.copy_((a.float() @ b.float()) if dtype != "float64" else a @ b)

    verified(exact, dtype)
    verified(single, dtype)


@pytest.mark.parametrize(
    ("dtype", "lower"),
    [
        ("float64", "float32"), ("float32", "float16"), ("float32", "bfloat16"),
        ("float32", "tf32"), ("bfloat16", "bfloat16"), ("float16", "float16"),
    ],
)  # fmt: skip
def test_sums_in_lower_precision_will_not(dtype: str, lower: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed here")

    def rounded(values: Any) -> Any:
        if lower == "tf32":  # ten bits of the mantissa, as tensor cores take them
            bits = values.view(torch.int32)
            return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)
        return values.to(getattr(torch, lower))

    def multiply(a: Any, b: Any, out: Any) -> None:
        if dtype != lower:
            out.copy_(rounded(a).to(a.dtype) @ rounded(b).to(b.dtype))
            return
        total = torch.zeros_like(out)
        for k in range(a.shape[1]):  # each sum is rounded
            total += a[:, k, None] * b[None, k]
        out.copy_(total)

    with pytest.raises(CandidateOutputError, match="is wrong"):
        verified(multiply, dtype)


# --- examples -----------------------------------------------------------------------------------

INTERPRETED = """
import importlib.util, json, sys
import torch
spec = importlib.util.spec_from_file_location("multiply", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
errors = []
for m, k, n in ((64, 64, 64), (70, 45, 37), (33, 130, 65)):
    a, b = torch.randn(m, k), torch.randn(k, n)
    out = torch.full((m, n), float("nan"))
    module.multiply(a, b, out)
    errors.append((out - a @ b).abs().max().item())
print(json.dumps(errors))
"""


@pytest.mark.slow
def test_the_triton_seed_multiplies() -> None:
    pytest.importorskip("torch", reason="torch is not installed here")
    pytest.importorskip("triton", reason="triton is not installed here")
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED, str(SEED)],
        env={"TRITON_INTERPRET": "1", "PYTHONPATH": ":".join(sys.path), "HOME": "/tmp"},
        capture_output=True,
        check=True,
    )
    assert np.max(json.loads(done.stdout)) < 1e-4


@pytest.mark.slow
def test_a_better_program_on_the_processor_scores_higher() -> None:
    pytest.importorskip("numba", reason="numba is not installed here")
    text = (SEED.parent / "processor" / "multiply.py").read_text()
    first, second = "for j in range(b.shape[1])", "for k in range(a.shape[1])"
    along_rows = text.replace(first, "?").replace(second, first).replace("?", second)
    assert along_rows != text
    settings: Any = {"shapes": [[150, 130, 140]], "repeats": 3}
    seed = judge(text, **settings)
    better = judge(along_rows, **settings)
    assert better.metrics["gflops"] > 1.5 * seed.metrics["gflops"]
