"""How much of what a model could answer a run makes use of.

The server takes two seconds for an answer, so a concurrency of n bounds a run at n / 2 completions
a second. Every evaluation sleeps 50 ms. Server, controller and workers are processes of their own,
as in a user's run. The rate is that of the steady part: without the first six waves of answers
and the last two. The baseline of the ratio is the bound.

    python benchmarks/utilisation.py [--concurrency 16 64] [--waves 20]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from served import peak_memory, rows, server, start, write_task

LATENCY = 2.0  # seconds
SLEEP = 0.05  # seconds
WARM, COOL = 6, 2  # waves of answers that are left out: workers start, the first wave disperses


@dataclass(frozen=True)
class Figures:
    """What one run reached."""

    rate: float  # completions a second over the steady part
    megabytes: float  # of the controller, at its peak
    cpu_ms: float  # of the controller, for one completion
    completions: int


def measure(folder: Path, concurrency: int, waves: int) -> Figures:
    """Run as many evaluations as fill that many waves of answers."""
    out, log = folder / "run", folder / "log"
    evaluations = concurrency * waves
    workers = max(4, concurrency // 4)  # many times what sleeps of 50 ms would fill
    with server("--latency", LATENCY) as address:
        task = write_task(folder / "task", address, concurrency=concurrency, sleep=SLEEP)
        words = ("--out", out, "--evaluations", evaluations, "--workers", workers)
        process = start("run", task, *words, log=log)
        megabytes = ticks = 0.0
        while process.poll() is None:
            megabytes = max(megabytes, peak_memory(process.pid))
            ticks = max(ticks, cpu_seconds(process.pid))
            time.sleep(0.1)
    assert process.returncode == 0, log.read_text()
    arrived = [moment for (moment,) in rows(out, "SELECT arrived FROM completions ORDER BY 1")]
    first = WARM * concurrency
    # Whole waves: answers that were asked for together come together.
    last = first + (len(arrived) - first - COOL * concurrency) // concurrency * concurrency
    rate = (last - first) / (arrived[last] - arrived[first])
    return Figures(rate, megabytes, 1000 * ticks / len(arrived), len(arrived))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, its children's without; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--waves", type=int, default=20, help="of answers, two seconds each")
    arguments = parser.parse_args()
    print(f"{'concurrency':>11} {'bound':>8} {'reached':>8} {'ratio':>7} {'controller':>11}"
          f" {'CPU a completion':>17} {'completions':>12}")  # fmt: skip
    for concurrency in arguments.concurrency:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder), concurrency, arguments.waves)
        bound = concurrency / LATENCY
        print(f"{concurrency:11} {bound:6.1f}/s {found.rate:6.2f}/s {found.rate / bound:7.1%}"
              f" {found.megabytes:8.0f} MB {found.cpu_ms:14.1f} ms {found.completions:12}",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
