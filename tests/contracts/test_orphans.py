"""The processes that a runner leaves are killed: by its keeper, and by the next runner."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from other_user import can_change_user, run_python

from evolver.sandboxes.local import LocalSandbox
from evolver.sandboxes.settings import SandboxSettings

GROUPS = Path("/sys/fs/cgroup/pids")
SOMEBODY = 40_000 + os.getpid() % 20_000  # whose processes count against no other test's limit
SLEEPER = """
import os, time
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), flush=True)
    os.close(1)
    time.sleep(300)
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A group that is named as one of a runner that is dead."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    folder = GROUPS / f"evolver-{Path('/proc/self/ns/pid').stat().st_ino}-{ended.pid}"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("no writable pids cgroup of version 1 here")
    yield folder
    with contextlib.suppress(OSError):
        folder.rmdir()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_orphans_in_the_group_of_a_dead_runner_are_killed(group: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True, check=True
    )
    orphan = int(told.stdout)
    (group / "cgroup.procs").write_text(str(orphan))
    LocalSandbox(SandboxSettings(allow_unisolated=True)).close()
    assert not is_alive(orphan)
    assert not group.exists()


def test_the_group_of_a_runner_in_another_process_namespace_is_left_alone(group: Path) -> None:
    other = group.with_name("evolver-1-" + group.name.rpartition("-")[2])
    other.mkdir()
    try:
        LocalSandbox(SandboxSettings(allow_unisolated=True)).close()
        assert other.exists()
        assert not group.exists()
    finally:
        other.rmdir()


#: It runs in a process namespace of its own, so all later processes in it belong to the sandbox.
BOMBED = """
import contextlib, os, signal, sys, time
from pathlib import Path
from evolver.errors import SandboxError
from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.types import Program

source = b'''
import os
def f():
    if os.fork() == 0:
        os.setsid()
        while True:
            try:
                os.fork()
            except OSError:
                pass
'''

def children(pid):
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())

def alive():
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if path.read_text().rpartition(")")[2].split()[0] != "Z":
                found.add(int(path.parent.name))
    return found

def strangers():
    return alive() - before

def wait_until(condition, seconds=30):
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.01)

before = alive()
tier, victim = sys.argv[1:]
host = os.fork() if victim == "host" else 0
if host == 0:
    sandbox = LocalSandbox(SandboxSettings(allow_unisolated=True, processes=1000), tier=tier)
    [keeper] = children(os.getpid())
    [runner] = children(keeper)
    [zygote] = children(runner)
    with contextlib.suppress(SandboxError):
        with sandbox.open(Program(1, {"p.py": source}), seed=1, timeout=60) as candidate:
            candidate.call("f")
            if victim == "host":
                time.sleep(60)
            wait_until(lambda: len(strangers()) > 50)
            print(len(strangers()) > 50, flush=True)
            pids = {"keeper": keeper, "runner": runner, "zygote": zygote, "hanging runner": runner}
            os.kill(pids[victim], signal.SIGSTOP if "hanging" in victim else signal.SIGKILL)
    sandbox.close()
else:
    wait_until(lambda: len(strangers()) > 50)
    print(len(strangers()) > 50, flush=True)
    os.kill(host, signal.SIGKILL)
if victim in ("host", "keeper"):  # nothing waits for the processes then
    wait_until(lambda: not strangers())
print(len(strangers()))
"""


@pytest.mark.slow
@pytest.mark.skipif(not can_change_user(), reason="only root can become another user")
@pytest.mark.parametrize(
    ("tier", "user", "victim"),
    [
        ("A", "root", "runner"),
        ("A", "user", "runner"),
        ("B", "root", "runner"),
        ("B", "user", "runner"),
        ("B", "root", "hanging runner"),
        ("B", "user", "hanging runner"),
        ("B", "user", "zygote"),
        ("B", "user", "keeper"),
        ("B", "root", "host"),
        ("B", "user", "host"),
    ],
)
def test_a_fork_bomb_does_not_outlive_its_sandbox(tier: str, user: str, victim: str) -> None:
    uid = 0 if user == "root" else SOMEBODY
    done = run_python(["-c", BOMBED, tier, victim], uid=uid, timeout=120, alone=True)
    assert done.stdout.splitlines() == ["True", "0"], done.stdout + done.stderr
