"""Kill a run with `kill -9` again and again, resume it each time, and see what was paid for twice.

Each session of a real command line, with models, is killed after a random time; the last one ends
by itself. What has to come out: no completion that was stored before a kill is asked for again; no
evaluation that was committed before a kill is made again, but for the confirmations at the end; and
exactly the evaluations of the budget are spent. The baseline is the same run without a kill.

    python benchmarks/kills.py [20] [--seed 0]
"""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from served import ledger, rows, server, start, write_task

from evolver.errors import UsageError
from evolver.storage.reader import Reader

EVALUATIONS_A_KILL = 12  # so that most kills find work to do
LONGEST_LIFE = 2.0  # seconds that a session works before it is killed, at most


@dataclass
class Trial:
    """What is known of a run that is killed now and then.

    Attributes:
        kills: so far; of them `early`, before the run had a database.
        committed: digest of a program -> when it was first seen to be committed.
        answered: (attempt, call) -> the stored answers, as they were first seen.
        lost: stored answers that were different or gone later.
    """

    run: Path
    journal: Path
    kills: int = 0
    early: int = 0
    committed: dict[str, float] = field(default_factory=dict)
    answered: dict[tuple[int, int], str] = field(default_factory=dict)
    lost: int = 0

    def look(self) -> None:
        """Note what is stored; nobody is writing now."""
        if not (self.run / "evolver.db").exists():
            self.early += 1
            return
        stored = {
            (attempt, call): answers
            for attempt, call, answers in rows(
                self.run, "SELECT attempt, call, answers FROM completions"
            )
        }
        self.lost += sum(stored.get(key) != answers for key, answers in self.answered.items())
        self.answered = stored
        now = time.time()
        for program in self.programs():
            self.committed.setdefault(program, now)

    def programs(self, *, confirmed: bool = False) -> set[str]:
        """Return the digests of the programs that were judged, or confirmed."""
        try:
            with closing(Reader.open(self.run)) as store:
                again = {confirmation.program for confirmation in store.confirmations()}
                return {
                    hashlib.sha256(b"".join(o.program.files.values())).hexdigest()
                    for o in store.outcomes()
                    if o.program is not None and (not confirmed or o.program.id in again)
                }
        except UsageError:
            return set()

    def bought_again(self) -> int:
        """Return how many requests were sent for a call whose answer was stored before."""
        return int(
            rows(
                self.run,
                "SELECT count(*) FROM requests r JOIN completions c "
                "ON c.attempt = r.attempt AND c.call = r.call WHERE r.id > c.request",
            )[0][0]
        )

    def judged_again(self) -> int:
        """Return how many committed programs were judged again, confirmations aside."""
        confirmed = self.programs(confirmed=True)
        count = 0
        for line in self.journal.read_text().splitlines():
            moment, program = line.split()
            is_again = float(moment) > self.committed.get(program, float("inf"))
            count += is_again and program not in confirmed
        return count

    @property
    def spent(self) -> int:
        """Return how many evaluations the run has made and counted."""
        question = "SELECT sum(evaluations) FROM evaluations WHERE purpose = 'score'"
        return int(rows(self.run, question)[0][0])

    @property
    def requests(self) -> int:
        """Return how many requests the run says that it sent."""
        return int(rows(self.run, "SELECT count(*) FROM requests")[0][0])


@dataclass(frozen=True)
class Figures:
    """What came of a trial."""

    kills: int
    early: int
    answers: int
    lost: int
    bought_again: int
    judged_again: int
    spent: int
    budget: int
    requests: int
    served: int
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, paid for twice, or unknown to the ledger."""
        wasted = self.lost + self.bought_again + self.judged_again
        return wasted == 0 and self.spent == self.budget and self.requests >= self.served


def measure(folder: Path, kills: int, rng: random.Random) -> Figures:
    """Kill a run that often, and then let it end."""
    folder.mkdir()
    trial = Trial(folder / "run", folder / "journal")
    trial.journal.touch()
    budget = 20 + EVALUATIONS_A_KILL * kills
    started = time.monotonic()
    with server("--latency", 0.2, "--failed", 0.1, "--malformed", 0.1) as address:
        task = write_task(
            folder / "task", address, concurrency=8, sleep=0.05, journal=str(trial.journal)
        )
        first = ("run", task, "--out", trial.run, "--evaluations", budget)
        while True:
            is_begun = (trial.run / "evolver.db").exists()
            words = ("resume", trial.run) if is_begun else first
            process = start(*words, log=folder / "log")
            if trial.kills < kills:
                wait_for_a_moment(process, trial.journal, rng)
                process.kill()
            code = process.wait()
            trial.look()
            if code != -signal.SIGKILL:
                break
            trial.kills += 1
        assert code == 0, (folder / "log").read_text()[-4000:]
        served = ledger(address)["requests"]
    return Figures(
        trial.kills,
        trial.early,
        len(trial.answered),
        trial.lost,
        trial.bought_again(),
        trial.judged_again(),
        trial.spent,
        budget,
        trial.requests,
        served,
        time.monotonic() - started,
    )


def wait_for_a_moment(process: subprocess.Popen[bytes], journal: Path, rng: random.Random) -> None:
    """Wait for a random time: of four sessions, one while it starts, three while it works."""
    before = journal.stat().st_size
    if rng.random() < 0.75:
        while journal.stat().st_size == before and process.poll() is None:
            time.sleep(0.01)
    deadline = time.monotonic() + rng.uniform(0.0, LONGEST_LIFE)
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    print(f"{'kills':>6} {'early':>6} {'answers':>8} {'lost':>5} {'bought again':>13}"
          f" {'judged again':>13} {'evaluations':>14} {'requests':>9} {'served':>7}"
          f" {'seconds':>8}")  # fmt: skip
    are_good = True
    for kills in (0, arguments.kills):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder) / "trial", kills, random.Random(arguments.seed))
        spent = f"{found.spent} of {found.budget}"
        print(f"{found.kills:6} {found.early:6} {found.answers:8} {found.lost:5}"
              f" {found.bought_again:13} {found.judged_again:13} {spent:>14} {found.requests:9}"
              f" {found.served:7} {found.seconds:8.1f}", flush=True)  # fmt: skip
        are_good = are_good and found.is_good
    print("Nothing was paid for twice." if are_good else "Something was paid for twice, or lost.")
    return 0 if are_good else 1


if __name__ == "__main__":
    sys.exit(main())
