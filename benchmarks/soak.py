"""Many evaluations in containers, good and bad ones by turns; then: what did they leave?

    python benchmarks/soak.py [1000]

Needs an engine and the image (`evolver sandbox build`). Of every sixteen programs some compute,
some crash, loop, fill their memory and their disk, flood their channel, or leave a daemon. At the
end there must be no container, process, file, descriptor or memory more than before.
"""

from __future__ import annotations

import argparse
import gc
import resource
import secrets
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evolver.errors import CandidateError
from evolver.sandboxes import SandboxSettings, daemon, image, owners
from evolver.sandboxes.docker import DockerSandbox
from evolver.types import Program

_SECONDS = 0.5  # of a candidate
_GROWTH = {"bytes of memory": 16 << 20}  # what there may be more of
_WARM_UP = 32  # evaluations before anything is counted: Python's own caches fill

_GOOD = "def f(x):\n    return x + 1\n"
_BAD = {
    "crashes": "import ctypes\ndef f(x):\n    ctypes.string_at(0)\n",
    "raises": "def f(x):\n    return 1 / 0\n",
    "exits": "import os\ndef f(x):\n    os._exit(0)\n",
    "loops": "def f(x):\n    while True: pass\n",
    "becomes a daemon": """
import ctypes, os, time
def f(x):
    ctypes.CDLL(None).prctl(15, MARK)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
    return x + 1
""",
    "forks": """
import os, time
def f(x):
    for _ in range(200):
        try:
            if os.fork() == 0:
                time.sleep(1000)
        except OSError:
            return x + 1
""",
    "fills the disk": """
def f(x):
    for name in range(50):
        with open(str(name), "wb") as file:
            file.write(bytes(4 << 20))
""",
    "fills the memory": "def f(x):\n    return len([b'x' * (1 << 20) for _ in range(10**6)])\n",
    "returns too much": "def f(x):\n    return b'x' * (64 << 20)\n",
    "floods its channel": """
import os
def f(x):
    while True:
        for fd in range(3, 20):
            try:
                os.write(fd, b"x" * 65536)
            except OSError:
                pass
""",
}


@dataclass(frozen=True)
class Report:
    """What a soak came to.

    Attributes:
        verdicts: kind of program -> what became of it -> how often.
        leaks: what there is more of than before, in sentences.
        seconds: of the evaluations.
    """

    verdicts: dict[str, Counter[str]]
    leaks: tuple[str, ...]
    seconds: float


def soak(count: int, tag: str, *, life: int = 400) -> Report:
    """Judge `count` programs in one sandbox, whose container is replaced after `life` of them."""
    mark = f"soak{secrets.token_hex(4)}"
    verdicts: dict[str, Counter[str]] = {}
    outside = left_of(mark)
    sandbox = DockerSandbox(SandboxSettings(image=tag, memory=64, processes=24), life=life)
    try:
        judge_many(sandbox, _WARM_UP, mark, {})
        before = {**inside(sandbox), **of_this_process()}
        started = time.monotonic()
        judge_many(sandbox, count, mark, verdicts)
        seconds = time.monotonic() - started
        after = {**inside(sandbox), **of_this_process()}
    finally:
        sandbox.close()
    before, after = {**before, **outside}, {**after, **left_of(mark)}
    leaks = [
        f"{what}: {now} after {before[what]}"
        for what, now in after.items()
        if now > before[what] + _GROWTH.get(what, 0)
    ]
    wrong = set(verdicts["computes"]) - {"right"}
    leaks += [f"an honest program's verdict: {verdict}" for verdict in wrong]
    return Report(verdicts, tuple(leaks), seconds)


def judge_many(
    sandbox: DockerSandbox, count: int, mark: str, verdicts: dict[str, Counter[str]]
) -> None:
    kinds = list(_BAD)
    for number in range(count):
        # Two honest ones after two bad ones: each bad one has an honest one behind it.
        kind = kinds[number // 2 % len(kinds)] if number % 2 else "computes"
        verdict = judge(sandbox, _BAD.get(kind, _GOOD).replace("MARK", repr(mark.encode())))
        verdicts.setdefault(kind, Counter())[verdict] += 1


def judge(sandbox: DockerSandbox, source: str) -> str:
    program = Program(1, {"main.py": source.encode()})
    is_good = source == _GOOD
    try:
        with sandbox.open(program, seed=1, timeout=10.0 if is_good else _SECONDS) as candidate:
            return "right" if candidate.call("f", 41) == 42 else "wrong"
    except CandidateError as error:
        return type(error).__name__


def left_of(mark: str) -> dict[str, int]:
    """Count the containers of this process, and the processes of its candidates, on the host."""
    client = daemon.connect()
    try:
        own = f"{daemon.OWNER}={owners.this_process()}"
        containers = client.api.containers(all=True, filters={"label": own})
    finally:
        client.close()
    return {
        "containers": len(containers),
        "processes": sum(name == mark for name in map(name_of, Path("/proc").iterdir())),
    }


def inside(sandbox: DockerSandbox) -> dict[str, int]:
    """Count what lies and runs in the container: the runner's own, and what candidates left."""
    client = daemon.connect()
    try:
        count = "import os; print(sum(len(f) + len(d) for _, d, f in os.walk('/tmp')))"
        command = client.api.exec_create(sandbox.container, ["python3", "-c", count])
        files = client.api.exec_start(command["Id"])
        processes = client.api.top(sandbox.container)["Processes"]
    finally:
        client.close()
    return {"files in the container": int(files), "processes in the container": len(processes)}


def name_of(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""


def of_this_process() -> dict[str, int]:
    """Count open descriptors, and the memory that it takes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "bytes of memory": pages * resource.getpagesize(),
    }


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("count", nargs="?", type=int, default=1000, help="evaluations")
    parser.add_argument("--image", default=image.default_tag())
    options = parser.parse_args(words)
    report = soak(options.count, options.image)
    for kind, counts in report.verdicts.items():
        print(f"{kind:20}", ", ".join(f"{count} {name}" for name, count in counts.items()))
    rate = options.count / report.seconds
    print(f"{options.count} evaluations in {report.seconds:.0f} s, {rate:.1f} a second")
    print("left behind:", "; ".join(report.leaks) or "nothing")
    return len(report.leaks)


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
