"""The executors' contract, and what only local worker processes do."""

from __future__ import annotations

import ast
import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from effort import LATE
from executor_contract import OBJECTIVE, ExecutorContract, job, text_job

from evolver.errors import CandidateCrashed, EvolverError, SandboxError
from evolver.evaluation.evaluator import EvaluatorSource
from evolver.evaluation.executors.inline import InlineExecutor
from evolver.evaluation.executors.local import LocalExecutor
from evolver.evaluation.executors.process import worker_environment
from evolver.evaluation.messages import Setup, Stage
from evolver.ports import Executor
from evolver.sandboxes import SandboxSettings
from evolver.types import Evaluation, Job, Preflight, Program, Tune

PLAIN = "def evaluate(candidate):\n    return {'v': candidate.call('f')}\n"

PROBING = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Probing:
    def evaluate(self, candidate):
        return {"v": candidate.call("f")}

    def probe(self, candidate):
        return candidate.call("f")
"""


def setup_of(
    folder: Path,
    evaluator: str = PLAIN,
    *,
    use: str = "evaluate.py:evaluate",
    timeout: float = 10.0,
    sandbox: str = "evolver.sandboxes:LocalSandbox",
) -> Setup:
    """Write an evaluator into a folder and return what its workers are told."""
    (folder / "evaluate.py").write_text(evaluator)
    settings = SandboxSettings(allow_unisolated=True)
    source = EvaluatorSource(use, folder)
    return Setup(source, OBJECTIVE, (Stage(),), timeout, settings, sandbox)


async def start(setup: Setup, slots: int = 1, **options: Any) -> LocalExecutor:
    executor = LocalExecutor(setup, slots, **options)
    try:
        await executor.start()
    except BaseException:
        await executor.close()
        raise
    return executor


def run_with(
    setup: Setup, walk: Callable[[LocalExecutor], Awaitable[Any]], slots: int = 1, **options: Any
) -> Any:
    """Run a coroutine with a started executor; anything that its loop complains of is a failure."""
    complaints: list[Mapping[str, Any]] = []

    async def run() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        executor = await start(setup, slots, **options)
        try:
            return await walk(executor)
        finally:
            await executor.close()

    result = asyncio.run(run())
    assert complaints == []
    return result


def judge(setup: Setup, *jobs: Job, **options: Any) -> list[Evaluation]:
    """Judge programs, one after the other, in one worker."""

    async def walk(executor: LocalExecutor) -> list[Evaluation]:
        return [await executor.evaluate(one) for one in jobs]

    answers: list[Evaluation] = run_with(setup, walk, **options)
    return answers


# --- the contract -----------------------------------------------------------------------------


class TestInline(ExecutorContract):
    async def make(self, slots: int) -> Executor:
        def measure(program: Program) -> dict[str, float]:
            value = program.files["p.py"].decode().split()[-1]
            try:
                return {"v": float(ast.literal_eval(value))}
            except ValueError:
                raise CandidateCrashed(f"{value} is no number") from None

        def probe(program: Program) -> str:
            found: dict[str, Any] = {}
            try:
                exec(program.files["p.py"], found)
            except ImportError as error:
                raise CandidateCrashed(str(error)) from error
            return str(found["f"]())

        return InlineExecutor(measure, OBJECTIVE, slots, delay=0.005, probe=probe)


class TestLocal(ExecutorContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.setup_of_workers = setup_of(tmp_path, PROBING, use="evaluate.py:Probing")

    async def make(self, slots: int) -> Executor:
        return await start(self.setup_of_workers, slots)


del ExecutorContract  # or it would be collected itself


# --- an evaluator that fails --------------------------------------------------------------------

FITTING = """
from evolver.errors import EvaluatorError, UsageError
class Fitting:
    def evaluate(self, candidate):
        return {'v': candidate.call('f')}
    def residuals(self, candidate):
        if candidate.call('f') > 1:
            raise ERROR('no residuals today')
        return None
evaluator = Fitting()
"""


@pytest.mark.parametrize("error", ["EvaluatorError", "UsageError", "ValueError"])
def test_an_error_in_residuals_is_a_verdict(tmp_path: Path, error: str) -> None:
    setup = setup_of(tmp_path, FITTING.replace("ERROR", error), use="evaluate.py:evaluator")
    bad, good = judge(setup, *(Job(job(v).program, 1, Tune()) for v in (1.5, 0.5)))
    assert (bad.status, bad.fault) == ("crashed", "evaluator")
    assert "no residuals today" in bad.feedback
    assert good.metrics == {"v": 0.5}


def test_the_last_words_of_a_dying_worker_are_told(tmp_path: Path) -> None:
    setup = setup_of(
        tmp_path,
        "import os, sys\n"
        "def evaluate(candidate):\n"
        "    if candidate.call('f') > 1:\n"
        "        sys.stderr.write('a license is missing\\n'); sys.stderr.flush()\n"
        "        os._exit(7)\n"
        "    return {'v': candidate.call('f')}\n",
    )
    dead, next_one = judge(setup, job(1.5), job(0.5))
    assert (dead.status, dead.fault) == ("crashed", "evaluator")
    assert "exit code 7" in dead.feedback
    assert "a license is missing" in dead.feedback
    assert next_one.metrics == {"v": 0.5}


def test_the_signal_that_killed_a_worker_is_told(tmp_path: Path) -> None:
    code = "import os\ndef evaluate(candidate):\n    os.kill(os.getpid(), 11)\n"
    (dead,) = judge(setup_of(tmp_path, code), job(0.5))
    assert "SIGSEGV" in dead.feedback


def test_a_worker_that_dies_at_its_start_says_why(tmp_path: Path) -> None:
    code = "import os, sys\nprint('no such device', file=sys.stderr)\nos._exit(3)\n"
    with pytest.raises(SandboxError, match=r"exit code 3(.|\n)*no such device"):
        judge(setup_of(tmp_path, code), job(0.5))


def test_what_an_evaluator_prints_is_in_the_log(tmp_path: Path) -> None:
    code = "def evaluate(candidate):\n    print('hello', flush=True)\n    return {'v': 1.0}\n"
    log = io.BytesIO()
    judge(setup_of(tmp_path, code), job(0.5), log=log)
    assert log.getvalue() == b"program 1: hello\n"
    gates = io.BytesIO()
    bad = job(0.5)
    judge(setup_of(tmp_path, code), replace(bad, program=replace(bad.program, id=-1)), log=gates)
    assert gates.getvalue() == b"gate: hello\n"


def test_a_start_that_takes_too_long_is_the_hosts_fault(tmp_path: Path) -> None:
    setup = setup_of(tmp_path, "import time\ntime.sleep(60)\n" + PLAIN)
    with pytest.raises(SandboxError, match=r"not ready within 0\.4 s"):
        judge(setup, job(0.5), start_timeout=0.4)


@pytest.mark.slow
def test_a_later_worker_that_starts_too_slowly_is_the_hosts_fault(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    code = f"import os, time\nif os.path.exists({str(slow)!r}): time.sleep(60)\n" + PLAIN
    setup = setup_of(tmp_path, code)

    async def walk(executor: LocalExecutor) -> list[Evaluation | BaseException]:
        slow.touch()
        return await asyncio.gather(
            executor.evaluate(job(0.5)), executor.evaluate(job(0.5)), return_exceptions=True
        )

    first, second = run_with(setup, walk, 2, start_timeout=4.0)
    assert isinstance(first, Evaluation)
    assert isinstance(second, SandboxError)
    assert "not ready within 4 s" in str(second)


# --- death --------------------------------------------------------------------------------------


def test_a_worker_that_died_while_idle_is_no_programs_fault(tmp_path: Path) -> None:
    code = "import os\ndef evaluate(candidate):\n    return {'v': os.getpid()}\n"
    setup = setup_of(tmp_path, code)

    async def walk(executor: LocalExecutor) -> tuple[Evaluation, Evaluation]:
        before = await executor.evaluate(job(0.5))
        os.kill(int(before.metrics["v"]), signal.SIGKILL)
        return before, await executor.evaluate(job(0.5))

    before, after = run_with(setup, walk)
    assert (after.status, after.fault) == ("rejected", "candidate")  # v <= 10: no pid is
    assert after.metrics["v"] != before.metrics["v"]


def test_workers_die_with_a_killed_controller_though_their_evaluator_loops(tmp_path: Path) -> None:
    loop = (
        "import os, time\ndef evaluate(candidate):\n    open('pid', 'w').write(str(os.getpid()))\n"
    )
    (tmp_path / "evaluate.py").write_text(loop + "    while True: pass\n")
    script = """
import asyncio, pathlib
from evolver.evaluation.evaluator import EvaluatorSource
from evolver.evaluation.executors.local import LocalExecutor
from evolver.tasks.objective import Objective
from evolver.sandboxes import SandboxSettings
from evolver.types import Job, Program
from evolver.evaluation.messages import Setup, Stage
setup = Setup(
    EvaluatorSource("evaluate.py:evaluate", pathlib.Path.cwd()), Objective(("v",)), (Stage(),),
    60.0, SandboxSettings(allow_unisolated=True), "evolver.sandboxes:LocalSandbox",
)
async def main():
    executor = LocalExecutor(setup, 1)
    await executor.start()
    await executor.evaluate(Job(Program(1, {"p.py": b""}), 1))
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path) as controller:
        pid = tmp_path / "pid"
        wait_until(lambda: pid.exists() and pid.read_text() != "", 20)
        worker = int(pid.read_text())
        assert is_running(worker)
        controller.kill()
        controller.wait()
    wait_until(lambda: not is_running(worker), 20)


def is_running(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


SLEEPING = "import time\ndef evaluate(candidate):\n    time.sleep(9)\n    return {'v': 1.0}\n"


def test_closing_ends_what_is_being_judged_without_noise(tmp_path: Path) -> None:
    async def walk(executor: LocalExecutor) -> tuple[list[Any], float]:
        jobs = [asyncio.ensure_future(executor.evaluate(job(9.0, n))) for n in range(4)]
        await asyncio.sleep(1.5)  # two are being judged, or their workers start; two wait
        started = time.monotonic()
        await executor.close()
        answers = await asyncio.gather(*jobs, return_exceptions=True)
        return answers, time.monotonic() - started

    answers, seconds = run_with(setup_of(tmp_path, SLEEPING), walk, 2)
    assert [type(answer) for answer in answers] == [SandboxError] * 4
    assert seconds < LATE


@pytest.mark.slow
def test_closing_after_an_interruption_leaves_nothing_to_complain_of(tmp_path: Path) -> None:
    setup_of(tmp_path, SLEEPING)
    script = f"""
import asyncio, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from executor_contract import job
from test_executors import SLEEPING, setup_of, start
async def main():
    executor = await start(setup_of(Path({str(tmp_path)!r}), SLEEPING), 2)
    jobs = asyncio.gather(*(executor.evaluate(job(9.0, n)) for n in range(3)))
    try:
        await asyncio.wait_for(jobs, 1.0)
    except TimeoutError:
        print("interrupted")
    finally:
        await executor.close()
asyncio.run(main())
"""
    here = Path(__file__).resolve().parent
    path = os.pathsep.join([str(here), str(here.parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


# --- tuning by evolution ------------------------------------------------------------------------

COUNTING = """
import pathlib
LOG = pathlib.Path(__file__).with_name("log")
def evaluate(candidate):
    with LOG.open("a") as log:
        log.write(f"{candidate.parameters[0]!r}\\n")
    return {'v': candidate.call('f')}
"""


def tuned(source: str, limit: int) -> Job:
    return Job(Program(1, {"p.py": source.encode()}), 1, Tune(limit=limit))


def test_a_program_that_touches_a_canary_is_rejected_whatever_its_score(tmp_path: Path) -> None:
    looking = "try:\n    import evolver\nexcept ImportError:\n    pass\ndef f():\n    return {}\n"
    in_one_fit = "def f():\n    if 1.0 != 1:\n        import evaluators\n    return 9\n"
    flagged, crashed, fitted = judge(
        setup_of(tmp_path),
        text_job(looking.format(9)),
        text_job(looking.format("1 / 0")),
        tuned(in_one_fit, 20),
    )
    for one in (flagged, crashed, fitted):
        assert (one.status, one.objectives, one.fault) == ("rejected", None, "candidate")
        assert "decoy" not in one.feedback
    assert flagged.flags == crashed.flags == ("it opened the decoy evolver/__init__.py",)
    assert fitted.flags == ("it opened the decoy evaluators/__init__.py",)


@pytest.mark.slow
def test_literals_are_fitted_by_evolution(tmp_path: Path) -> None:
    source = "def f():\n    return 3.0 - (0.5 - 2.5) ** 2\n"

    async def tune(executor: LocalExecutor) -> tuple[Program, Evaluation]:
        return await executor.tune(tuned(source, 30))

    program, found = run_with(setup_of(tmp_path, COUNTING), tune)
    assert program.files != tuned(source, 30).program.files
    assert found.status == "ok"
    assert found.objectives is not None
    assert found.objectives[0] > -1.0  # the child's own
    assert found.evaluations == 30
    (again,) = judge(setup_of(tmp_path, COUNTING), Job(Program(2, program.files), 1))
    assert again.metrics == found.metrics


@pytest.mark.slow
@pytest.mark.parametrize(
    "way", ["while x * 20 > 21: pass", "if x * 20 > 21: import os; os._exit(1)"]
)
def test_literals_that_loop_or_kill_spoil_no_other_evaluation(tmp_path: Path, way: str) -> None:
    source = f"def f():\n    x = 1.0\n    {way}\n    return x\n"
    setup = setup_of(tmp_path, COUNTING, timeout=0.5)
    started = time.monotonic()
    (found,) = judge(setup, tuned(source, 12))
    assert time.monotonic() - started < 12 * 0.5 + LATE
    assert found.status == "ok"
    assert 1.0 <= found.metrics["v"] <= 1.05
    tried = [float(line) for line in (tmp_path / "log").read_text().split()]
    assert found.evaluations == len(tried) <= 12
    first_bad = next(index for index, value in enumerate(tried) if value > 1.05)
    assert any(value <= 1.05 for value in tried[first_bad:])  # it went on


@pytest.mark.slow
def test_an_evaluator_that_loops_in_a_fit_costs_what_was_begun(tmp_path: Path) -> None:
    code = COUNTING.replace(
        "    return",
        "    if len(LOG.read_text().split()) == 3:\n        while True: pass\n    return",
    )
    (found,) = judge(setup_of(tmp_path, code, timeout=1.0), tuned("def f():\n    return 1.0\n", 50))
    assert (found.status, found.fault, found.evaluations) == ("timeout", "evaluator", 3)


@pytest.mark.slow
def test_a_worker_that_dies_in_a_fit_costs_what_was_begun(tmp_path: Path) -> None:
    code = COUNTING.replace(
        "    return",
        "    if len(LOG.read_text().split()) == 4:\n        import os; os._exit(1)\n    return",
    )
    (found,) = judge(setup_of(tmp_path, code), tuned("def f():\n    return 1.0\n", 50))
    assert (found.status, found.fault, found.evaluations) == ("crashed", "evaluator", 4)


BREAKING = """
from contextlib import contextmanager
from pathlib import Path
from evolver.errors import SandboxError
from evolver.sandboxes import LocalSandbox
MARK = Path(__file__).with_name("broken")
class Breaking(LocalSandbox):
    opened = 0
    @contextmanager
    def open(self, program, *, seed, timeout):
        self.opened += 1
        if self.opened == 3 and not MARK.exists():
            MARK.touch()
            raise SandboxError("a cable is loose")
        with super().open(program, seed=seed, timeout=timeout) as candidate:
            yield candidate
"""


@pytest.mark.slow
def test_a_sandbox_that_breaks_in_a_fit_costs_what_was_begun(tmp_path: Path) -> None:
    (tmp_path / "breaking.py").write_text(BREAKING)
    setup = setup_of(tmp_path, COUNTING, sandbox="breaking.py:Breaking")
    found, after = judge(setup, tuned("def f():\n    return 1.0\n", 50), job(0.5))
    assert (found.status, found.fault, found.evaluations) == ("crashed", "candidate", 3)
    assert "a cable is loose" in found.feedback
    assert after.metrics == {"v": 0.5}


# --- what a worker is started with --------------------------------------------------------------


def test_files_of_the_current_folder_do_not_shadow_the_standard_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("random", "json", "numpy", "evolver"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('imported by a worker')\n")
    (tmp_path / "neighbour.py").write_text("VALUE = 2.0\n")
    monkeypatch.chdir(tmp_path)
    code = "import json, random\ndef evaluate(candidate):\n    return {'v': neighbour.VALUE}\n"
    (found,) = judge(setup_of(tmp_path, "import neighbour\n" + code), job(0.5))
    assert found.metrics == {"v": 2.0}


@pytest.mark.parametrize("name", ["random", "json", "time", "types"])
def test_a_program_may_have_the_name_of_a_module_of_the_library(tmp_path: Path, name: str) -> None:
    files = {f"{name}.py": b"def f():\n    import math\n    return math.sqrt(4.0)\n"}
    first, second = judge(setup_of(tmp_path), Job(Program(1, files), 1), job(0.5))
    assert (first.metrics, first.feedback) == ({"v": 2.0}, "")
    assert second.metrics == {"v": 0.5}


def test_no_key_is_in_a_workers_environment() -> None:
    kept = worker_environment({"OPENAI_API_KEY": "secret", "PATH": "/bin", "AWS_TOKEN": "secret"})
    assert kept["PATH"] == "/bin"
    assert "secret" not in kept.values()


def test_a_wrong_evaluator_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(EvolverError, match="no 'evaluat'; did you mean 'evaluate'"):
        judge(setup_of(tmp_path, use="evaluate.py:evaluat"), job(0.5))


# --- pre-flight -------------------------------------------------------------------------------

TRYING = """
from dataclasses import dataclass
from evolver.errors import CandidateOutputError

@dataclass(frozen=True)
class Trying:
    def evaluate(self, candidate):
        return {"v": 1.0}

    def smoke(self, candidate):
        if candidate.call("f") < 0:
            raise CandidateOutputError("f must not be negative")

    def probe(self, candidate):
        return [candidate.call("f"), 1 / candidate.call("g")]
"""


def preflights_of(setup: Setup, *jobs: Job) -> list[Preflight]:
    """Make pre-flights, one after the other, in one worker."""

    async def walk(executor: LocalExecutor) -> list[Preflight]:
        return [await executor.preflight(one) for one in jobs]

    answers: list[Preflight] = run_with(setup, walk)
    return answers


def test_a_smoke_run_may_find_fault_and_a_probe_starts_afresh(tmp_path: Path) -> None:
    counting = "n = 0\ndef f():\n    global n\n    n += {}\n    return n\ndef g():\n    return {}\n"
    negative, good, same, broken = preflights_of(
        setup_of(tmp_path, TRYING, use="evaluate.py:Trying"),
        text_job(counting.format(-1, 1)),
        text_job(counting.format(1, 2)),
        text_job("def f():\n    return 1\ndef g():\n    return 2\n"),
        text_job(counting.format(1, 0)),  # the probe divides by it
    )
    assert negative.complaint == "f must not be negative"
    assert good.complaint == ""
    assert good.fingerprint == same.fingerprint != ""
    assert broken.fault == "evaluator"
    assert "ZeroDivisionError" in broken.complaint


def test_what_takes_long_before_its_evaluation_is_not_condemned(tmp_path: Path) -> None:
    (slow,) = preflights_of(
        setup_of(tmp_path, PROBING, use="evaluate.py:Probing", timeout=0.3),
        text_job("import time\ntime.sleep(9)\n"),
    )
    assert (slow.complaint, slow.fingerprint) == ("", "")


def test_programs_in_other_languages_are_not_imported(tmp_path: Path) -> None:
    program = Program(1, {"main.c": b"int main() { return 0; }"})
    (found,) = preflights_of(setup_of(tmp_path), Job(program, seed=1))
    assert found.complaint == ""


def test_an_evaluator_that_kills_its_process_is_no_word_on_the_program(tmp_path: Path) -> None:
    code = (
        "import os\nfrom dataclasses import dataclass\n@dataclass\n"
        "class Dying:\n"
        "    def evaluate(self, candidate):\n        return {'v': 1.0}\n"
        "    def probe(self, candidate):\n        os._exit(3)\n"
    )
    (found,) = preflights_of(setup_of(tmp_path, code, use="evaluate.py:Dying"), job(1.0))
    assert (found.fault, found.fingerprint) == ("evaluator", "")
    assert "exit code 3" in found.complaint


LENDING = """
import os
from contextlib import contextmanager
from types import SimpleNamespace

class Lending:
    def __init__(self, settings, **_):
        self.isolation = f"GPU {settings.gpus}, {os.environ['CUDA_VISIBLE_DEVICES']} here"

    @contextmanager
    def open(self, program, *, seed, timeout):
        yield SimpleNamespace(call=lambda name: 1.0)

    def close(self):
        pass
"""


def test_each_slot_has_a_gpu_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "lending.py").write_text(LENDING)
    setup = setup_of(tmp_path, sandbox="lending.py:Lending")
    setup = replace(setup, sandbox=replace(setup.sandbox, gpus=(3, 5)))

    async def walk(executor: LocalExecutor) -> set[str]:
        both = await asyncio.gather(*(executor.evaluate(job("")) for _ in range(2)))
        return {evaluation.isolation for evaluation in both}

    assert run_with(setup, walk, slots=2) == {"GPU (3,), 3 here", "GPU (5,), 5 here"}


# --- a stricter measurement at the end ---------------------------------------------------------

STRICT = """
from dataclasses import dataclass
from evolver.errors import CandidateOutputError

@dataclass(frozen=True)
class Strict:
    bonus: float = 0.0

    def evaluate(self, candidate):
        return {"v": candidate.call("f") + self.bonus}

    def confirm(self, candidate):
        if candidate.call("f") > 1:
            raise CandidateOutputError("not everywhere")
        return {"v": candidate.call("f") + self.bonus}
"""


def test_a_confirmation_is_by_the_stricter_measurement(tmp_path: Path) -> None:
    setup = setup_of(tmp_path, STRICT, use="evaluate.py:Strict")
    lucky, sound = (
        judge(setup, one, replace(one, is_confirmation=True)) for one in (job(1.5), job(0.5))
    )
    assert [one.status for one in lucky] == ["ok", "rejected"]
    assert lucky[1].feedback == "not everywhere"
    assert [one.metrics for one in sound] == [{"v": 0.5}] * 2


def test_only_the_last_stage_is_confirmed(tmp_path: Path) -> None:
    setup = setup_of(tmp_path, STRICT, use="evaluate.py:Strict")
    setup = replace(setup, stages=(Stage({"bonus": -1.0}), Stage()))
    (found,) = judge(setup, replace(job(1.5), is_confirmation=True))
    assert (found.status, found.stage) == ("rejected", 1)


def test_an_evaluator_without_one_measures_as_ever(tmp_path: Path) -> None:
    (found,) = judge(setup_of(tmp_path), replace(job(1.5), is_confirmation=True))
    assert found.metrics == {"v": 1.5}
