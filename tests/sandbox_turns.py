"""What every sandbox does about time: overrun calls, CPU time, threads that share a candidate."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from effort import LATE
from sandbox_attacks import program

from evolver.errors import CandidateCrashed, CandidateOutputError, CandidateTimeout
from evolver.ports import Sandbox

LINE = b"A = 2.0\n\ndef line(x):\n    return A * x + -0.5\n"


class SandboxTurns:
    """Tests of deadlines and of turns, for a class with a fixture `sandbox`."""

    def test_an_overrun_call_ends_itself_alone(self, sandbox: Sandbox) -> None:
        source = """
import time
KNOWN = []
def f(x):
    KNOWN.append(x)
    print("working on", x)
    time.sleep(x)
    return KNOWN
"""
        with sandbox.open(program(source), seed=1, timeout=30) as candidate:
            assert candidate.call("f", 0) == [0]
            for _ in range(2):
                with pytest.raises(CandidateTimeout, match=r"working on 20$") as caught:
                    candidate.call("f", 20, timeout=0.5)
                assert caught.value.output.endswith(b"working on 20\n")
            assert candidate.call("f", 0) == [0]  # a fresh process
            with pytest.raises(CandidateTimeout):
                candidate.call("f", 20, timeout=0.2)
            assert candidate.account().cpu >= 0
            with pytest.raises(CandidateTimeout):
                candidate.call("f", 20, timeout=0.2)
            candidate.restart()
            candidate.write("x", b"y")
            assert candidate.read("x") == b"y"

    def test_an_overrun_command_ends_itself_alone(self, sandbox: Sandbox) -> None:
        source = b"A = 2.0\nprint(A)\n"
        loop = "import sys; print('said'); print('told', file=sys.stderr); sys.stdout.flush()\n"
        loop += "while True: pass"
        with sandbox.open(program(source), seed=1, timeout=60) as original:
            candidate = original.at([3.0])
            candidate.write("made", b"")
            with pytest.raises(CandidateTimeout, match=r"said\ntold$") as caught:
                candidate.run(["python3", "-c", loop], timeout=1)
            assert caught.value.output == b"said\ntold\n"
            assert candidate.run(["python3", "main.py"], timeout=20).stdout == b"3.0\n"
            with pytest.raises(CandidateOutputError, match="made"):
                candidate.read("made")

    @pytest.mark.parametrize("timeout", [10, 1e12, float("inf")])
    def test_a_command_may_have_all_the_time(self, sandbox: Sandbox, timeout: float) -> None:
        with sandbox.open(program("print(1)"), seed=1, timeout=20) as candidate:
            assert candidate.run(["python3", "main.py"], timeout=timeout).stdout == b"1\n"

    @pytest.mark.slow
    def test_the_evaluations_time_is_the_last_of_it(self, sandbox: Sandbox) -> None:
        source = "import time\ndef f(x):\n    print('so far')\n    time.sleep(x)\n"
        with sandbox.open(program(source), seed=1, timeout=LATE) as candidate:
            with pytest.raises(CandidateTimeout, match="did not return"):
                candidate.call("f", 20, timeout=0.3)
            with pytest.raises(CandidateTimeout, match="evaluation did not end") as caught:
                candidate.call("f", 20, timeout=20)
            assert caught.value.output == b"so far\n"
            for again in (lambda: candidate.call("f", 0), candidate.restart, candidate.account):
                with pytest.raises(CandidateTimeout, match="evaluation did not end"):
                    again()

    # --- threads of the evaluator ---------------------------------------------------------------

    def test_threads_take_turns(self, sandbox: Sandbox) -> None:
        with sandbox.open(program(LINE), seed=1, timeout=60) as candidate:
            other = candidate.at([10.0, 1.0])

            def use(number: int) -> Any:
                match number % 6:
                    case 0:
                        candidate.write(f"folder/{number}", b"%d" % number)
                        return candidate.read(f"folder/{number}") == b"%d" % number
                    case 1:
                        return other.call("line", float(number)) == 10.0 * number + 1.0
                    case 2:
                        return candidate.account().cpu >= 0
                    case 3 if number < 10:
                        command = ["python3", "-c", f"print({number})"]
                        return candidate.run(command).stdout == b"%d\n" % number
                    case 4 if number < 10:
                        inputs = ((float(x),) for x in itertools.count())
                        timing = candidate.time("line", inputs, repeats=1)
                        return all(y == 2 * x - 0.5 for (x,), y in timing.samples)
                return candidate.call("line", float(number)) == 2.0 * number - 0.5

            with ThreadPoolExecutor(8) as pool:
                assert all(pool.map(use, range(120)))

            async def use_all() -> list[Any]:
                return await asyncio.gather(*(asyncio.to_thread(use, n) for n in range(60)))

            assert all(asyncio.run(use_all()))

    def test_threads_may_restart_and_overrun(self, sandbox: Sandbox) -> None:
        source = "import time\ndef f(x, s=0):\n    time.sleep(s)\n    return x\n"
        with sandbox.open(program(source), seed=1, timeout=60) as candidate:

            def use(number: int) -> bool:
                if number % 10 == 5:
                    candidate.restart()
                if number % 10 == 7:
                    with pytest.raises(CandidateTimeout):
                        candidate.call("f", 0, 20, timeout=0.1)
                return bool(candidate.call("f", number) == number)

            with ThreadPoolExecutor(4) as pool:
                assert all(pool.map(use, range(40)))

    def test_a_thread_that_is_left_finds_the_evaluation_over(self, sandbox: Sandbox) -> None:
        pool = ThreadPoolExecutor(1)

        def use_for_ever() -> None:
            while True:
                candidate.call("line", 1.0)

        with sandbox.open(program(LINE), seed=1, timeout=60) as candidate:
            left = pool.submit(use_for_ever)
            assert candidate.call("line", 1.0) == 1.5
        with pytest.raises(CandidateCrashed, match="the evaluation is over"):
            left.result(timeout=5)
        pool.shutdown()
        with sandbox.open(program(LINE), seed=1, timeout=5) as candidate:
            assert candidate.call("line", 1.0) == 1.5

    def test_a_commands_cpu_time_is_the_kernels_word(self, sandbox: Sandbox) -> None:
        work = "import time\nwhile time.process_time() < {}: pass\n"
        children = f"import os, sys\nif os.fork():\n    os.wait()\n{work.format(0.2)}"
        script = "while True: pass"
        busy = [
            subprocess.Popen([sys.executable, "-c", script]) for _ in range(os.cpu_count() or 1)
        ]
        try:
            with sandbox.open(program(""), seed=1, timeout=60) as candidate:
                start = candidate.run(["python3", "-c", ""]).cpu
                one = candidate.run(["python3", "-c", work.format(0.4)])
                two = candidate.run(["python3", "-c", children])
                idle = candidate.run(["python3", "-c", "import time; time.sleep(0.4)"])
        finally:
            for process in busy:
                process.kill()
                process.wait()
        most = 0.6 + 2 * start  # an interpreter's start takes longer on a loaded machine
        assert 0.4 <= one.cpu < most
        assert one.seconds >= one.cpu
        assert 0.38 <= two.cpu < most  # a child that was waited for counts in hundredths
        assert idle.cpu < most - 0.4
        assert idle.seconds >= 0.4
