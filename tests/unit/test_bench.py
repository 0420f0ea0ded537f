"""Timing on devices: the same bits on both sides, honest programs, and ways to look faster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from simulated_device import Machine, simulated

from evolver import bench, devices
from evolver.bench.source import guest
from evolver.errors import CandidateCrashed, CandidateOutputError
from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.types import Account, Program

TYPES = ("float64", "float32", "float16", "bfloat16")
HAS_GPU = Path("/dev/nvidia0").exists()
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not HAS_GPU, reason="no GPU here"))]
SIZE = 190


def factors(rng: Random, shape: tuple[int, int, int] = (SIZE, SIZE, SIZE), dtype: str = "float32"):
    m, k, n = shape
    size = 10 ** rng.uniform(-1, 1)
    drawn = bench.Drawn((m, k), dtype, -size, size), bench.Drawn((k, n), dtype, -size / 2, size)
    return bench.Call(drawn, (m, n), dtype)


def check(piece: bench.Piece) -> None:
    """Refuse what is no product of single precision."""
    k, n = piece.call.inputs[1].shape
    places = np.arange(0, len(piece.values), 37)
    rows, columns = np.divmod(piece.first + places, n)
    a = piece.input(0, rows[:, None] * k + np.arange(k))
    b = piece.input(1, columns[:, None] + np.arange(k) * n)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    error = np.abs((a * b).sum(1) - piece.values[places]) / norms
    if error.max() > 1e-5:
        raise CandidateOutputError(f"the product is off by {error.max():.3g}")


# --- a GPU that is none -------------------------------------------------------------------------

WORK = 1e-3  # seconds that the device takes for a product


def product(a: Any, b: Any, out: Any) -> None:
    np.matmul(a, b, out=out)


def on_machine(attack: Callable[[Machine, ModuleType], Callable[..., None]]) -> bench.Comparison:
    """Time an attack beside an honest reference of the same speed."""
    machine = Machine()

    def honest(a: Any, b: Any, out: Any) -> None:
        machine.launch(WORK, lambda: product(a, b, out))

    def draw() -> bench.Call:
        return factors(rng, (40, 30, 50))

    rng = Random(3)
    ours, _ = simulated(machine, honest, 2, is_trusted=True)
    alone = bench.alone(ours, draw)
    theirs, guest = simulated(machine, lambda *arrays: function(*arrays), 1)
    function = attack(machine, guest)
    return bench.compare(theirs, ours, draw, check, repeats=2, alone=alone)


def with_an_honest_clock(machine: Machine, guest: ModuleType, seconds: float = WORK) -> Any:
    return lambda a, b, out: machine.launch(seconds, lambda: product(a, b, out))


def on_a_side_stream(machine: Machine, guest: ModuleType) -> Any:
    return lambda a, b, out: machine.launch(WORK, lambda: product(a, b, out), "side")


def on_a_side_stream_that_is_not_waited_for(machine: Machine, guest: ModuleType) -> Any:
    guest.DEVICES["cuda"].synchronise = lambda self: machine.wait("default")
    return on_a_side_stream(machine, guest)


def waited_for_when_somebody_looks(machine: Machine, guest: ModuleType) -> Any:
    honest = guest.Bench.digests

    def digests(self: Any, key: int) -> Any:
        machine.wait()
        return honest(self, key)

    guest.Bench.digests = digests
    return on_a_side_stream_that_is_not_waited_for(machine, guest)


def computed_when_a_piece_is_asked_for(machine: Machine, guest: ModuleType) -> Any:
    honest, calls = guest.Bench.segments, []

    def segments(self: Any, places: Any) -> Any:
        for call, _ in places:
            product(*calls[call])
        return honest(self, places)

    def stage(self: Any, *arguments: Any, staging: Any = guest.Bench.stage) -> None:
        calls.clear()
        staging(self, *arguments)

    guest.Bench.segments, guest.Bench.stage = segments, stage
    return lambda a, b, out: calls.append((a, b, out))


def computed_before_the_word(machine: Machine, guest: ModuleType) -> Any:
    ready: dict[int, Any] = {}

    def stage(self: Any, *arguments: Any, staging: Any = guest.Bench.stage) -> None:
        staging(self, *arguments)
        if self._function is not None:
            for inputs, result in self._arrays:
                a, b = (one.values for one in inputs)
                machine.launch(WORK, lambda a=a, b=b, r=result: ready.update({id(r.values): a @ b}))
            machine.wait()

    guest.Bench.stage = stage

    def copy(a: Any, b: Any, out: Any) -> None:
        np.copyto(out, ready[id(out)])

    return copy


def busy_while_the_reference_runs(machine: Machine, guest: ModuleType) -> Any:
    """Have a kernel run in the background, but while its own batches are timed."""
    honest = guest.Bench.segments

    def segments(self: Any, places: Any) -> Any:
        machine.share = 0.3
        return honest(self, places)

    def stage(self: Any, *arguments: Any, staging: Any = guest.Bench.stage) -> None:
        machine.share = 1.0
        staging(self, *arguments)

    guest.Bench.segments, guest.Bench.stage = segments, stage
    return with_an_honest_clock(machine, guest)


@pytest.mark.parametrize("times", [0.5, 1.0, 2.0])
def test_a_kernel_takes_the_time_that_it_takes(times: float) -> None:
    found = on_machine(lambda *rest: with_an_honest_clock(*rest, seconds=times * WORK))
    assert found.seconds == pytest.approx(times * WORK, rel=0.02)
    assert found.ratio == pytest.approx(1 / times, rel=0.02)
    assert found.low <= found.seconds <= found.high
    assert found.noise < 0.01


@pytest.mark.parametrize(
    "attack",
    [on_a_side_stream, waited_for_when_somebody_looks, computed_before_the_word],
    ids=lambda attack: attack.__name__,
)
def test_work_is_found_wherever_it_is_moved(attack: Any) -> None:
    assert on_machine(attack).seconds > 0.95 * WORK


def test_a_reference_that_is_slowed_is_not_believed() -> None:
    found = on_machine(busy_while_the_reference_runs)
    assert found.reference > 2 * WORK
    assert found.ratio < 1.15


def test_a_function_that_pretends_to_be_slow_is_counted_off_again() -> None:
    calls = []

    def slow_at_first(machine: Machine, guest: ModuleType) -> Any:
        def multiply(a: Any, b: Any, out: Any) -> None:
            calls.append(1)
            seconds = 100 * WORK if len(calls) < 4 else WORK
            machine.launch(seconds, lambda: product(a, b, out))

        return multiply

    found = on_machine(slow_at_first)
    assert found.calls > 10
    assert found.seconds == pytest.approx(WORK, rel=0.02)


@pytest.mark.parametrize(
    ("attack", "told"),
    [
        (on_a_side_stream_that_is_not_waited_for, "not written"),
        (computed_when_a_piece_is_asked_for, "changed after"),
    ],
)
def test_what_is_not_there_in_time_is_refused(attack: Any, told: str) -> None:
    with pytest.raises(CandidateOutputError, match=told):
        on_machine(attack)


# --- a candidate's process ----------------------------------------------------------------------

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
        "behind the end",
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
                os.environ.update(devices.environment(gpus))  # as a worker does
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
        return then(bench.there(candidate, "multiply", device))


def library(device: str) -> bench.Bench:
    if device == "cpu":
        return bench.here(product, device, Random(5))
    torch = pytest.importorskip("torch", reason="torch is not installed here")
    return bench.here(lambda a, b, out: torch.matmul(a, b, out=out), device, Random(5))


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
        ("digests", "None", "digests of the outputs are none"),
        ("segments", "[[0.0]]", "pieces of the outputs are none"),
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


# --- the bits -----------------------------------------------------------------------------------


def written(device: str, call: bench.Call) -> tuple[list[bench.Piece], bench.Bench]:
    """Copy the first input to the output; return all that was read of it."""

    def copy(*arrays: Any) -> None:
        arrays[-1][...] = arrays[0]

    one = bench.here(copy, device, Random(8))
    cycle = one.cycle([call], key=5)
    return list(one.pieces([call], cycle, 5, 6)), one


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 3.7), (-126.3, 127.1)])
def test_inputs_are_the_same_bits_without_the_device(
    dtype: str, bounds: tuple[float, float]
) -> None:
    pytest.importorskip("torch", reason="torch is not installed here")
    call = bench.Call((bench.Drawn((61, 83), dtype, *bounds),), (61, 83), dtype)
    for piece in written("torch", call)[0]:
        places = piece.first + np.arange(len(piece.values))
        assert (piece.input(0, places) == piece.values).all()
        assert (
            bounds[0] * 1.01 - 0.01 <= piece.values.min() < piece.values.max() <= bounds[1] * 1.01
        )
        assert len(np.unique(piece.values)) > 50


@pytest.mark.parametrize("dtype", TYPES[:2])
def test_numpy_and_torch_draw_and_bind_the_same(dtype: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed here")
    call = bench.Call((bench.Drawn((200, 83), dtype, -2.0, 5.0),), (200, 83), dtype)
    digests = []
    for device in ("cpu", "torch"):
        one = bench.here(lambda a, out: out.__setitem__(..., a), device, Random(8))
        digests.append(one.cycle([call], key=7).digests)
    assert (digests[0] == digests[1]).all()
    assert len(np.unique(digests[0])) == digests[0].size


def test_a_digest_hangs_on_every_bit_and_on_the_key() -> None:
    words = np.random.default_rng(1).integers(-(2**62), 2**62, (3, guest.SEGMENT))
    before = guest.digest(words, 11)
    for place in (0, 1, 500, guest.SEGMENT - 1):
        changed = words.copy()
        changed[1, place] ^= 1
        assert list(guest.digest(changed, 11) == before) == [True, False, True]
    assert (guest.digest(words, 12) != before).all()
    assert (guest.digest(words[:, ::-1], 11) != before).all()


@pytest.mark.parametrize(
    ("ratio", "noise", "speedup"),
    [(1.03, 0.04, 1.0), (1.03, 0.02, 1.03), (0.97, 0.04, 0.97), (0.5, 2.0, 0.5), (1.5, 2.0, 1.0)],
)
def test_a_gain_within_the_noise_is_none(ratio: float, noise: float, speedup: float) -> None:
    found = bench.Comparison(1.0, 1.0, 1.0, 1.0, ratio=ratio, noise=noise, calls=1)
    assert found.speedup == speedup


def test_threads_that_wait_take_nothing_off_a_gpus_time() -> None:
    machine, counted = Machine(), iter(range(10**6))
    one, _ = simulated(machine, lambda a, b, out: machine.launch(WORK, lambda: None), 1)
    one._account = lambda: Account(0.0, 1.0 * next(counted))
    cycle = one.cycle([factors(Random(1), (5, 5, 5))])
    assert cycle.go > WORK


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
