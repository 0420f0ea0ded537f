"""Timing on devices: the same bits on both sides, honest programs, and ways to look faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from bench_products import check, factors
from simulated_device import Machine, simulated

from evolver.errors import CandidateOutputError
from evolver.scoring import bench
from evolver.scoring.bench.source import guest
from evolver.types import Account

TYPES = ("float64", "float32", "float16", "bfloat16")


def test_former_names_are_the_same_functions_with_a_warning() -> None:
    for name, found in (("here", bench.in_worker), ("there", bench.in_candidate)):
        with pytest.warns(DeprecationWarning, match=f"bench.{name} is now bench.{found.__name__}"):
            assert getattr(bench, name) is found


# --- a GPU that is none -------------------------------------------------------------------------

WORK = 1e-3  # seconds that the device takes for a product
SHORT = 5e-7  # as many as a batch may have take as long as a message's way


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
    alone = bench.time_alone(ours, draw)
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


def hidden_in_what_is_forgiven(machine: Machine, guest: ModuleType) -> Any:
    """Make all calls, short ones, while digests are waited for, which take long for nothing."""
    honest, calls = guest.Bench.digests, []

    def digests(self: Any, key: int) -> Any:
        if self._function is None:
            machine.time += 1.0
        machine.launch(SHORT * len(calls), lambda: [product(*call) for call in calls])
        machine.wait()
        calls.clear()
        return honest(self, key)

    guest.Bench.digests = digests
    return lambda a, b, out: calls.append((a, b, out))


def test_a_short_batch_is_forgiven_little() -> None:
    assert on_machine(hidden_in_what_is_forgiven).seconds > 0.9 * SHORT


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


# --- the bits -----------------------------------------------------------------------------------


def written(device: str, call: bench.Call) -> tuple[list[bench.Piece], bench.Bench]:
    """Copy the first input to the output; return all that was read of it."""

    def copy(*arrays: Any) -> None:
        arrays[-1][...] = arrays[0]

    one = bench.in_worker(copy, device, Random(8))
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
        one = bench.in_worker(lambda a, out: out.__setitem__(..., a), device, Random(8))
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


def test_references_in_this_process_have_one_thread() -> None:
    a = np.ones((1200, 1200), "float32")
    own, every = time.thread_time(), time.process_time()
    np.matmul(a, a)
    own, every = time.thread_time() - own, time.process_time() - every
    assert every < 1.3 * own  # tests/conftest.py was imported before numpy
