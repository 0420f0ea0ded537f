"""Milliseconds for one evaluation of an empty function: open, call, close, in each tier.

    python benchmarks/sandbox.py [--rounds 200]

Beside them, in the same run, what cannot be beaten (a bare fork of a warm process that answers over
a pipe) and what is replaced (a fresh `python -I`). Other work on the machine moves all figures
together, so the rows take turns, round by round, and the ratios are what to trust.
Bars: at most 6 ms in the median, 8 ms with numpy preloaded, 150 a second on two processes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from evolver.sandboxes import LocalSandbox, SandboxSettings, lacks
from evolver.types import Program

EMPTY = Program(id=0, files={"empty.py": b"def empty():\n    pass\n"})
TIERS = ("A", "B", "C")
ROUND = 10  # evaluations of one row before the next one has its turn


def fresh_python() -> None:
    subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)


def bare_fork() -> None:
    """Fork this process, which has little more in it than a zygote; the child answers and ends."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(theirs, b"None")
        os._exit(0)
    os.read(ours, 4)
    os.waitpid(pid, 0)
    os.close(ours)
    os.close(theirs)


def evaluation(sandbox: LocalSandbox) -> Callable[[], None]:
    def evaluate() -> None:
        with sandbox.open(EMPTY, seed=0, timeout=10.0) as candidate:
            candidate.call("empty")

    return evaluate


def milliseconds(act: Callable[[], None]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1e3


def throughput(preload: tuple[str, ...], seconds: float) -> int:
    """Evaluate for some seconds in the strongest tier; return how often."""
    with contextlib.closing(LocalSandbox(SandboxSettings(preload=preload))) as sandbox:
        act = evaluation(sandbox)
        act()
        ends, count = time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            act()
            count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200, help="evaluations in each row")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of the throughput's measurement"
    )
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        rows: dict[str, Callable[[], None]] = {"python -I": fresh_python, "bare fork": bare_fork}
        for tier in TIERS:
            if reasons := lacks(tier):
                print("; ".join(reasons))
                continue
            for preload in ((), ("numpy",)):
                settings = SandboxSettings(preload=preload, allow_unisolated=True)
                sandbox = stack.enter_context(contextlib.closing(LocalSandbox(settings, tier=tier)))
                rows[f"tier {tier}" + (", numpy" if preload else "")] = evaluation(sandbox)
        times: dict[str, list[float]] = {name: [] for name in rows}
        for _ in range(max(1, options.rounds // ROUND)):
            for name, act in rows.items():
                times[name] += [milliseconds(act) for _ in range(ROUND)]
    report(times)
    for preload in ((), ("numpy",)):
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            counts = pool.map(throughput, [preload] * 2, [options.seconds] * 2)
            rate = sum(counts) / options.seconds
        print(f"two processes{', numpy' if preload else '':8} {rate:8.0f} evaluations/s")


def report(times: dict[str, list[float]]) -> None:
    fork = statistics.median(times["bare fork"])
    python = statistics.median(times["python -I"])
    print(f"{'ms':16}{'min':>8}{'median':>8}{'p95':>8}{'x fork':>8}{'x python':>9}")
    for name, values in times.items():
        median = statistics.median(values)
        p95 = statistics.quantiles(values, n=20)[-1]
        print(
            f"{name:16}{min(values):8.2f}{median:8.2f}{p95:8.2f}"
            f"{median / fork:8.2f}{median / python:9.3f}"
        )


if __name__ == "__main__":
    main()
