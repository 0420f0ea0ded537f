"""What is shipped works: the wheel, in an empty environment, from an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="only a checkout can build a wheel"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--wheel-dir", folder, ROOT],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    (built,) = folder.glob("evolver-*.whl")
    return built


def test_the_wheel_holds_the_package_and_nothing_beside_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"evolver"}
    for folder in ("evaluators/exp2", "prompts", "sandbox", "examples/exp2"):
        assert any(name.startswith(f"evolver/_bundled/{folder}/") for name in names), folder
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel alone; the dependencies are those of this one.

    They are named by a path, which runs no `.pth` of theirs: so this checkout, which is installed
    there as editable, cannot be what is imported.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--python", python, "install", "--no-deps",
         "--no-index", wheel],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_a_task_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    place = subprocess.run(
        [installed / "bin" / "python", "-c", "import evolver; print(evolver.__file__)"],
        cwd=tmp_path, env=environment, check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip
    assert place.startswith(str(installed))
    done = subprocess.run(
        [installed / "bin" / "evolver", "run", "examples/exp2", "--evaluations", "12", "--json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["evaluations"] == 12
    assert told["best_metrics"]["digits"] > 1
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
