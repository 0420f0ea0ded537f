"""One suite for every sandbox: a back end subclasses it once for each of its tiers.

The attacks are of the candidate's side; what is shown each time is that the verdict comes in time
and that the next, honest candidate is judged as if nothing had been.
"""

from __future__ import annotations

import math
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolver.errors import (
    CandidateCrashed,
    CandidateError,
    CandidateOutputError,
    CandidateTimeout,
    SandboxError,
    UsageError,
)
from evolver.sandboxes import SandboxSettings
from evolver.types import Files, Program, Sandbox

SETTINGS = SandboxSettings(memory=256, processes=24, result_bytes=4 << 20)
BASE = {"beside.txt": b"base text", "side/__init__.py": b"", "side/more.py": b"TWO = 2\n"}
GUEST = {
    "guest.py": b"""
import candidate

def trace():
    class Symbol(str):
        def __mul__(self, other): return Symbol(f"({self}*{other})")
        def __rmul__(self, other): return Symbol(f"({other}*{self})")
        def __add__(self, other): return Symbol(f"({self}+{other})")
        def __radd__(self, other): return Symbol(f"({other}+{self})")
    symbols = [Symbol(f"c{i}") for i in range(len(candidate.parameters))]
    return str(candidate.load(symbols).line(Symbol("x")))

def line(x):
    return candidate.load().line(x), list(candidate.parameters)
"""
}
NAMED = """
import ctypes, os, time
def name(text):  # as the host sees this process
    ctypes.CDLL(None).prctl(15, text.encode())
"""
LINE = b"A = 2.0\n\ndef line(x):\n    return A * x + -0.5\n"

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=50)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal, in type too, with NaN equal to itself and the zeros two."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def program(source: bytes | str, **more: bytes) -> Program:
    """Make a program of one file, or of more."""
    text = source.encode() if isinstance(source, str) else source
    return Program(id=1, files={"main.py": text, **more})


class SandboxContract(ABC):
    """What every sandbox does; `make` says how one is made."""

    confines_files = True
    confines_network = True
    confines_signals = True

    @classmethod
    @abstractmethod
    def make(
        cls, settings: SandboxSettings, *, base: Files | None = None, guest: Files | None = None
    ) -> Any:
        """Make a sandbox, or skip where this host cannot."""

    @pytest.fixture(scope="class")
    @classmethod
    def sandbox(cls) -> Iterator[Sandbox]:
        made = cls.make(SETTINGS, base=BASE, guest=GUEST)
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

    # --- values ---------------------------------------------------------------------------------

    def test_values_come_back_as_they_went(self, sandbox: Sandbox) -> None:
        with sandbox.open(program("def f(*a, **k):\n    return a, k\n"), seed=1, timeout=60) as c:

            @settings(max_examples=60, deadline=None, database=None)
            @given(st.lists(values, max_size=3), values)
            def check(args: list[Any], keyword: Any) -> None:
                assert same(c.call("f", *args, key=keyword), (tuple(args), {"key": keyword}))

            check()

    @pytest.mark.parametrize("size", [0, 1, 100_000])
    def test_text_and_bytes_of_any_length(self, sandbox: Sandbox, size: int) -> None:
        sent = ["ä€\U0001f600" * size, b"\0\xff" * size]
        assert self.call(sandbox, "def f(*a):\n    return list(a)\n", *sent) == sent

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((0, 3)),
            np.array(1.5),
            np.arange(12.0).reshape(3, 4).T,
            np.arange(5, dtype=">i4"),
            np.array([True, False]),
            np.array([1 + 2j, np.nan], dtype=np.complex64),
            np.linspace(0, 1, 250_000),
        ],
        ids=lambda array: f"{array.dtype}{array.shape}",
    )
    def test_arrays_come_back_as_they_went(self, numeric: Sandbox, array: Any) -> None:
        back = self.call(numeric, "def f(a):\n    return [a, {'again': a}]\n", array)
        for one in (back[0], back[1]["again"]):
            np.testing.assert_array_equal(one, array)
            assert one.dtype == array.dtype.newbyteorder("=")
            assert one.flags.writeable

    def test_numpy_works_inside(self, numeric: Sandbox) -> None:
        source = """
import numpy as np
def f(n):
    a = np.random.rand(n, n)
    return float(abs(np.linalg.inv(a) @ a - np.eye(n)).max()), np.float32(0.5), np.int64(3)
"""
        error, half, three = self.call(numeric, source, 200)
        assert error < 1e-6
        assert same([half, three], [0.5, 3])

    @pytest.mark.parametrize(
        ("expression", "reason"),
        [
            ("{1, 2}", "a value of type set"),
            ("object", "a value of type type"),
            ("{1: 2}", "a dict with a key of type int"),
            ("1j", "a value of type complex"),
            ("b'x' * 5_000_000", "result_bytes"),
            ("(lambda l: (l.append(l), l)[1])([])", "nested"),
            ("[0] * 1_200_000", "more than 1048576 items"),
        ],
    )
    def test_what_may_not_travel_is_named(
        self, sandbox: Sandbox, expression: str, reason: str
    ) -> None:
        source = f"def f():\n    return {expression}\n"
        assert reason in self.attack(sandbox, source, verdict=CandidateOutputError)

    # --- verdicts -------------------------------------------------------------------------------

    def test_an_exception_comes_with_its_own_lines_only(self, sandbox: Sandbox) -> None:
        source = "def f():\n    return g(0)\n\ndef g(x):\n    return 1 / x  # here\n"
        text = self.attack(sandbox, source, verdict=CandidateCrashed)
        assert text.rstrip().endswith("ZeroDivisionError: division by zero")
        assert "return 1 / x  # here" in text
        assert text.count('File "') == text.count('File "main.py"') == 2

    @pytest.mark.parametrize(
        ("source", "text"),
        [
            ("def f(:\n", "SyntaxError"),
            ("import missing_module\n", "ModuleNotFoundError"),
            ("def g():\n    pass\n", "main.py has no 'f'"),
            ("def f():\n    f()\n", "RecursionError"),
            ("import sys\ndef f():\n    sys.exit(3)\n", "SystemExit: 3"),
            ("def f():\n    raise KeyboardInterrupt\n", "KeyboardInterrupt"),
            ("import os\ndef f():\n    os._exit(3)\n", "exited with code 3"),
            ("import ctypes\ndef f():\n    ctypes.string_at(0)\n", "SIGSEGV"),
            ("import sys\ndef f():\n    return '\\udcff' * 9 + g\n", "NameError"),
            ("class E(Exception):\n    __str__ = 1\ndef f():\n    raise E\n", "E"),
            ("def f():\n    return bytearray(2**34)\n", "MemoryError"),
        ],
    )
    def test_a_crash_is_described(self, sandbox: Sandbox, source: str, text: str) -> None:
        assert text in self.attack(sandbox, source, verdict=CandidateCrashed)

    def test_a_stack_overflow_in_c_is_a_crash(self, sandbox: Sandbox) -> None:
        source = """
import sys
def f():
    sys.setrecursionlimit(10**9)
    x = ()
    for _ in range(10**6):
        x = (x,)
    return hash(x)
"""
        assert "SIGSEGV" in self.attack(sandbox, source, verdict=CandidateCrashed)

    @pytest.mark.parametrize(
        "body",
        [
            "while True: pass",
            "time.sleep(100)",
            "[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 14, 15, 24)]; time.sleep(100)",
            "return 3 ** (3 ** 30)",
            "[threading.Thread(target=time.sleep, args=(100,)).start()]; sys.exit()",
        ],
    )
    def test_nothing_outlives_its_time(self, sandbox: Sandbox, body: str) -> None:
        source = f"import signal, sys, threading, time\ndef f():\n    {body}\n"
        self.attack(sandbox, source, timeout=0.4, verdict=(CandidateTimeout, CandidateCrashed))

    def test_a_call_has_its_own_time(self, sandbox: Sandbox) -> None:
        started = time.monotonic()
        source = "import time\ndef f(s):\n    time.sleep(s)\n"
        with sandbox.open(program(source), seed=1, timeout=20) as candidate:
            candidate.call("f", 0, timeout=1)
            with pytest.raises(CandidateTimeout, match=r"f did not return in its 0\.2 s"):
                candidate.call("f", 30, timeout=0.2)
            with pytest.raises(CandidateTimeout):  # it is dead, and stays so
                candidate.call("f", 0)
        assert time.monotonic() - started < 2

    def test_time_runs_while_the_evaluator_thinks(self, sandbox: Sandbox) -> None:
        with sandbox.open(program("def f():\n    return 1\n"), seed=1, timeout=0.3) as candidate:
            time.sleep(0.4)
            with pytest.raises(CandidateTimeout):
                candidate.call("f")
        self.check_honest(sandbox)

    def test_the_evaluators_own_mistakes_are_its_own(self, sandbox: Sandbox) -> None:
        with sandbox.open(program("def f(x):\n    return x\n"), seed=1, timeout=5) as candidate:
            with pytest.raises(TypeError, match="a value of type object"):
                candidate.call("f", object())
            assert candidate.call("f", 1) == 1

    # --- programs -------------------------------------------------------------------------------

    def test_files_import_each_other_and_what_lies_beside(self, sandbox: Sandbox) -> None:
        files = {
            "a.py": b"from pkg.deep import mod\nfrom side.more import TWO\n"
            b"from pathlib import Path\n"
            b"def f():\n    return mod.ONE + TWO, Path(__file__).with_name('beside.txt').read_text()\n",
            "pkg/__init__.py": b"from . import late\n",
            "pkg/late.py": b"",
            "pkg/deep/mod.py": b"ONE = 1\ndef g():\n    return __name__\n",
            "wire.py": b"def who():\n    return 'the program'\n",
        }
        with sandbox.open(Program(1, files), seed=1, timeout=5) as candidate:
            assert candidate.call("f") == (3, "base text")
            assert candidate.call("pkg.deep.mod:g") == "pkg.deep.mod"
            assert candidate.call("wire:who") == "the program"

    def test_literals_are_parameters(self, sandbox: Sandbox) -> None:
        with sandbox.open(program(LINE), seed=1, timeout=5) as candidate:
            assert list(candidate.parameters) == [2.0, -0.5]
            assert candidate.call("line", 3.0) == 5.5
            other = candidate.at([10.0, 1.0])
            assert list(other.parameters) == [10.0, 1.0]
            assert [other.call("line", x) for x in (1.0, 2.0)] == [11.0, 21.0]
            assert candidate.call("line", 3.0) == 5.5
            with pytest.raises(ValueError, match="1 values for 2 literals"):
                candidate.at([1.0])

    def test_a_vector_executes_the_program_afresh_and_nothing_else(self, sandbox: Sandbox) -> None:
        source = b"import os, itertools\nstate = []\nK = 0.5\n"
        source += b"def f():\n    state.append(K)\n    return state, os.getpid()\n"
        with sandbox.open(program(source), seed=1, timeout=5) as candidate:
            pid = candidate.call("f")[1]
            assert candidate.call("f") == ([0.5, 0.5], pid)
            assert candidate.at([0.0]).call("f") == ([0.0], pid)
            assert same(candidate.at([-0.0]).call("f"), ([-0.0], pid))
            assert candidate.call("f") == ([0.5], pid)

    def test_guest_code_runs_beside_the_candidate(self, sandbox: Sandbox) -> None:
        with sandbox.open(program(LINE), seed=1, timeout=5) as candidate:
            assert candidate.call("guest:trace") == "((c0*x)+c1)"
            assert candidate.at([1.0, 2.0]).call("guest:line", 5.0) == (7.0, [1.0, 2.0])
            assert candidate.call("line", 3.0) == 5.5

    def test_a_programs_names_do_not_clash_with_the_guests(self, sandbox: Sandbox) -> None:
        for name in ("guest.py", "candidate.py"):
            with pytest.raises(UsageError, match="rename"):  # noqa: SIM117
                with sandbox.open(Program(1, {name: b""}), seed=1, timeout=5):
                    pass

    def test_a_program_may_not_leave_its_folder(self, sandbox: Sandbox) -> None:
        for name in ("../x.py", "/x.py", "a//x.py", ""):
            with pytest.raises(UsageError, match="no path relative"):  # noqa: SIM117
                with sandbox.open(Program(1, {name: b""}), seed=1, timeout=5):
                    pass

    def test_chance_is_seeded(self, numeric: Sandbox) -> None:
        source = "import random, numpy\ndef f():\n    return random.random(), numpy.random.rand()\n"

        def draw(seed: int) -> tuple[Any, float]:
            with numeric.open(program(source), seed=seed, timeout=5) as candidate:
                return candidate.call("f"), candidate.rng.random()

        (inside, _), outside = draw(5)
        assert inside != outside  # or a candidate could foresee the evaluator's secret inputs
        assert draw(2**70) == draw(2**70) != draw(3)

    def test_nothing_is_left_for_the_next(self, sandbox: Sandbox) -> None:
        source = """
import builtins, os, json
def f():
    seen = hasattr(builtins, "left"), os.listdir("."), hasattr(json, "left"), "LEFT" in os.environ
    builtins.left = json.left = True
    os.environ["LEFT"] = "x"
    open("left", "w").write("x")
    return list(seen)
"""
        for _ in range(2):
            assert self.call(sandbox, source) == [False, [], False, False]

    def test_sandboxes_work_side_by_side(self, sandbox: Sandbox) -> None:
        other = self.make(SETTINGS)
        source = "import os, time\ndef f(x):\n    open('mine', 'w').write(x)\n    time.sleep(.1)\n"
        source += "    return open('mine').read()\n"
        try:
            with (
                sandbox.open(program(source), seed=1, timeout=5) as one,
                other.open(program(source), seed=1, timeout=5) as two,
            ):
                assert [one.call("f", "1"), two.call("f", "2")] == ["1", "2"]
        finally:
            other.close()

    def test_one_candidate_at_a_time_and_none_when_closed(self) -> None:
        sandbox = self.make(SETTINGS)
        honest = program("def f():\n    return 1\n")
        with sandbox.open(honest, seed=1, timeout=5), pytest.raises(SandboxError, match="already"):  # noqa: SIM117
            with sandbox.open(honest, seed=1, timeout=5):
                pass
        sandbox.close()
        sandbox.close()
        with pytest.raises(SandboxError, match="closed"), sandbox.open(honest, seed=1, timeout=5):
            pass

    def test_a_preload_that_fails_is_named(self) -> None:
        with pytest.raises(SandboxError, match="no_such_module"):
            self.make(SandboxSettings(preload=("no_such_module",)))

    # --- attacks --------------------------------------------------------------------------------

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
        assert "Memory" in self.attack(sandbox, source, verdict=CandidateCrashed)

    def test_memory_is_limited_over_all_processes(self, sandbox: Sandbox) -> None:
        source = NAMED + """
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
        most = 0
        with sandbox.open(program(source), seed=1, timeout=2) as candidate:
            thread = threading.Thread(target=pytest.raises, args=(CandidateError, candidate.call, "f"))
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
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                found.append(pid)
        except OSError:
            continue
    return found


