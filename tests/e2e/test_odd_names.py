"""Every command, in folders and on tasks and runs whose names mean something elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import docker_image
import pytest
from command_line import CommandLine, write_task

# What a URI, a shell, a pattern, a container's mounts, rich or git would take for something else.
SIGNS = "issue #12 ?mode=rw 100%25 &;|$HOME ${x} ~ 'q' \"q\" *[a-z] a:b \\ [red] größe-数-🧬"
NAMES = {
    "signs and controls": f"-x\n\x1b[31m\r\t\u202e{SIGNS}",
    "long and no text": "n" * 190 + os.fsdecode(b"caf\xe9\xff"),
}


@pytest.fixture(params=NAMES.values(), ids=NAMES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A repository in a folder of such a name, with a task of the same name."""
    place = tmp_path / request.param
    try:
        place.mkdir()
    except OSError:
        pytest.skip("this file system has no such name")
    write_task(place / _inner(place))
    git = ["git", "-c", "user.name=N", "-c", "user.email=e@example.invalid", "-C", str(place)]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    return place


def _inner(place: Path) -> str:
    return place.name[-100:]  # SQLite takes paths of 512 bytes


def test_every_command_in_and_on_what_has_an_odd_name(place: Path) -> None:
    inner = _inner(place)
    cli, name, task = CommandLine(place), f"./{inner}", place / inner
    cli("run", "--evaluations", 4, "--workers", 1, "--", inner)
    (made,) = (place / "runs").glob("*/evolver.db")
    assert (place / "runs" / ".gitignore").read_text() == "*\n"
    assert cli.json("show")["evaluations"] == 4

    # A run in the task's own folder, which stays what it is.
    cli("run", name, "--out", task / inner, "--evaluations", 4, "--workers", 1)
    beside = CommandLine(task)
    beside("resume", name, "--evaluations", 8)
    assert beside.json("show", name)["evaluations"] == 8
    assert "error" in beside("show", name, "best").stdout
    assert beside("best", name, "seed").stdout == (task / "curve.py").read_text()
    beside("diff", name, "seed", "best")
    assert "0 and 0 are the same" in beside("diff", name, "seed", "seed").stderr
    beside("export", name, "--format", "jsonl", "--out", f"{name}.l")
    exported = Path(task, f"{inner}.l").read_text().splitlines()
    programs = [json.loads(line) for line in exported]
    changed = next(p["id"] for p in programs if p["id"] and p.get("status") == "ok")
    assert "is at" in beside("apply", name, "--program", changed, "--anyway").stdout
    assert beside.json("replay", name, "--re-evaluate")["same"] is True
    beside("fork", name, "--at", 3, "--out", f"{name}2", "--evaluations", 5)
    assert "whole" in beside("doctor", name).stdout
    beside("doctor", name, "--recover", f"{name}3")
    beside("resume", f"{name}3", "--evaluations", 9)
    assert "has no model that asks a person" in beside.refuses("answer", name)

    cli("evaluate", name, "--program", f"{name}/curve.py")
    assert "no operator of this task uses a model" in cli.refuses("prompt", name)
    cli("doctor", name)
    program = place / f"{inner}.py"
    program.write_bytes((task / "curve.py").read_bytes())
    making = ("init", program, task / "score.py", "--out", f"{name}4")
    if name == ascii(name) or name.isprintable() or "\n" in name:
        cli(*making)
        cli("run", f"{name}4", "--evaluations", 3, "--out", f"{name}5")
    else:  # TOML is UTF-8
        assert "rename it" in cli.refuses(*making)
    assert made.exists()


def test_candidates_in_containers_of_an_odd_place(tmp_path: Path) -> None:
    image = docker_image.provide()
    place = tmp_path / SIGNS
    place.mkdir()
    (place / "seen").mkdir()
    task = write_task(place / SIGNS)
    text = (task / "task.toml").read_text()
    seen = json.dumps(str(place / "seen"), ensure_ascii=False)
    text += f"\n[sandbox]\nimage = '{image}'\nvisible = [{seen}]\n"
    (task / "task.toml").write_text(text)
    cli = CommandLine(place)
    assert cli.json("run", f"./{SIGNS}", "--evaluations", 3, "--sandbox", "docker")["best_score"]
