"""Milliseconds for an array of float64 to a candidate and back, by its size.

    python benchmarks/values.py [--rounds 200]

Beside it, in the same run, what cannot be beaten (copying the bytes as often as the kernel does on
their way over two sockets and back: eight times) and what is replaced (the same numbers as JSON,
written and parsed twice). The rows take turns, so that other work on the machine moves all of them.
Bar: about 1 ms for 1 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
from collections.abc import Callable

import numpy

from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.types import Candidate, Program

ECHO = Program(id=0, files={"echo.py": b"def echo(value):\n    return value\n"})
SIZES = (2, 128, 8192, 131_072, 1_048_576)  # numbers of 8 bytes
ROUND = 5  # calls of one row before the next one has its turn


def copying(array: numpy.ndarray) -> Callable[[], object]:
    def copy() -> object:
        for _ in range(8):
            array.copy()
        return array

    return copy


def as_json(array: numpy.ndarray) -> Callable[[], object]:
    def there_and_back() -> object:
        back = array
        for _ in range(2):
            back = numpy.array(json.loads(json.dumps(back.tolist())))
        return back

    return there_and_back


def echoing(candidate: Candidate, array: numpy.ndarray) -> Callable[[], object]:
    return lambda: candidate.call("echo", array)


def milliseconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100, help="calls in each row")
    rounds = parser.parse_args().rounds
    names = ("8 copies", "min", "median", "json", "x copies")
    print(f"{'bytes':>9}" + "".join(f"{name:>10}" for name in names))
    settings = SandboxSettings(preload=("numpy",), result_bytes=64 << 20)
    with (
        contextlib.closing(LocalSandbox(settings)) as sandbox,
        sandbox.open(ECHO, seed=0, timeout=600.0) as candidate,
    ):
        for size in SIZES:
            array = numpy.random.default_rng(0).random(size)
            echo = echoing(candidate, array)
            numpy.testing.assert_array_equal(echo(), array)
            rows = [
                (copying(array), rounds),
                (echo, rounds),
                (as_json(array), max(5, rounds // 20)),
            ]
            times: list[list[float]] = [[], [], []]
            for _ in range(max(1, rounds // ROUND)):
                for (act, most), row in zip(rows, times, strict=True):
                    row += [milliseconds(act) for _ in range(min(ROUND, most - len(row)))]
            copies, ours, text = times
            print(
                f"{array.nbytes:9}{min(copies):10.3f}{min(ours):10.3f}"
                f"{statistics.median(ours):10.3f}{min(text):10.2f}{min(ours) / min(copies):10.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
