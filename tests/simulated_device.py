"""A GPU that is none: streams that run behind the caller's back, on a clock of their own.

What a kernel does takes effect when its stream comes to it, by a simulated clock that only
launches, waits and copies move forward. So tests see what a clock would have seen on a GPU, exactly
and at once, on any machine.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from random import Random
from types import ModuleType
from typing import Any

from evolver.bundled import bundled
from evolver.scoring.bench import Bench
from evolver.types import Account

LAUNCH = 5e-6  # seconds of the caller's time
BANDWIDTH = 2e12  # bytes a second, of the device's memory


class Machine:
    """The clock and the streams; processes share it."""

    def __init__(self) -> None:
        self.time = 0.0
        self.share = 1.0  # of the device that is left by what runs behind everybody's back
        self._free: dict[str, float] = {}  # stream -> when it has done all
        self._queue: list[tuple[float, Callable[[], Any]]] = []

    def now(self) -> float:
        return self.time

    def launch(self, seconds: float, effect: Callable[[], Any], stream: str = "default") -> None:
        self.time += LAUNCH
        self._free[stream] = max(self.time, self._free.get(stream, 0.0)) + seconds / self.share
        self._queue.append((self._free[stream], effect))

    def wait(self, stream: str | None = None) -> None:
        """Let time pass until a stream, or every one, has done all."""
        ends = self._free.values() if stream is None else [self._free.get(stream, 0.0)]
        self.time = max([self.time, *ends])
        done = sorted((one for one in self._queue if one[0] <= self.time), key=lambda one: one[0])
        self._queue = [one for one in self._queue if one[0] > self.time]
        for _, effect in done:
            effect()


def simulated(
    machine: Machine, function: Any, seed: int, *, is_trusted: bool = False
) -> tuple[Bench, ModuleType]:
    """Return a bench of a function in a process on the machine, and the guest's module there.

    Who writes the function owns that module, as a candidate does.
    """
    spec = importlib.util.spec_from_file_location("bench", bundled("sandbox") / "bench.py")
    assert spec is not None
    assert spec.loader is not None
    guest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(guest)

    class Simulated(guest.Processor):  # type: ignore[name-defined, misc]
        def words(self, count: int) -> Any:
            machine.time += count * 8 / BANDWIDTH
            return super().words(count)

        def host(self, values: Any) -> Any:
            machine.wait("default")  # a copy is the default stream's next
            machine.time += values.nbytes / 1e10
            return super().host(values).copy()

        def flush(self) -> None:
            machine.time += self.cache / BANDWIDTH

        def synchronise(self) -> None:
            machine.wait()

    guest.DEVICES["cuda"] = Simulated

    def ask(what: str, *arguments: Any) -> Any:
        if what == "start":
            return guest.start(*arguments)
        return guest.ask(what, *arguments)

    no_account = Account(0.0, 0.0)
    rng = Random(seed)
    one = Bench(ask, function, "cuda", rng, lambda: no_account, machine.now, is_trusted=is_trusted)
    return one, guest
