"""An evaluator that needs what this machine lacks says so in a sentence, before any judging."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from contextlib import closing
from pathlib import Path

import pytest
from command_line import CommandLine

from evolver import devices
from evolver.errors import UsageError
from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.sandboxes.local import gpu_paths
from evolver.types import Program

NEEDY = """
from dataclasses import dataclass
from evolver import devices

@dataclass(frozen=True)
class Needy:
    device: str = "cuda"

    def check_host(self, gpus):
        devices.require(self.device, gpus)

    def evaluate(self, candidate):
        return {"score": float(candidate.call("f"))}
"""
TASK = """
[task]
description = "A number."
program = ["f.py"]
[evaluator]
use = "needy.py:Needy"
with = { device = "DEVICE" }
[objective]
maximize = ["score"]
[sandbox]
gpus = GPUS
"""


@pytest.mark.parametrize(
    ("gpus", "complaint"),
    [("[]", "set [sandbox] gpus = [0]"), ("[97]", "there is no GPU 97 here")],
)
def test_a_task_that_needs_a_gpu_says_so(tmp_path: Path, gpus: str, complaint: str) -> None:
    (tmp_path / "f.py").write_text("def f():\n    return 1.5\n")
    (tmp_path / "needy.py").write_text(NEEDY)
    task = tmp_path / "task.toml"
    task.write_text(TASK.replace("GPUS", gpus).replace("DEVICE", "cuda"))
    done = CommandLine(tmp_path)("run", ".", "--evaluations", 3, code=2)
    assert complaint in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    task.write_text(TASK.replace("GPUS", "[]").replace("DEVICE", "cpu"))
    CommandLine(tmp_path)("evaluate", ".")


def test_the_processor_is_always_there() -> None:
    devices.require("cpu", ())
    with pytest.raises(UsageError, match="no GPU 98"):
        devices.require("cuda", (98,))


@pytest.mark.parametrize("task", ["matmul-triton", "matmul-tiling/gpu"])
def test_a_shipped_task_for_a_gpu_names_its_twin(tmp_path: Path, task: str) -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU here")
    done = CommandLine(tmp_path)("evaluate", f"examples/{task}", code=2)
    said = " ".join(done.stderr.split())
    assert "there is no GPU 0 here" in said
    assert f"on the processor is examples/{task.partition('/')[0]}" in said


def test_what_a_driver_and_its_compiler_look_at_can_be_seen(tmp_path: Path) -> None:
    places = gpu_paths()
    assert sysconfig.get_path("include") in places
    program = f"""
from pathlib import Path
def f():
    return [any(Path(place).iterdir()) for place in {places!r}]
"""
    settings = SandboxSettings(visible=tuple(places), allow_unisolated=True)
    with (
        closing(LocalSandbox(settings)) as sandbox,
        sandbox.open(Program(1, {"f.py": program.encode()}), seed=1, timeout=20) as candidate,
    ):
        assert all(candidate.call("f"))


def test_the_benchmark_says_that_there_is_no_gpu() -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU here")
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout.startswith("nothing is measured: this task runs on a GPU")
    assert len(done.stdout.splitlines()) == 1
    assert not done.stderr
