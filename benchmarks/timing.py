"""Speed-up that `Candidate.time` sees where candidate and reference are the same text: 1.00.

    python benchmarks/timing.py [--docker] [--loaded] [--rounds 5] [--shapes ints text]
                                [--times 10us 1ms]

A row for each kind of argument and of result, a column for each duration of a call; a cell is the
median of the rounds. `--loaded` keeps a process busy on every core meanwhile. Bar: every cell
within 3 % of 1.00, idle and loaded, here and in a container.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # as in a worker, where references are called

import numpy  # noqa: E402

from evolver.ports import Sandbox  # noqa: E402
from evolver.sandboxes import LocalSandbox, SandboxSettings, image  # noqa: E402
from evolver.types import Program  # noqa: E402

#: What is done with an argument again and again, until the call has lasted long enough.
WORK = {
    "int": "(x * 7 + 3) % 1000003 + len(range(x % 97))",
    "float": "(x * 0.5 + 1.0) ** 2 + abs(x - 0.25)",
    "ints": "sum(1 for y in x if y < x[0])",
    "floats": "sum(y * 0.5 for y in x)",
    "nested": "sum(sum(row) for row in x)",
    "text": "len(x.replace('a', 'bb').split('c'))",
    "bytes": "sum(x) + x.count(b'a')",
    "array": "float((x * x).sum())",
    "matrix": "(x @ x)[0, 0]",
}
DRAW: dict[str, Callable[[Random], Any]] = {
    "int": lambda rng: rng.getrandbits(40),
    "float": lambda rng: rng.random(),
    "ints": lambda rng: [rng.getrandbits(20) for _ in range(100)],
    "floats": lambda rng: [rng.random() for _ in range(100)],
    "nested": lambda rng: [[rng.random() for _ in range(10)] for _ in range(10)],
    "text": lambda rng: "".join(rng.choices("abcdef ä", k=200)),
    "bytes": lambda rng: rng.randbytes(200),
    "array": lambda rng: numpy.random.default_rng(rng.getrandbits(60)).random(500),
    "matrix": lambda rng: numpy.random.default_rng(rng.getrandbits(60)).random((100, 100)),
}
#: A light result is a number, a heavy one is as large as the argument.
RESULTS = {
    "light": "float(found)",
    "heavy": "[found, [y for y in x] if isinstance(x, list) else x * 2]",
}
TIMES = {"10us": 1e-5, "100us": 1e-4, "1ms": 1e-3, "10ms": 1e-2, "100ms": 1e-1}
BUSY = "while True: pass"


def text_of(shape: str, result: str, times: int) -> str:
    """Return a program that works so many times on its argument."""
    return (
        f"def f(x):\n    for _ in range({times}):\n        found = {WORK[shape]}\n"
        f"    return {RESULTS[result]}\n"
    )


def calibrated(shape: str, result: str, seconds: float) -> str:
    """Return a program whose calls take about so long."""
    argument = DRAW[shape](Random(0))

    def took(times: int) -> float:
        function = compiled(text_of(shape, result, times))
        started = time.thread_time()
        function(argument)
        return time.thread_time() - started

    times = 1
    while (once := min(took(times) for _ in range(3))) < 2e-3:
        times *= 4
    return text_of(shape, result, max(1, round(times * seconds / once)))


def compiled(source: str) -> Callable[..., Any]:
    """Return a program's function."""
    space: dict[str, Any] = {}
    exec(source, space)
    function: Callable[..., Any] = space["f"]
    return function


def speedup(sandbox: Sandbox, source: str, shape: str, seed: int, repeats: int = 9) -> float:
    """Time a program against itself."""

    def inputs() -> Iterator[tuple[Any]]:
        rng = Random(seed)
        while True:
            yield (DRAW[shape](rng),)

    program = Program(id=0, files={"main.py": source.encode()})
    with sandbox.open(program, seed=seed, timeout=300.0) as candidate:
        timing = candidate.time("f", inputs(), repeats=repeats, reference=compiled(source))
    assert timing.speedup is not None
    return timing.speedup


@contextlib.contextmanager
def load(processes: int) -> Iterator[None]:
    """Keep so many processors busy."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def opened(*, docker: bool) -> Sandbox:
    """Make a sandbox with numpy."""
    if docker:
        from evolver.sandboxes.docker import DockerSandbox

        return DockerSandbox(SandboxSettings(preload=("numpy",), image=image.default_tag()))
    return LocalSandbox(SandboxSettings(preload=("numpy",)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--docker", action="store_true", help="in a container")
    parser.add_argument("--loaded", action="store_true", help="with a busy process on every core")
    parser.add_argument("--rounds", type=int, default=5, help="of which a cell is the median")
    parser.add_argument("--shapes", nargs="*", choices=list(WORK), default=list(WORK))
    parser.add_argument("--times", nargs="*", choices=list(TIMES), default=list(TIMES))
    asked = parser.parse_args()
    print(f"{'argument':9}{'result':7}" + "".join(f"{name:>8}" for name in asked.times))
    worst = (0.0, "")
    with (
        contextlib.closing(opened(docker=asked.docker)) as sandbox,
        load((os.cpu_count() or 1) * asked.loaded),
    ):
        for shape in asked.shapes:
            for result in RESULTS:
                print(f"{shape:9}{result:7}", end="", flush=True)
                for name in asked.times:
                    source = calibrated(shape, result, TIMES[name])
                    rounds = range(asked.rounds)
                    found = statistics.median(speedup(sandbox, source, shape, k) for k in rounds)
                    worst = max(worst, (abs(found - 1), f"{shape}, {result}, {name}: {found:.3f}"))
                    print(f"{found:8.3f}", end="", flush=True)
                print()
    print(f"worst: {worst[1]}")


if __name__ == "__main__":
    main()
