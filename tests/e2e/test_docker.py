"""`--sandbox docker`, through the real command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import docker_image
import pytest
from command_line import CommandLine

from evolver.sandboxes import image


@pytest.fixture(scope="module", autouse=True)
def _needs_an_image() -> None:
    docker_image.provide(image.default_tag())


def test_a_run_evolves_in_containers(cli: CommandLine, task: Path) -> None:
    cli("run", task, "--evaluations", 20, "--workers", 2, "--out", "one", "--sandbox", "docker")
    found = cli.json("show", "one")
    assert found["evaluations"] == 20
    assert cli.json("resume", "one", "--evaluations", 24)["evaluations"] == 24
    assert cli.json("evaluate", task, "--sandbox", "docker")["isolation"] == "docker"


def test_the_task_may_say_it(cli: CommandLine, task: Path) -> None:
    settings = (task / "task.toml").read_text()
    (task / "task.toml").write_text(f'{settings}\n[sandbox]\nuse = "docker"\nrequire = "A"\n')
    assert cli.json("evaluate", task)["isolation"] == "docker"


def test_what_is_missing_is_one_sentence(
    cli: CommandLine, task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (task / "task.toml").read_text()
    (task / "task.toml").write_text(f'{settings}\n[sandbox]\nrequirements = "packages.txt"\n')
    said = cli("evaluate", task, "--sandbox", "docker", code=2).stderr
    assert "packages.txt cannot be read" in said
    (task / "packages.txt").write_text("# what candidates import\nnumpy\nastropy>=3  # graphs\n")
    said = cli("evaluate", task, "--sandbox", "docker", code=2).stderr
    assert "evolver sandbox build TASK --from-host" in said
    assert said.count("\n") == 1
    said = cli("sandbox", "build", task, "--from-host", code=2).stderr
    assert "astropy>=3 is not installed here" in said


def test_without_an_engine_the_user_is_told_where_one_was_sought(
    cli: CommandLine, task: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evolver", "evaluate", str(task), "--sandbox", "docker"],
        cwd=cli.folder,
        env={**cli.environment, "DOCKER_HOST": f"unix://{cli.folder}/none.sock"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert f"no container engine answers at unix://{cli.folder}/none.sock" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_image_is_made_with_what_the_task_asks_for(cli: CommandLine, task: Path) -> None:
    settings = (task / "task.toml").read_text()
    (task / "task.toml").write_text(f'{settings}\n[sandbox]\nrequirements = ["mpmath"]\n')
    curve = (task / "curve.py").read_text()
    (task / "curve.py").write_text(f"import mpmath, numpy\n{curve}")
    tag = image.default_tag(["numpy", "mpmath"])
    try:
        made = cli("sandbox", "build", task, "--from-host").stdout
        assert "mpmath" in made
        assert f"{tag} is built; use it with --sandbox docker" in made
        assert cli.json("evaluate", task, "--sandbox", "docker")["status"] == "ok"
    finally:
        with docker_image.engine() as client:
            client.images.remove(tag, force=True)


def test_the_dockerfile_builds_on_a_base_that_is_here(cli: CommandLine, tmp_path: Path) -> None:
    """On the host's own Python, a shell and pip: no registry is reached, and none is needed."""
    base, tag = f"evolver-test-base:{os.getpid()}", f"evolver-test-built:{os.getpid()}"
    try:
        with docker_image.engine() as client:
            image.build_from_host(
                client, base, ["numpy", "pip"], lambda _line: None, programs=["sh", "rm"]
            )
        made = cli("sandbox", "build", "--base", base, "--tag", tag).stdout
        assert "COPY requirements.txt" in made
        with docker_image.engine() as client:
            said = client.containers.run(
                tag, ["python3", "-c", "import numpy; print(numpy.arange(3).sum())"], remove=True
            )
        assert said == b"3\n"
        said = cli("sandbox", "build", "--base", "no-such-base:1", "--tag", tag, code=2).stderr
        assert "build it with --from-host" in said
    finally:
        with docker_image.engine() as client:
            for name in (tag, base):
                if client.images.list(name):
                    client.images.remove(name, force=True)
