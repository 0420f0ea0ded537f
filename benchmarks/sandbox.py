"""Milliseconds for one evaluation of an empty function: open, call, close, in each sandbox.

    python benchmarks/sandbox.py [--rounds 200]

Beside them, in the same run, what cannot be beaten (a bare fork of a warm process that answers over
a pipe) and what is replaced (a fresh `python -I`; `docker run`, where there is an engine with the
image of `evolver sandbox build`). Other work on the machine moves all figures together, so the rows
take turns, round by round, and the ratios are what to trust; containers it moves most, because an
engine's containers together get the processor's share of one process.
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
from typing import Any

import docker.errors

from evolver.errors import SandboxError
from evolver.ports import Sandbox
from evolver.sandboxes import LocalSandbox, SandboxSettings, daemon, image, lacks
from evolver.sandboxes.docker import DockerSandbox, limits
from evolver.types import Program

EMPTY = Program(id=0, files={"empty.py": b"def empty():\n    pass\n"})
TIERS = ("A", "B", "C")
IMAGE = image.default_tag()
PRELOADS: tuple[tuple[str, ...], ...] = ((), ("numpy",))
ROUND = 10  # evaluations of one row before the next one has its turn
COLD = 1  # of `docker run`, which takes as long as fifty others


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


def docker_run(client: Any) -> Callable[[], None]:
    """A container for each evaluation, with the same limits."""
    options = client.api.create_host_config(**limits(SandboxSettings(image=IMAGE), {}))

    def run() -> None:
        made = client.api.create_container(IMAGE, ["python3", "-c", "pass"], host_config=options)
        client.api.start(made["Id"])
        with contextlib.suppress(docker.errors.NotFound):  # gone before it was asked for
            client.api.wait(made["Id"], condition="removed")

    return run


def evaluation(sandbox: Sandbox) -> Callable[[], None]:
    def evaluate() -> None:
        with sandbox.open(EMPTY, seed=0, timeout=10.0) as candidate:
            candidate.call("empty")

    return evaluate


def milliseconds(act: Callable[[], None]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1e3


def throughput(kind: str, preload: tuple[str, ...], seconds: float) -> int:
    """Evaluate for some seconds, locally in the strongest tier; return how often."""
    make = DockerSandbox if kind == "docker" else LocalSandbox
    with contextlib.closing(make(SandboxSettings(preload=preload, image=IMAGE))) as sandbox:
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
            for preload in PRELOADS:
                settings = SandboxSettings(preload=preload, allow_unisolated=True)
                local = stack.enter_context(contextlib.closing(LocalSandbox(settings, tier=tier)))
                rows[named(f"tier {tier}", preload)] = evaluation(local)
        kinds = ["local"]
        try:
            for preload in PRELOADS:
                settings = SandboxSettings(preload=preload, image=IMAGE)
                warm = stack.enter_context(contextlib.closing(DockerSandbox(settings)))
                rows[named("docker", preload)] = evaluation(warm)
            client = stack.enter_context(contextlib.closing(daemon.connect()))
            rows["docker run"] = docker_run(client)
            kinds.append("docker")
        except SandboxError as error:
            print(error)
        times: dict[str, list[float]] = {name: [] for name in rows}
        for _ in range(max(1, options.rounds // ROUND)):
            for name, act in rows.items():
                count = COLD if name == "docker run" else ROUND
                times[name] += [milliseconds(act) for _ in range(count)]
    report(times)
    for kind in kinds:
        for preload in PRELOADS:
            with ProcessPoolExecutor(2, get_context("spawn")) as pool:
                counts = pool.map(throughput, [kind] * 2, [preload] * 2, [options.seconds] * 2)
                rate = sum(counts) / options.seconds
            print(f"two processes, {named(kind, preload):16}{rate:6.0f} evaluations/s")


def named(what: str, preload: tuple[str, ...]) -> str:
    return what + (", numpy" if preload else "")


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
