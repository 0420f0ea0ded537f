"""What candidates try, and what every sandbox makes of it.

What is shown each time is that the verdict comes in time and that the next, honest candidate is
judged as if nothing had been.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from evolver.errors import (
    CandidateCrashed,
    CandidateError,
    CandidateOutputError,
    CandidateTimeout,
)
from evolver.sandboxes import SandboxSettings
from evolver.types import Files, Program, Sandbox

SETTINGS = SandboxSettings(memory=256, processes=24, result_bytes=4 << 20)
NAMED = """
import ctypes, os, time
def name(text):  # as the host sees this process
    ctypes.CDLL(None).prctl(15, text.encode())
"""


def program(source: bytes | str, **more: bytes) -> Program:
    """Make a program of one file, or of more."""
    text = source.encode() if isinstance(source, str) else source
    return Program(id=1, files={"main.py": text, **more})


class SandboxAttacks(ABC):
    """Attacks on a sandbox; `make` says how one is made."""

    base: ClassVar[Files] = {}
    guest: ClassVar[Files] = {}
    confines_files = True
    confines_network = True
    confines_signals = True

    @classmethod
    @abstractmethod
    def make(
        cls,
        settings: SandboxSettings,
        *,
        base: Files | None = None,
        guest: Files | None = None,
        main: str = "",
    ) -> Any:
        """Make a sandbox, or skip where this host cannot."""

    @pytest.fixture(scope="class")
    @classmethod
    def sandbox(cls) -> Iterator[Sandbox]:
        made = cls.make(SETTINGS, base=cls.base, guest=cls.guest)
        yield made
        made.close()

    @pytest.fixture(scope="class")
    @classmethod
    def numeric(cls) -> Iterator[Sandbox]:
        made = cls.make(SandboxSettings(preload=("numpy",), memory=512))
        yield made
        made.close()

    def call(
        self, sandbox: Sandbox, source: bytes | str, *args: Any, timeout: float = 5.0, **kwargs: Any
    ) -> Any:
        """Call `f` of a program in a fresh process."""
        with sandbox.open(program(source), seed=7, timeout=timeout) as candidate:
            return candidate.call("f", *args, **kwargs)

    def attack(
        self,
        sandbox: Sandbox,
        source: str,
        *,
        timeout: float = 5.0,
        verdict: type[CandidateError] | tuple[type[CandidateError], ...] = CandidateError,
    ) -> str:
        """Let `f` do its worst; return the verdict's text once an honest one has been judged."""
        started = time.monotonic()
        with pytest.raises(verdict) as caught:
            self.call(sandbox, source, timeout=timeout)
        assert time.monotonic() - started < timeout + 1
        self.check_honest(sandbox)
        return str(caught.value)

    def check_honest(self, sandbox: Sandbox) -> None:
        """Judge a candidate that does nothing wrong."""
        started = time.monotonic()
        assert self.call(sandbox, "def f(x):\n    return x + 1\n", 41) == 42
        assert time.monotonic() - started < 1

    def test_a_fork_bomb_is_contained(self, sandbox: Sandbox) -> None:
        source = """
import os
def f():
    while True:
        try:
            os.fork()
        except OSError:
            pass
"""
        self.attack(sandbox, source, timeout=1.0)

    def test_a_thread_bomb_is_contained(self, sandbox: Sandbox) -> None:
        source = """
import threading, time
def f():
    for _ in range(200):
        threading.Thread(target=time.sleep, args=(50,)).start()
"""
        self.attack(sandbox, source, timeout=3.0, verdict=CandidateCrashed)

    def test_memory_is_limited(self, sandbox: Sandbox) -> None:
        source = "def f():\n    x = []\n    while True:\n        x.append(bytearray(1 << 20))\n"
        said = self.attack(sandbox, source, verdict=CandidateCrashed)
        assert "memory" in said.lower()  # a MemoryError, or the watch's sentence: who is first

    def test_memory_is_limited_over_all_processes(self, sandbox: Sandbox) -> None:
        source = (
            NAMED
            + """
def f():
    name("hoarder")
    for _ in range(20):
        if os.fork() == 0:
            block = bytearray(150 << 20)
            while True:
                for i in range(0, len(block), 4096):
                    block[i] = 1
    time.sleep(60)
"""
        )
        most = 0
        with sandbox.open(program(source), seed=1, timeout=2) as candidate:
            thread = threading.Thread(
                target=pytest.raises, args=(CandidateError, candidate.call, "f")
            )
            thread.start()
            while thread.is_alive():
                most = max(most, resident("hoarder"))
                thread.join(0.05)
        assert 100 << 20 < most < 1200 << 20  # pages that they share are counted for each
        self.check_honest(sandbox)

    @pytest.mark.parametrize("times", [1, 2])
    def test_daemons_die_with_the_evaluation(self, sandbox: Sandbox, times: int) -> None:
        source = f"""{NAMED}
def f():
    for generation in range({times}):
        if os.fork():
            if generation:
                os._exit(0)
            return
        os.setsid()
    name("survivor")
    while True:
        time.sleep(0.01)
"""
        with sandbox.open(program(source), seed=1, timeout=5) as candidate:
            candidate.call("f")
            ends = time.monotonic() + 3
            while not processes_named("survivor"):
                assert time.monotonic() < ends
        assert not processes_named("survivor")
        self.check_honest(sandbox)

    def test_the_disk_cannot_be_filled(self, sandbox: Sandbox) -> None:
        source = """
def f():
    for number in range(100):
        with open(f"big{number}", "wb") as file:
            for _ in range(64):
                file.write(b"x" * (1 << 20))
"""
        text = self.attack(sandbox, source, verdict=CandidateCrashed)
        assert "OSError" in text or "wrote more than 64 MiB" in text

    def test_the_network_is_out_of_reach(self, sandbox: Sandbox) -> None:
        if not self.confines_network:
            pytest.skip("this tier leaves the network open")
        source = """
import socket
def f():
    refused = 0
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            with socket.socket(socket.AF_INET, kind) as s:
                s.settimeout(0.3)
                s.connect(("127.0.0.1", 9))
        except OSError:
            refused += 1
    return refused
"""
        assert self.call(sandbox, source) == 2

    def test_secrets_of_the_host_cannot_be_read(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        if not self.confines_files:
            pytest.skip("this tier leaves files open")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
        secret = tmp_path_factory.mktemp("run") / "expected.txt"
        secret.write_text("sk-secret-of-the-test")
        sandbox = self.make(SETTINGS)
        source = """
import os, glob
def f(path):
    places = [path, "/etc/shadow", "/etc/passwd", *glob.glob("/proc/*/environ")]
    places += glob.glob("/proc/*/cmdline") + glob.glob("/home/*/.*") + glob.glob("/root/.*")
    found = [repr(sorted(os.environ.items()))]
    for place in places:
        try:
            found.append(open(place, errors="replace").read())
        except OSError:
            pass
    try:
        import evolver
        found.append("sk-secret: evolver can be imported")
    except ImportError:
        pass
    return " ".join(found)
"""
        try:
            text = self.call(sandbox, source, str(secret))
        finally:
            sandbox.close()
        assert "sk-secret" not in text
        assert "root:" not in text

    def test_nothing_outside_can_be_written(self, sandbox: Sandbox) -> None:
        if not self.confines_files:
            pytest.skip("this tier leaves the disk open")
        source = """
import os, pathlib, sys
def f():
    here = pathlib.Path(__file__)
    refused = []
    places = [here, here.parent / "new", "/new", "/tmp/new", "/dev/shm/new", "/proc/self/oom_adj",
              os.__file__, "/etc/new", "/usr/lib/new", "/var/tmp/new", here.parent.parent / "new"]
    for place in places:
        try:
            with open(place, "a") as file:
                file.write("x")
        except OSError:
            continue
        refused.append(str(place))
    for act in (lambda: os.chmod(here, 0o777), lambda: os.unlink(here),
                lambda: os.mknod("node", 0o600 | 0x2000, os.makedev(1, 3)),
                lambda: os.chroot("."), lambda: os.setuid(0)):
        try:
            act()
        except OSError:
            continue
        refused.append("act")
    return refused
"""
        allowed = self.call(sandbox, source)
        assert [what for what in allowed if what != "act"] == []

    def test_the_kernels_back_doors_are_shut(self, sandbox: Sandbox) -> None:
        if not self.confines_files:
            pytest.skip("this tier has no filter of system calls")
        if os.uname().machine != "x86_64":
            pytest.skip("the numbers below are those of x86_64")
        source = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def f():
    done = []
    for name, number, *arguments in [
        ("unshare user", 272, 0x10000000), ("unshare mount", 272, 0x20000), ("ptrace", 101, 0, 0),
        ("mount", 165, 0, b"/", 0, 0, 0), ("setns", 308, 0, 0), ("bpf", 321, 0, 0, 0),
        ("io_uring", 425, 1, 0), ("keyctl", 250, 0), ("shmget", 29, 0, 4096, 0o1600),
        ("clone user", 56, 0x10000000 | 17, 0, 0, 0, 0), ("chroot", 161, b"/"),
        ("process_vm_readv", 310, 1, 0, 0, 0, 0, 0), ("perf", 298, 0, 0, 0, 0, 0),
    ]:
        result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int)
                              else a for a in arguments])
        if result >= 0 or ctypes.get_errno() != 1:
            done.append(name)
    return done
"""
        assert self.call(sandbox, source) == []

    def test_the_sandbox_itself_cannot_be_killed(self, sandbox: Sandbox) -> None:
        if not self.confines_signals:
            pytest.skip("this tier leaves signals open to processes of the same user")
        source = """
import os, signal
def f():
    reached = []
    for pid in [*range(2, 400), os.getppid()]:
        if pid != os.getpid():
            try:
                os.kill(pid, signal.SIGKILL)
                reached.append(pid)
            except OSError:
                pass
    return reached
"""
        assert self.call(sandbox, source) in ([], [0])  # 0: in a namespace of one's own
        self.check_honest(sandbox)

    @pytest.mark.parametrize(
        "forgery",
        [
            b"\0\0\0\x02\0\0\0\0\0\0\0\0{}",
            b'\0\0\0\x1b\0\0\0\0\0\0\0\0{"token":"0","value":1e999}',
            b"\xff" * 64,
            b"\0\0\0\4\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\0\0\0\4\0\0\0\0\0\0\0\0[[[[",
            b"\0\0\0\x0c\0\0\0\0\0\0\0\0" + b'{"value":1}\n',
            b"garbage" * 200_000,
        ],
    )
    def test_forged_frames_are_no_answer(self, sandbox: Sandbox, forgery: bytes) -> None:
        source = f"""
import os, stat
def f():
    for fd in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.write(fd, {forgery[:64]!r} * {len(forgery) // 64 or 1})
        except OSError:
            pass
    return "honest"
"""
        self.attack(sandbox, source, timeout=2.0, verdict=(CandidateOutputError, CandidateTimeout))

    def test_an_answer_given_ahead_is_no_answer(self, sandbox: Sandbox) -> None:
        source = """
import gc, socket
def f():
    link = next(o for o in gc.get_objects() if isinstance(o, socket.socket))
    link.send(b'\\0\\0\\0\\x15\\0\\0\\0\\0\\0\\0\\0\\0{"token":0,"value":1}')
"""
        self.attack(sandbox, source, verdict=(CandidateOutputError, CandidateCrashed))

    @pytest.mark.parametrize(
        "body", ["os.closerange(0, 99); time.sleep(60)", "flood()", "os.closerange(0, 99); flood()"]
    )
    def test_a_broken_channel_is_a_verdict(self, sandbox: Sandbox, body: str) -> None:
        source = f"""
import os, time
def flood():
    while True:
        for fd in range(3, 20):
            try:
                os.write(fd, b"\\0\\0\\0\\2\\0\\0\\0\\0\\0\\0\\0\\0{{}}" * 5000)
            except OSError:
                pass
def f():
    {body}
"""
        self.attack(sandbox, source, timeout=1.0)

    def test_a_flood_behind_an_answer_is_dropped(self, sandbox: Sandbox) -> None:
        source = """
import os, threading
def flood():
    while True:
        for fd in range(3, 20):
            try:
                os.write(fd, b"x" * 65536)
            except OSError:
                pass
def f():
    if os.fork() == 0:
        flood()
    return 1
"""
        with sandbox.open(program(source), seed=1, timeout=3) as candidate:
            try:
                candidate.call("f")
                time.sleep(0.2)
            except CandidateError:
                pass  # where the flood came before the answer
        self.check_honest(sandbox)


def resident(name: str) -> int:
    """Return the bytes in memory of all processes of a name."""
    total = 0
    for pid in processes_named(name):
        with suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    return total


def processes_named(name: str) -> list[str]:
    """Return the pids of this host's processes of that name."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        try:
            if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                found.append(pid)
        except OSError:
            continue
    return found
