"""What a runner leaves that was killed itself is killed by the next one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolver.sandboxes.local import LocalSandbox
from evolver.sandboxes.settings import SandboxSettings

GROUPS = Path("/sys/fs/cgroup/pids")
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
    folder = GROUPS / f"evolver-{ended.pid}"
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


def test_orphans_of_a_dead_runner_are_killed_and_children_of_others_are_not(group: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True, check=True
    )
    orphan = int(told.stdout)
    (group / "cgroup.procs").write_text(str(orphan))
    LocalSandbox(SandboxSettings(allow_unisolated=True)).close()
    assert not is_alive(orphan)

    group.mkdir(exist_ok=True)
    child = subprocess.Popen(["sleep", "300"])  # somebody looks after this one
    try:
        (group / "cgroup.procs").write_text(str(child.pid))
        LocalSandbox(SandboxSettings(allow_unisolated=True)).close()
        time.sleep(0.1)
        assert child.poll() is None
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
