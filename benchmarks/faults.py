"""A run whose model fails in 30 % of its answers and is wrong in another 30 %.

The faults of the provider: 429 with and without a Retry-After, 500, connections closed before and
in the middle of the body, bodies that are no JSON, answers without choices. Those of the model: the
slips of `tests/llm_answers.py`. What has to come out: all evaluations are reached; every request
and every answer that the server sent is in the run's ledger; and the ledger's tokens are the
server's own, to the token. The baseline is the same run without faults.

    python benchmarks/faults.py [--evaluations 200] [--failed 0.3] [--malformed 0.3]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from served import ledger, rows, server, start, write_task

from evolver.storage.reader import Reader


@dataclass(frozen=True)
class Figures:
    """A run beside what its server says of it."""

    evaluations: int
    attempts: int
    completions: int
    requests: int
    tokens: tuple[int, int]
    unknown: int  # requests that may have cost something that nobody was told
    unaccounted: int  # whole answers of the server that the run does not know
    seconds: float
    served: Mapping[str, Any]

    @property
    def mistakes(self) -> list[str]:
        """What should not be."""
        told = self.served["prompt_tokens"], self.served["completion_tokens"]
        checks = {
            "requests that the ledger does not have": self.served["requests"] - self.requests,
            "tokens of prompts that differ": told[0] - self.tokens[0],
            "tokens of completions that differ": told[1] - self.tokens[1],
            "answers that the ledger does not have": self.unaccounted,
            "lost answers that it does not know of": max(
                0, self.served["lost_answers"] - self.unknown
            ),
        }
        return [f"{count} {name}" for name, count in checks.items() if count]


def measure(folder: Path, evaluations: int, shares: Sequence[object]) -> Figures:
    """Run that many evaluations against a server with these faults."""
    folder.mkdir()
    out, log = folder / "run", folder / "log"
    with server("--latency", 0.05, *shares) as address:
        task = write_task(folder / "task", address, concurrency=8)
        started = time.monotonic()
        process = start("run", task, "--out", out, "--evaluations", evaluations, log=log)
        code = process.wait()
        seconds = time.monotonic() - started
        served = ledger(address)
    assert code == 0, log.read_text()
    store = Reader.open(out)
    bill = store.bill()
    spent = sum(o.evaluation.evaluations for o in store.outcomes() if o.evaluation is not None)
    store.close()
    # A whole answer is either a completion, or a failure that knows its bill. A body that is no
    # JSON is a completion too: it arrived, and nothing says that it was free.
    whole = len(served["answers"]) + served["faults"].get("invalid", 0)
    known = rows(out, "SELECT count(*) FROM completions") + rows(
        out, "SELECT count(*) FROM failures WHERE prompt_tokens > 0"
    )
    return Figures(
        spent,
        rows(out, "SELECT count(*) FROM outcomes")[0][0],
        known[0][0],
        rows(out, "SELECT count(*) FROM requests")[0][0],
        (bill.prompt_tokens, bill.completion_tokens),
        bill.unknown,
        whole - known[0][0] - known[1][0],
        seconds,
        served,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--failed", type=float, default=0.3)
    parser.add_argument("--malformed", type=float, default=0.3)
    arguments = parser.parse_args()
    faulty = ("--failed", arguments.failed, "--malformed", arguments.malformed)
    print(f"{'':10} {'evaluations':>11} {'attempts':>8} {'completions':>11} {'requests':>8}"
          f" {'tokens':>9} {'server':>9} {'unknown':>7} {'seconds':>8}")  # fmt: skip
    mistakes: list[str] = []
    for name, shares in (("no faults", ()), ("faults", faulty)):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder) / "trial", arguments.evaluations, shares)
        told = found.served["prompt_tokens"] + found.served["completion_tokens"]
        print(f"{name:10} {found.evaluations:11} {found.attempts:8} {found.completions:11}"
              f" {found.requests:8} {sum(found.tokens):9} {told:9} {found.unknown:7}"
              f" {found.seconds:8.1f}", flush=True)  # fmt: skip
        mistakes += [f"{name}: {mistake}" for mistake in found.mistakes]
    print("faults:", ", ".join(f"{n} {k}" for k, n in sorted(found.served["faults"].items())))
    print("\n".join(mistakes) or "Every answer is accounted for, to the token.")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
