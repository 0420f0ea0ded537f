"""An evaluator that needs what this machine lacks says so in a sentence, before any judging."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine

from evolver import extras
from evolver.bundled import bundled
from evolver.errors import UsageError
from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.sandboxes.local import gpu_paths
from evolver.scoring import devices
from evolver.tasks.plugins import load_module
from evolver.types import Program

NEEDY = """
from dataclasses import dataclass
from evolver import devices, extras

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


def test_a_preload_that_is_not_installed_is_told_of_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("def f():\n    return 1.5\n")
    (tmp_path / "needy.py").write_text(NEEDY)
    text = TASK.replace("GPUS", '[]\npreload = ["math", "no_such_module"]').replace("DEVICE", "cpu")
    (tmp_path / "task.toml").write_text(text)
    for command in (["run", ".", "--evaluations", 3], ["evaluate", "."]):
        done = CommandLine(tmp_path)(*command, code=2)
        said = " ".join(done.stderr.split())
        assert "preload names no_such_module, which is not installed here: pip install no" in said
        assert "Traceback" not in done.stderr


def test_what_is_missing_is_told_with_what_installs_it() -> None:
    extras.require_modules("json")
    with pytest.raises(UsageError, match=r"no_such and none: pip install no_such none$"):
        extras.require_modules("json", "no_such", "none")
    told = extras.installation("torch", "sklearn", "numba", "triton")
    assert re.fullmatch(r"pip install torch==\S+ 'scikit-learn>=\S+' 'numba>=\S+' triton", told)


def test_nothing_advises_to_install_evolver_from_an_index_that_lacks_it() -> None:
    root = Path(__file__).parents[2]
    places = ["README.md", *("docs", "examples", "evaluators", "evolver", "prompts")]
    texts = [
        path
        for place in places
        for path in ([root / place] if (root / place).is_file() else (root / place).rglob("*"))
        if path.suffix in (".md", ".py", ".toml")
    ]
    assert len(texts) > 100
    assert [
        path for path in texts if re.search(r"pip install [^\n]*evolver", path.read_text())
    ] == []


@pytest.mark.parametrize(
    ("name", "settings"),
    [("sorting", {}), ("matrix_kernel", {"language": "c"}), ("float_function", {})],
)
def test_a_missing_compiler_is_said_before_anything_is_judged(
    name: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundled("evaluators") / name
    evaluator = load_module(folder).Evaluator(**settings)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="apt-get install gcc"):
        evaluator.check_host(())


def test_the_processor_is_always_there() -> None:
    devices.require("cpu", ())
    with pytest.raises(UsageError, match="no GPU 98"):
        devices.require("cuda", (98,))


@pytest.mark.parametrize("task", ["matmul-triton", "matmul-tiling/gpu"])
def test_a_shipped_task_for_a_gpu_names_its_cpu_variant(tmp_path: Path, task: str) -> None:
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


ABOUT = {"name": "A GPU", "memory": 80 << 30, "torch": "2.13", "cuda": "13.0"}


@pytest.fixture
def answering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Have nvidia-smi print a text; the path is that of what it was asked, a line each time."""

    def answer(text: str) -> Path:
        asked = tmp_path / "asked"
        script = tmp_path / "nvidia-smi"
        script.write_text(f"#!/bin/sh\necho \"$@\" >> {asked}\nprintf '{text}'\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        devices.driver.cache_clear()
        return asked

    yield answer
    devices.driver.cache_clear()


def test_a_driver_is_asked_once_and_its_temperature_is_not_told(answering: Any) -> None:
    asked = answering("580.1, 1980 MHz, 2619 MHz, 41\\n580.1, 345 MHz, 2619 MHz, 30\\n")
    for _ in range(3):
        assert devices.describe(ABOUT) == ["on A GPU, 80 GiB; torch 2.13, CUDA 13.0; driver 580.1"]
    assert devices.driver()[1:] == ("clocks 1980 MHz and 2619 MHz", "41 degrees")
    assert len(asked.read_text().splitlines()) == 1


@pytest.mark.parametrize("text", ["", "\\n", "no devices were found\\n", "580.1, [N/A]\\n"])
def test_a_driver_that_says_nothing_is_left_out(text: str, answering: Any) -> None:
    answering(text)
    assert devices.describe(ABOUT) == ["on A GPU, 80 GiB; torch 2.13, CUDA 13.0"]
    assert devices.describe({}) == []
