"""One suite for every sandbox: a back end subclasses it once for each of its tiers."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import LATE
from hypothesis import given, settings
from hypothesis import strategies as st
from sandbox_attacks import NAMED, SETTINGS, SandboxAttacks, processes_named, program
from sandbox_timing import SandboxTiming
from sandbox_turns import SandboxTurns

from evolver.errors import (
    CandidateCrashed,
    CandidateOutputError,
    CandidateTimeout,
    SandboxError,
    UsageError,
)
from evolver.evaluation.inside import InsideEvaluator
from evolver.ports import Sandbox
from evolver.sandboxes import SandboxSettings
from evolver.types import Output, Program

#: What a candidate finds where it stands: as there is data, its files and those beside them.
STANDS_BESIDE = ["beside.txt", "main.py", "side"]
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


class SandboxContract(SandboxTurns, SandboxTiming, SandboxAttacks):
    """What every sandbox does."""

    base = BASE
    guest = GUEST

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

    @pytest.mark.slow
    def test_torch_works_inside_and_its_tensors_travel(self) -> None:
        torch = pytest.importorskip("torch", reason="torch is not installed here")
        source = """
import numpy, torch
def f(*tensors):
    a = numpy.random.rand(300, 300)
    b = torch.rand(300, 300, dtype=torch.float64)
    errors = [abs(numpy.linalg.inv(a) @ a - numpy.eye(300)).max()]
    errors.append(abs(torch.linalg.inv(b) @ b - torch.eye(300)).max())
    weights = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).T)
    return float(max(errors)), [t + t for t in tensors], weights, torch.rand(2)
def bad():
    return torch.eye(3).to_sparse()
"""
        sent = [
            torch.arange(12, dtype=torch.bfloat16).reshape(3, 4).T,
            torch.tensor(1.5, dtype=torch.float16),
            torch.zeros((0, 3), dtype=torch.int16),
            torch.tensor([1 + 2j, -3j]).conj(),
            torch.rand(500, 500),
        ]
        try:
            sandbox = self.make(SandboxSettings(preload=("torch", "numpy"), memory=4096))
        except SandboxError as error:
            if "preload names torch, which is not installed" not in str(error):
                raise
            pytest.skip("torch is not installed in the sandbox")
        try:
            with sandbox.open(program(source), seed=1, timeout=60) as candidate:
                error, back, weights, drawn = candidate.call("f", *sent)
                with pytest.raises(CandidateOutputError, match="tensor of layout"):
                    candidate.call("bad")
            assert error < 1e-6
            for one, other in zip(sent, back, strict=True):
                assert other.dtype == one.dtype
                assert torch.equal(other, one + one)
                other += 1  # memory of its own
            assert torch.equal(weights, torch.arange(6.0).reshape(2, 3).T)
            assert not weights.requires_grad
            with sandbox.open(program(source), seed=1, timeout=60) as candidate:
                assert torch.equal(candidate.call("f")[3], drawn)
        finally:
            sandbox.close()

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
            (
                "def f():\n    return bytearray(b'x') * 2**31\n",
                "killed: it used more than [sandbox] memory = 256 MiB",
            ),
        ],
    )
    def test_a_crash_is_described(self, sandbox: Sandbox, source: str, text: str) -> None:
        assert text in self.attack(sandbox, source, verdict=CandidateCrashed)

    @pytest.mark.parametrize("end", ["1 / 0", "os._exit(3)", "ctypes.string_at(0)", "sys.exit()"])
    def test_what_a_crashed_one_printed_is_told(self, sandbox: Sandbox, end: str) -> None:
        source = f"""
import ctypes, os, sys
def f():
    for number in range(3000):
        print("line", number)
    os.write(2, b"\\xff from C")
    print(" and the end")
    {end}
"""
        said = self.attack(sandbox, source, verdict=CandidateCrashed)
        assert said.endswith("line 2999\n\ufffd from C and the end")
        assert "line 2800\n" in said
        assert "line 2000\n" not in said
        silent = self.attack(sandbox, f"import ctypes, os, sys\ndef f():\n    {end}\n")
        assert "printed" not in silent

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

    def test_a_restart_leaves_nothing_behind(self, sandbox: Sandbox) -> None:
        source = (
            NAMED
            + """
import sys, tempfile
KNOWN = []
PLACES = [".", tempfile.gettempdir()]
def learn():
    KNOWN.append("learnt")
    sys.modules["learnt"] = os.environ["LEARNT"] = "learnt"
    for place in PLACES:
        try:
            open(f"{place}/learnt", "w").close()
        except OSError:
            pass
    if not os.fork():
        name("remembers")
        time.sleep(60)
    time.sleep(0.1)  # until it has its name
def recall():
    found = [*KNOWN, sys.modules.get("learnt"), os.environ.get("LEARNT")]
    found += [place for place in PLACES if os.path.exists(f"{place}/learnt")]
    try:
        pids = filter(str.isdigit, os.listdir("/proc"))
    except PermissionError:  # in a container others are invisible
        pids = []
    for pid in pids:
        try:
            found.append(open(f"/proc/{pid}/comm").read().strip() == "remembers")
        except OSError:
            pass
    return [one for one in found if one]
"""
        )
        with sandbox.open(program(source), seed=1, timeout=30) as candidate:
            candidate.write("by_the_host.txt", b"1")
            candidate.call("learn")
            before = set(candidate.call("recall"))
            assert {"learnt", "."} <= before
            assert True in before or sandbox.isolation == "docker"
            candidate.restart()
            assert candidate.call("recall") == []
            assert not processes_named("remembers")
            with pytest.raises(CandidateOutputError):
                candidate.read("by_the_host.txt")

    def test_a_restart_gives_no_time_and_no_life(self, sandbox: Sandbox) -> None:
        source = "import time\ndef f(s):\n    time.sleep(s)\n    return s\n"
        with sandbox.open(program(source), seed=1, timeout=2.0) as candidate:
            candidate.call("f", 1.0)
            candidate.restart()
            assert candidate.call("f", 0) == 0
            with pytest.raises(CandidateTimeout, match="did not end in its 2 s"):
                candidate.call("f", 1.5)
            with pytest.raises(CandidateTimeout):
                candidate.restart()
        assert self.call(sandbox, "def f():\n    return 1\n") == 1

    def test_a_restart_keeps_the_parameters(self, sandbox: Sandbox) -> None:
        with sandbox.open(program(LINE), seed=1, timeout=20) as candidate:
            other = candidate.at([3.0, 1.0])
            assert other.call("line", 2.0) == 7.0
            candidate.restart()
            assert other.call("line", 2.0) == 7.0
            assert candidate.call("line", 2.0) == 3.5

    def test_a_call_has_its_own_time(self, sandbox: Sandbox) -> None:
        started = time.monotonic()
        source = "import time\ndef f(s):\n    time.sleep(s)\n"
        with sandbox.open(program(source), seed=1, timeout=20) as candidate:
            candidate.call("f", 0, timeout=LATE)
            with pytest.raises(CandidateTimeout, match=r"f did not return in its 0\.2 s"):
                candidate.call("f", 30, timeout=0.2)
            candidate.call("f", 0)
        assert time.monotonic() - started < LATE

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
            b"BESIDE = Path(__file__).with_name('beside.txt')\n"
            b"def f():\n    return mod.ONE + TWO, BESIDE.read_text()\n",
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
            with pytest.raises(UsageError, match="relative path"):  # noqa: SIM117
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
    here = sorted(os.listdir("."))
    seen = hasattr(builtins, "left"), here, hasattr(json, "left"), "LEFT" in os.environ
    builtins.left = json.left = True
    os.environ["LEFT"] = "x"
    open("left", "w").write("x")
    return list(seen)
"""
        for _ in range(2):
            assert self.call(sandbox, source) == [False, STANDS_BESIDE, False, False]

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

    def test_the_programs_first_file_may_be_one_that_is_not_edited(self) -> None:
        base = {"run.py": b"import part\n\ndef f():\n    return part.f(), 'run'\n"}
        guest = {"guest.py": b"import candidate\n\ndef f():\n    return candidate.load().f()\n"}
        sandbox = self.make(SETTINGS, base=base, guest=guest, main="run.py")
        edited = Program(1, {"part.py": b"def f():\n    return 'part'\n"})
        try:
            with sandbox.open(edited, seed=1, timeout=5) as candidate:
                assert candidate.call("f") == ("part", "run")
                assert candidate.call("guest:f") == ("part", "run")
                assert candidate.call("part:f") == "part"
        finally:
            sandbox.close()

    def test_an_evaluator_runs_beside_its_candidate(self, tmp_path: Path) -> None:
        score = tmp_path / "score.py"
        score.write_text(
            "import subprocess, sys, tempfile\n\n\n"
            "def evaluate(program_path):\n"
            "    with tempfile.NamedTemporaryFile('w', suffix='.py') as file:\n"
            "        file.write('import program; print(program.f(2))')\n"
            "        file.flush()\n"
            "        done = subprocess.run([sys.executable, file.name], capture_output=True)\n"
            "    return {'score': float(done.stdout or -1), 'stderr': done.stderr.decode()}\n"
        )
        evaluator = InsideEvaluator(score, "evaluate")
        sandbox = self.make(SETTINGS, guest=evaluator.guest)
        files = {"program.py": b"def f(x):\n    return x + 0.5\n"}
        try:
            for _ in range(2):
                with sandbox.open(Program(1, files), seed=1, timeout=20) as candidate:
                    found = evaluator.evaluate(candidate)
                    assert found.metrics == {"score": 2.5}, found.feedback
        finally:
            sandbox.close()

    # --- whole commands, files in and out -------------------------------------------------------

    def test_commands_share_a_directory_with_the_programs_files(self, sandbox: Sandbox) -> None:
        files = {
            "main.py": b"raise Exception('commands need no import')\n",
            "work.py": b"import sys\nfrom side.more import TWO\n"
            b"open('out.txt', 'a').write(sys.argv[1] * TWO)\n"
            b"print(open('beside.txt').read(), flush=True)\nsys.stdout.buffer.write(b'\\xff')\n"
            b"sys.stderr.write('told')\nsys.exit(3)\n",
        }
        with sandbox.open(Program(1, files), seed=1, timeout=10) as candidate:
            for _ in range(2):
                output = candidate.run(["python3", "work.py", "a b"])
                assert output == Output(3, b"base text\n\xff", b"told")
            assert candidate.read("out.txt") == b"a ba b" * 2
            assert candidate.read("work.py") == files["work.py"]
            with pytest.raises(CandidateCrashed, match="commands need no import"):
                candidate.call("f")

    def test_a_program_is_compiled_and_run(self, sandbox: Sandbox) -> None:
        source = b"""
#include "twice.h"
#include <stdio.h>
int main(void) { double x; while (scanf("%lf", &x) == 1) printf("%g ", TWICE(x)); return 0; }
"""
        files = {"main.c": source, "twice.h": b"#define TWICE(x) (2 * (x))\n"}
        with sandbox.open(Program(1, files), seed=1, timeout=20) as candidate:
            try:
                compiled = candidate.run(["gcc", "main.c", "-O3", "-o", "prog"])
            except CandidateCrashed as error:
                pytest.skip(f"no compiler here: {error}")
            assert compiled.code == 0, compiled.stderr
            assert candidate.run(["./prog"], stdin=b"1 2.5 -3").stdout == b"2 5 -6 "
            candidate.write("main.c", b"int main(void) { return 1 }")
            assert b"error" in candidate.run(["gcc", "main.c"]).stderr

    def test_a_command_that_a_signal_ends(self, sandbox: Sandbox) -> None:
        with sandbox.open(program(""), seed=1, timeout=10) as candidate:
            killed = "import os, signal; os.kill(os.getpid(), signal.{})"
            for name, number in (("SIGKILL", -9), ("SIGPIPE", -13), ("SIGXFSZ", -25)):
                script = f"signal.signal(signal.{name}, 0); " if number != -9 else ""
                script = f"import signal; {script}{killed.format(name)}"
                assert candidate.run(["python3", "-c", script]).code == number

    def test_a_lot_goes_in_and_out(self, sandbox: Sandbox) -> None:
        echo = """
import sys
content = sys.stdin.buffer.read()
sys.stderr.buffer.write(content[::-1])
sys.stdout.buffer.write(content)
"""
        content = bytes(range(256)) * 4096  # 1 MiB: what SETTINGS.result_bytes allows of each
        with sandbox.open(Program(1, {"echo.py": echo.encode()}), seed=1, timeout=10) as candidate:
            output = candidate.run(["python3", "echo.py"], stdin=content)
            assert output == Output(0, content, content[::-1])
            output = candidate.run(["python3", "echo.py"], stdin=content + b"more")
            assert output == Output(0, content, b"erom" + content[::-1][:-4], is_cut=True)
            assert candidate.run(["python3", "-c", ""], stdin=content * 4) == Output(0, b"", b"")
            assert candidate.run(["python3", "echo.py"]) == Output(0, b"", b"")

    def test_more_memory_may_be_reserved_than_taken(self, sandbox: Sandbox) -> None:
        reserve = "import mmap\ndef f():\n    return len(mmap.mmap(-1, 3 << 30))\n"
        take = "x = [bytearray(b'x' * (1 << 20)) for _ in range(3000)]"
        with sandbox.open(program(reserve), seed=1, timeout=10) as candidate:
            assert candidate.call("f") == 3 << 30
            script = "import main; print(main.f())"
            assert candidate.run(["python3", "-c", script]).stdout == b"%d\n" % (3 << 30)
            with suppress(CandidateCrashed):  # the command cannot be told from other processes
                assert candidate.run(["python3", "-c", take]).code != 0
        self.check_honest(sandbox)

    def test_a_command_that_cannot_be_run_is_named(self, sandbox: Sandbox) -> None:
        with sandbox.open(program(""), seed=1, timeout=10) as candidate:
            for words in (["no-such-command"], ["./main.py"], ["."], ["./no/such"]):
                with pytest.raises(CandidateCrashed, match="cannot be run"):
                    candidate.run(words)
            assert candidate.run(["python3", "main.py"]).code == 0
            for mistake in ("python3 main.py", [], [""], ["python3", 3]):
                with pytest.raises(TypeError, match="a list of words"):
                    candidate.run(mistake)

    @pytest.mark.parametrize(
        "script",
        [
            "while True: pass",
            "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)",
            "import os, time; os.fork(); os.setsid(); time.sleep(60)",
            "while True: print('x' * 60000)",
        ],
    )
    def test_a_command_has_its_own_time(self, sandbox: Sandbox, script: str) -> None:
        started = time.monotonic()
        with sandbox.open(program(""), seed=1, timeout=20) as candidate:
            with pytest.raises(CandidateTimeout, match=r"python3 did not return in its 0\.3 s"):
                candidate.run(["python3", "-c", script], timeout=0.3)
            assert candidate.read("main.py") == b""
        assert time.monotonic() - started < LATE
        self.check_honest(sandbox)

    def test_what_a_command_leaves_running_dies_with_the_evaluation(self, sandbox: Sandbox) -> None:
        source = f"""{NAMED}
import sys
if os.fork() == 0:
    os.setsid()
    name("leftover")
    print("alive", flush=True)
    time.sleep(60)
sys.stdin.read()
"""
        with sandbox.open(program(source), seed=1, timeout=10) as candidate:
            started = time.monotonic()
            candidate.run(["python3", "main.py"])
            assert time.monotonic() - started < LATE  # though it holds our pipes
            ends = time.monotonic() + LATE
            while not processes_named("leftover"):
                assert time.monotonic() < ends
            assert candidate.run(["python3", "-c", "print(1)"]).stdout == b"1\n"
        assert not processes_named("leftover")
        self.check_honest(sandbox)

    @pytest.mark.parametrize("path", ["/etc/hostname", "../x", "a/../../x", "a//b", ".", "", "a\0"])
    def test_paths_stay_below_the_directory(self, sandbox: Sandbox, path: str) -> None:
        with sandbox.open(program(""), seed=1, timeout=5) as candidate:
            with pytest.raises(CandidateOutputError, match="does not stay below"):
                candidate.read(path)
            with pytest.raises(CandidateOutputError, match="does not stay below"):
                candidate.write(path, b"")

    def test_files_go_in_and_come_out(self, sandbox: Sandbox) -> None:
        with sandbox.open(
            program("def f(p):\n    return open(p).read()\n"), seed=1, timeout=5
        ) as c:
            for content in (b"", b"\0\xff\n", b"x" * 4_000_000):
                c.write("deep/er/new.bin", content)
                assert c.read("deep/er/new.bin") == content
            c.write("main.py", b"#!/usr/bin/env python3\nprint('new')\n")
            assert c.read("main.py").startswith(b"#!")
            c.write("beside.txt", b"other")
            assert c.call("f", "beside.txt") == "other"  # a copy of its own
            assert c.run(["python3", "main.py"]).stdout == b"new\n"
        listing = "import os\ndef f():\n    return sorted(os.listdir())\n"
        assert self.call(sandbox, listing) == STANDS_BESIDE

    def test_what_is_no_file_to_read_or_write_is_named(self, sandbox: Sandbox) -> None:
        source = """
import os
def f():
    os.mkdir("folder")
    os.mkfifo("fifo")
    os.symlink("/dev/zero", "zeros")
    os.symlink("/etc/shadow", "secret")
    os.symlink("loop", "loop")
    os.close(os.open("closed", os.O_CREAT, 0))
    with open("large", "wb") as file:
        file.truncate(5 << 20)
"""
        with sandbox.open(program(source), seed=1, timeout=5) as c:
            c.call("f")
            for name in ("none", "folder", "fifo", "zeros", "secret", "loop", "large", "closed"):
                with pytest.raises(CandidateOutputError, match=f"'{name}' (cannot|is not|has)"):
                    c.read(name)
            for name in ("folder", "closed/x", "fifo/x"):
                with pytest.raises(CandidateOutputError, match=f"'{name}' cannot be written"):
                    c.write(name, b"x")
            c.write("fifo", b"a file now")
            c.write("zeros", b"zeros too")
            assert c.read("fifo") + c.read("zeros") == b"a file nowzeros too"

    def test_literals_are_written_for_commands(self, sandbox: Sandbox) -> None:
        with sandbox.open(program(LINE + b"print(line(3))\n"), seed=1, timeout=10) as candidate:
            runs = [candidate, candidate.at([10.0, 1.0]), candidate.at([-1.0, 0.5]), candidate]
            printed = [float(one.run(["python3", "main.py"]).stdout) for one in runs]
            assert printed == [5.5, 31.0, -2.5, 5.5]
