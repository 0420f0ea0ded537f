"""Everything of evolver that needs a GPU, on the one that is here: tasks, checks, one table.

    python benchmarks/gpu.py                # under eight minutes; without a GPU it says so
    python benchmarks/gpu.py --seconds 120  # what can be done in that time

The seed of each task is judged as a run would judge it, and beside it a program written by hand
(`benchmarks/gpu_programs/`), which is to score higher. The checks are the tests that run on a GPU
where there is one, attacks on the clock among them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from evolver import extras
from evolver.bundled import bundled
from evolver.errors import UsageError
from evolver.scoring import devices
from evolver.tasks.task import load_task

ROOT = Path(__file__).resolve().parents[1]
BY_HAND = Path(__file__).with_name("gpu_programs")
SHARE = 0.6  # of the time, for the tasks


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=450.0)
    seconds = parser.parse_args().seconds
    try:
        devices.require("cuda", (0,))
        extras.require_modules("torch", "triton")
    except UsageError as error:
        print(f"nothing is measured: {error}")
        return 2
    started = time.monotonic()
    print(f"{datetime.now(UTC):%Y-%m-%d}; {'; '.join(devices.driver())}\n")
    print("| task | program | found | seconds |\n|---|---|---|---|", flush=True)
    failed = 0
    for task, program, options in programs():
        left = started + SHARE * seconds - time.monotonic()
        row, is_judged = judged(task, options, left)
        failed += not is_judged
        print(f"| {task} | {program} | {row} |", flush=True)
    return failed + checks(started + seconds - time.monotonic())


def programs() -> Iterator[tuple[str, str, list[str]]]:
    """Return each task on a GPU, with its seed and with what was written by hand."""
    examples = bundled("examples")
    for path in sorted(examples.glob("**/task.toml")):
        if not load_task(path.parent).settings.sandbox.gpus:
            continue
        name = path.parent.relative_to(examples).as_posix()
        yield name, "the seed", []
        by_hand = BY_HAND / f"{name.partition('/')[0]}.py"
        if by_hand.is_file():
            yield name, "by hand", ["--program", str(by_hand)]


def judged(task: str, options: list[str], seconds: float) -> tuple[str, bool]:
    """Judge a program; return the end of its row, and whether the verdict is "ok"."""
    if seconds < 10:
        return "no time was left | ", False
    command = [sys.executable, "-m", "evolver", "evaluate", f"examples/{task}", *options, "--json"]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=bundled("examples").parent, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return f"not in {seconds:.0f} s | ", False
    took = time.monotonic() - started
    if done.returncode:
        return f"{line(done.stderr)} | {took:.0f}", False
    found = json.loads(done.stdout.splitlines()[-1])
    private = {f"{name} (private)": one for name, one in found["private"].items()}
    numbers = [f"{name} {one:.4g}" for name, one in {**found["metrics"], **private}.items()]
    text = f"{', '.join(numbers) or found['status']}: {line(found['feedback'], '; ')}"
    return f"{text} | {took:.0f}", found["status"] == "ok"


def line(text: str, between: str = " ") -> str:
    """Return a text as one cell."""
    return between.join(filter(None, (part.strip() for part in text.splitlines()))).replace(
        "|", "/"
    )


def checks(seconds: float) -> int:
    """Run the tests that need a GPU; return their exit code."""
    tests = sorted((ROOT / "tests" / "unit").glob("test_*.py"))
    chosen = [str(path.relative_to(ROOT)) for path in tests if "HAS_GPU" in path.read_text("utf-8")]
    command = ["pytest", "-q", "-n", "0", "-k", "cuda", "-rfE", *chosen]
    print(f"\n{' '.join(command)}", flush=True)
    try:
        done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, timeout=max(30, seconds))
    except subprocess.TimeoutExpired:
        print("the checks did not end in the time given")
        return 1
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
