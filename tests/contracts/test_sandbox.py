"""The contract on each tier of the local sandbox, and what only the local one does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sandbox_attacks import processes_named
from sandbox_contract import SandboxContract
from sandbox_world import ROWS, SandboxWorld, table

from evolver.errors import SandboxError
from evolver.sandboxes import LocalSandbox, SandboxSettings, lacks
from evolver.sandboxes.local import TIERS
from evolver.types import Files, Program

#: What resource limits cannot stop.
UNCONTAINED_BY_LIMITS = frozenset(
    {
        "changes_what_is_the_users",
        "connects_to_local_servers",
        "has_the_kernel_signal_for_it",
        "hides_its_memory",
        "imports_the_judge",
        "kills_everything",
        "leases_files",
        "leaves_traces",
        "links_to_secrets",
        "reads_environments",
        "reads_memory_of_others",
        "reads_other_candidates",
        "reads_the_hosts_files",
        "speaks_another_architecture",
        "traces_processes",
        "uses_the_kernels_back_doors",
        "uses_the_network",
        "writes_elsewhere",
        "writes_result_files",
    }
)


class LocalContract(SandboxWorld, SandboxContract):
    tier = ""

    @classmethod
    def make(
        cls,
        settings: SandboxSettings,
        *,
        base: Files | None = None,
        guest: Files | None = None,
        main: str = "",
    ) -> Any:
        settings = replace(settings, allow_unisolated=True)
        return LocalSandbox(settings, base=base, guest=guest, main=main, tier=cls.tier)


class TestNamespaces(LocalContract):
    tier = "A"


class TestLandlock(LocalContract):
    tier = "B"


class TestPlain(LocalContract):
    tier = "C"
    uncontained = UNCONTAINED_BY_LIMITS


def absent(reason: str) -> Callable[[], None]:
    """Stand for all tests of a tier that this host lacks: one line in the report, not seventy."""

    @pytest.mark.skip(reason=reason)
    def test() -> None: ...

    return test


for contract in (TestNamespaces, TestLandlock, TestPlain):
    if missing := lacks(contract.tier):
        globals()[f"test_tier_{contract.tier}"] = absent("; ".join(missing))
        del globals()[contract.__name__]

del SandboxContract, SandboxWorld, LocalContract, contract  # or they would be collected themselves


# --- the local sandbox only -----------------------------------------------------------------------

HONEST = Program(1, {"main.py": b"def f():\n    return 1\n"})


def run_python(script: str, **options: Any) -> subprocess.Popen[str]:
    """Start a host process that prints what it is asked for."""
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        **options,
    )


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_everything_dies_with_a_worker_that_is_killed() -> None:
    mark = f"orphan-{os.getpid() % 10**6}"
    source = f"""
from evolver.sandboxes import *
from evolver.types import Program
source = b'''
import ctypes, os, time
def f():
    ctypes.CDLL(None).prctl(15, b"{mark}")
    if os.fork() == 0 and os.fork() == 0:
        os.setsid()
    time.sleep(60)
'''
sandbox = LocalSandbox(SandboxSettings())
with sandbox.open(Program(1, {{"main.py": source}}), seed=1, timeout=60) as candidate:
    print("open", flush=True)
    candidate.call("f")
"""
    with run_python(source) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "open\n"
        wait_until(lambda: len(processes_named(mark)) >= 3)
        worker.kill()
        worker.wait()
        wait_until(lambda: not processes_named(mark))


def test_a_runner_that_was_killed_is_replaced() -> None:
    before = children_of(os.getpid())
    sandbox = LocalSandbox(SandboxSettings(), guest={"guest.py": b"def one():\n    return 1\n"})
    with contextlib.closing(sandbox):
        with sandbox.open(HONEST, seed=1, timeout=5) as candidate:
            candidate.call("f")
        kill_runners(before)
        with sandbox.open(HONEST, seed=1, timeout=5) as candidate:
            assert candidate.call("guest:one") == 1


def test_a_runner_that_dies_under_a_candidate_is_no_verdict_on_it() -> None:
    before = children_of(os.getpid())
    with contextlib.closing(LocalSandbox(SandboxSettings())) as sandbox:
        with sandbox.open(HONEST, seed=1, timeout=5) as candidate:
            kill_runners(before)
            with pytest.raises(SandboxError):
                candidate.call("f")
        with sandbox.open(HONEST, seed=1, timeout=5) as candidate:
            assert candidate.call("f") == 1


def test_a_time_too_short_for_any_process_is_told() -> None:
    with contextlib.closing(LocalSandbox(SandboxSettings())) as sandbox:
        late = "no process was ready in the evaluation's 1e-06 s"
        with (
            pytest.raises(SandboxError, match=late),
            sandbox.open(HONEST, seed=1, timeout=1e-6),
        ):
            pass
        with sandbox.open(HONEST, seed=1, timeout=5) as candidate:
            assert candidate.call("f") == 1


def test_a_closed_sandbox_leaves_nothing() -> None:
    before = children_of(os.getpid())
    sandbox = LocalSandbox(SandboxSettings())
    with sandbox.open(HONEST, seed=1, timeout=5):
        pass
    sandbox.close()
    assert children_of(os.getpid()) == before


def test_a_preload_that_starts_threads_is_left_to_each_candidate(tmp_path: Path) -> None:
    """As torch does: it works, and the sandbox says that it is slower."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    for folder in (tmp_path, packages):
        folder.chmod(0o755)
    (packages / "threaded.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
        "lock = threading.Lock()\n"
    )
    script = """
from evolver.sandboxes import *
from evolver.types import Program
sandbox = LocalSandbox(SandboxSettings(preload=("threaded",)))
source = b"import sys, threaded\\ndef f():\\n    with threaded.lock:\\n        return 1\\n"
for _ in range(2):
    with sandbox.open(Program(1, {"main.py": source}), seed=1, timeout=5) as candidate:
        print(candidate.call("f"))
print(sandbox.report().notes[0])
sandbox.close()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=30
    )
    assert done.stdout.splitlines()[:2] == ["1", "1"], done.stderr
    assert "threaded starts threads (2 in all)" in done.stdout


@pytest.mark.parametrize("tier", TIERS[:2])
def test_installed_evaluators_are_hidden(tmp_path: Path, tier: str) -> None:
    if missing := lacks(tier):
        pytest.skip("; ".join(missing))
    packages = tmp_path / "site-packages"
    for folder in ("evolver", "answers", "library", "answers-1.dist-info"):
        (packages / folder).mkdir(parents=True)
        (packages / folder / "__init__.py").write_text("FOUND = True\n")
    (packages / "single.py").write_text("FOUND = True\n")
    (packages / "answers-1.dist-info/METADATA").write_text("Name: answers\nVersion: 1\n")
    (packages / "answers-1.dist-info/entry_points.txt").write_text(
        "[evolver.evaluators]\none = answers:evaluate\ntwo = single:evaluate\n"
    )
    for place in (tmp_path, *tmp_path.parents):
        if "pytest" in str(place):
            place.chmod(0o711)  # pytest's folders are closed to others
    script = f"""
from evolver.sandboxes import *
from evolver.types import Program
source = b'''
def f():
    found = []
    for name in ("library", "evolver", "answers", "single"):
        try:
            found.append(name) if __import__(name).FOUND else None
        except (ImportError, AttributeError, OSError):
            pass
    return found
'''
sandbox = LocalSandbox(SandboxSettings(), tier={tier!r})
with sandbox.open(Program(1, {{"main.py": source}}), seed=1, timeout=5) as candidate:
    print(candidate.call("f"))
sandbox.close()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(packages)])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=30
    )
    assert done.stdout == "['library']\n", done.stderr


def test_the_table_of_what_programs_find_has_a_probe_for_each_row() -> None:
    assert list(table()) == list(ROWS)


def test_what_is_too_weak_is_refused() -> None:
    with pytest.raises(SandboxError, match="--allow-unisolated"):
        LocalSandbox(SandboxSettings(), tier="C")
    with pytest.raises(SandboxError, match="requires isolation A, this host offers C"):
        LocalSandbox(SandboxSettings(require="A", allow_unisolated=True), tier="C")


def kill_runners(before: set[int]) -> None:
    for keeper in children_of(os.getpid()) - before:
        for runner in children_of(keeper):
            os.kill(runner, signal.SIGKILL)


def children_of(pid: int) -> set[int]:
    return {
        int(word)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for word in (task / "children").read_text().split()
    }
