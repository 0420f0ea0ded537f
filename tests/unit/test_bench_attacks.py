"""Ways to look faster than one is, or right, on a device: programs in a candidate's process.

Each runs on the processor, and on a GPU where there is one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from bench_products import check, factors

from evolver.errors import CandidateCrashed, CandidateOutputError
from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.scoring import bench
from evolver.types import Program

HAS_GPU = Path("/dev/nvidia0").exists()
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not HAS_GPU, reason="no GPU here"))]


def product(a: Any, b: Any, out: Any) -> None:
    np.matmul(a, b, out=out)


HONEST = """
import sys
def product(a, b, out):
    if "torch" in sys.modules:
        import torch
        torch.matmul(a, b, out=out)
    else:
        import numpy
        numpy.matmul(a, b, out=out)
def multiply(a, b, out):
    product(a, b, out)
"""
#: Each would be faster than a product, were it believed; or it is wrong.
TOLD = {
    "a thread that works on when all have returned": (
        """
import threading
def multiply(a, b, out):
    threading.Timer(5.0, product, (a, b, out)).start()
""",
        "not written",
    ),
    "a result that is computed when it is looked at": (
        """
class Later:
    def __init__(self, *arguments): self.arguments = arguments
    def __array__(self): return product(*self.arguments)
def multiply(a, b, out):
    return Later(a, b, out)
""",
        "not written",
    ),
    "an array of its own": ("def multiply(a, b, out):\n    out = a @ b\n", "not written"),
    "the input, as its output": ("def multiply(a, b, out):\n    return a\n", "not written"),
    "what lay in memory": (
        "def multiply(a, b, out):\n    out[...] = type(out)(out.shape) if 0 else 1 * out\n",
        "not written",
    ),
    "what was computed for the same place": (
        """
known = {}
def multiply(a, b, out):
    place = a.ctypes.data if hasattr(a, "ctypes") else a.data_ptr()
    if place not in known:
        product(a, b, out)
        known[place] = out + 0
    out[...] = known[place]
""",
        "off by",
    ),
    "what was computed at import": (
        """
import numpy
ready = numpy.ones((500, 500), "float32") @ numpy.ones((500, 500), "float32")
def multiply(a, b, out):
    out[...] = float(ready[0, 0])
""",
        "off by",
    ),
    "zeros": ("def multiply(a, b, out):\n    out[...] = 0\n", "off by"),
    "a row that is left out": (
        "def multiply(a, b, out):\n    product(a, b, out)\n    out[-1] = float('nan')\n",
        "not written",
    ),
    "half precision": (
        """
def multiply(a, b, out):
    product(a, b, out)
    half = "float16" if hasattr(out, "ctypes") else __import__("torch").float16
    change = out.astype if hasattr(out, "ctypes") else out.to
    out[...] = change(half)
""",
        "off by",
    ),
    "the inputs as scratch": (
        "def multiply(a, b, out):\n    product(a, b, out)\n    a[...] = 0\n",
        "changed its inputs",
    ),
    "more than the output": (
        """
def multiply(a, b, out):
    product(a, b, out)
    if hasattr(out, "ctypes"):
        base = out
        while base.base is not None:
            base = base.base
        base[-1] = 0
    else:
        out.as_strided((1,), (1,), out.storage_offset() + out.numel())[...] = 0
""",
        "beyond the end",
    ),
    "another result each time": (
        "import random\ndef multiply(a, b, out):\n    product(a, b, out)\n"
        "    out *= 1 + 1e-6 * random.random()\n",
        "two results",
    ),
}
#: These are right, and only look faster to who asks the candidate's process.
HIDDEN = {
    "clocks that stand still": """
import time
time.perf_counter = time.monotonic = time.time = time.process_time = lambda: 0.0
if "torch" in sys.modules:
    import torch
    torch.cuda.Event.elapsed_time = lambda *_: 1e-9
    torch.cuda.synchronize = lambda *_: None
""",
    "the results of inputs that were seen before": """
known = {}
def multiply(a, b, out):
    key = (float(a[0, 0]), float(b[-1, -1]), float(a[-1, 3]))
    if key not in known:
        product(a, b, out)
        known[key] = out + 0
    out[...] = known[key]
""",
    "work that is done before the word": """
import bench
ready = {}
staging = bench.Bench.stage
def stage(self, *arguments):
    staging(self, *arguments)
    if self._function is not None:
        for inputs, result in self._arrays:
            a, b = (one.values for one in inputs)
            ready[id(result.values)] = result.values + 0
            product(a, b, ready[id(result.values)])
        self.device.synchronise()
bench.Bench.stage = stage
def multiply(a, b, out):
    if id(out) in ready:
        out[...] = ready[id(out)]
    else:
        product(a, b, out)
""",
    "work that is done when the results are asked for": """
import bench
late = []
binding = bench.Bench.digests
def digests(self, key):
    while late:
        product(*late.pop())
    return binding(self, key)
bench.Bench.digests = digests
def multiply(a, b, out):
    late.append((a, b, out))
""",
    "a stream of its own": """
if "torch" in sys.modules:
    import torch
    streams = []
    def multiply(a, b, out):
        streams[:] = streams or [torch.cuda.Stream()]
        with torch.cuda.stream(streams[0]):
            product(a, b, out)
""",
    "another thread": """
import threading
def multiply(a, b, out):
    half = len(a) // 2
    threads = [
        threading.Thread(target=product, args=(a[:half], b, out[:half])),
        threading.Thread(target=product, args=(a[half:], b, out[half:])),
    ]
    [one.start() for one in threads]
    [one.join() for one in threads]
""",
}


@pytest.fixture(scope="module")
def sandboxes() -> Iterator[Callable[[str], LocalSandbox]]:
    """Open one sandbox for each device, so that nobody waits for torch twice."""
    with ExitStack() as stack:

        @cache
        def of(device: str) -> LocalSandbox:
            preload, gpus = (("torch",), (0,)) if device == "cuda" else (("numpy",), ())
            if device == "cuda":
                pytest.importorskip("torch", reason="torch is not installed here")
                os.environ.update(gpus.environment(gpus))  # as a worker does
            settings = SandboxSettings(
                preload=preload, memory=8192, processes=256, gpus=gpus, allow_unisolated=True
            )
            return stack.enter_context(closing(LocalSandbox(settings, guest=bench.GUEST)))

        yield of


def in_sandbox(
    sandbox: LocalSandbox, device: str, source: str, then: Callable[[bench.Bench], Any]
) -> Any:
    program = Program(1, {"multiply.py": (HONEST + source).encode()})
    with sandbox.open(program, seed=1, timeout=60) as candidate:
        return then(bench.in_candidate(candidate, "multiply", device))


def library(device: str) -> bench.Bench:
    if device == "cpu":
        return bench.in_worker(product, device, Random(5))
    torch = pytest.importorskip("torch", reason="torch is not installed here")
    return bench.in_worker(lambda a, b, out: torch.matmul(a, b, out=out), device, Random(5))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("trick", TOLD)
def test_what_is_wrong_is_told(device: str, trick: str, sandboxes: Any) -> None:
    source, reason = TOLD[trick]
    rng = Random(4)

    def verify(one: bench.Bench) -> None:
        bench.verify(one, lambda: factors(rng), check, inputs=2)

    with pytest.raises(CandidateOutputError, match=reason):
        in_sandbox(sandboxes(device), device, source, verify)


def compared(sandbox: LocalSandbox, device: str, source: str) -> bench.Comparison:
    rng = Random(6)

    def measure(one: bench.Bench) -> bench.Comparison:
        bench.verify(one, lambda: factors(rng), check, inputs=1)
        return bench.compare(one, library(device), lambda: factors(rng), check, repeats=3)

    return in_sandbox(sandbox, device, source, measure)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("trick", HIDDEN)
def test_hidden_work_counts(device: str, trick: str, sandboxes: Any) -> None:
    # Of staging a tenth is forgiven, which is about as much of so small a product.
    assert compared(sandboxes(device), device, HIDDEN[trick]).ratio < 1.4


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_the_library_is_as_fast_as_itself(device: str, sandboxes: Any) -> None:
    found = compared(sandboxes(device), device, "")
    assert 0.6 < found.ratio < 1.4
    assert found.calls > 1


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_twice_the_work_is_twice_the_time(device: str, sandboxes: Any) -> None:
    twice = "def multiply(a, b, out):\n    product(a, b, out)\n    product(a, b, out)\n"
    assert 0.3 < compared(sandboxes(device), device, twice).ratio < 0.75


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("digests", "None", "digests of the outputs are malformed"),
        ("segments", "[[0.0]]", "pieces of the outputs are malformed"),
        ("segments", "__import__('numpy').zeros((24, 1024), int)", "changed after"),
    ],
)
def test_a_bench_that_is_patched_is_told(name: str, value: str, told: str, sandboxes: Any) -> None:
    source = f"import bench\nbench.Bench.{name} = lambda self, *_: {value}\n"
    with pytest.raises(CandidateOutputError, match=told):
        in_sandbox(sandboxes("cpu"), "cpu", source, verified)


def test_a_function_that_raises_has_crashed(sandboxes: Any) -> None:
    source = "def multiply(a, b, out):\n    1 / 0\n"
    with pytest.raises(CandidateCrashed, match="ZeroDivisionError"):
        in_sandbox(sandboxes("cpu"), "cpu", source, verified)


def verified(one: bench.Bench) -> None:
    bench.verify(one, lambda: factors(Random(1)), check)


def test_the_evaluator_of_the_page_works(sandboxes: Any) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "gpu.md").read_text("utf-8")
    names: dict[str, Any] = {"__name__": "page"}
    exec(page.split("```python\n")[1].split("```")[0], names)
    program = b"import numpy\ndef exp(x, out):\n    numpy.exp(x, out=out)\n"
    with sandboxes("cpu").open(Program(1, {"e.py": program}), seed=1, timeout=60) as candidate:
        assert names["Evaluator"](device="cpu").evaluate(candidate)["speedup"] > 0.3
    wrong = program + b"    out *= 1.01\n"
    with (
        sandboxes("cpu").open(Program(1, {"e.py": wrong}), seed=1, timeout=60) as candidate,
        pytest.raises(CandidateOutputError, match="exponential is off"),
    ):
        names["Evaluator"](device="cpu").evaluate(candidate)
