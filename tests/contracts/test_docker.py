"""The contract on the docker backend, over a real engine, and what only that backend does."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker_image
import pytest
from effort import LATE
from sandbox_contract import SandboxContract
from sandbox_world import SandboxWorld

from evolver.errors import CandidateCrashed, CandidateError, SandboxError
from evolver.sandboxes import SandboxSettings, daemon, owners
from evolver.sandboxes.docker import DockerSandbox, limits
from evolver.types import Files, Program

pytestmark = pytest.mark.slow  # half a minute in all: the fast set leaves containers out

HONEST = Program(1, {"main.py": b"def f():\n    return 1\n"})


class TestDocker(SandboxWorld, SandboxContract):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def engine(cls) -> None:
        """Skip here, so that the report has one line for all of them."""
        if docker_image.missing():
            pytest.skip(docker_image.missing())

    @classmethod
    def make(
        cls,
        settings: SandboxSettings,
        *,
        base: Files | None = None,
        guest: Files | None = None,
        main: str = "",
    ) -> Any:
        settings = replace(settings, image=docker_image.provide())
        return DockerSandbox(settings, base=base, guest=guest, main=main)


del SandboxContract, SandboxWorld  # or it would be collected itself


@pytest.fixture
def sandbox() -> Iterator[DockerSandbox]:
    made = DockerSandbox(SandboxSettings(image=docker_image.provide()))
    yield made
    made.close()


def is_there(container: str) -> bool:
    with docker_image.engine() as client:
        return bool(client.api.containers(all=True, filters={"id": container}))


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


def call(sandbox: DockerSandbox, source: bytes = b"def f():\n    return 1\n") -> Any:
    with sandbox.open(Program(1, {"main.py": source}), seed=1, timeout=5) as candidate:
        return candidate.call("f")


def test_a_container_ends_at_once_with_its_killed_owner() -> None:
    script = f"""
import time
from evolver.sandboxes import SandboxSettings
from evolver.sandboxes.docker import DockerSandbox
from evolver.types import Program
sandbox = DockerSandbox(SandboxSettings(image={docker_image.provide()!r}))
loop = Program(1, {{"main.py": b"def f():\\n    while True: pass\\n"}})
with sandbox.open(loop, seed=1, timeout=60) as candidate:
    print(sandbox.container, flush=True)
    candidate.call("f")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as owner:
        assert owner.stdout is not None
        container = owner.stdout.readline().strip()
        assert is_there(container)
        owner.kill()
    killed = time.monotonic()
    wait_until(lambda: not is_there(container))
    assert time.monotonic() - killed < 2 * LATE


def test_what_an_engine_kept_of_a_dead_owner_is_removed_at_the_next_start(
    sandbox: DockerSandbox,
) -> None:
    """As when the engine itself was stopped in between; a living owner's and others' stay."""
    with subprocess.Popen(["true"]) as dead:
        pass
    host, _, rest = owners.this_process().rpartition(":")[0].rpartition(":")
    labels = {
        "of the dead": f"{host}:{dead.pid}:1",
        "of a pid used again": f"{host}:{rest}:1",
        "of another host": f"elsewhere/1:{dead.pid}:1",
        "of nobody known": "somebody",
    }
    with docker_image.engine() as client:
        made = {
            name: client.api.create_container(
                docker_image.IMAGE, ["python3"], labels={daemon.OWNER: owner}
            )
            for name, owner in labels.items()
        }
    try:
        DockerSandbox(sandbox.settings).close()
        left = {name for name, container in made.items() if is_there(container["Id"])}
        assert left == {"of another host", "of nobody known"}
        assert call(sandbox) == 1  # whose owner, this process, is alive
    finally:
        with docker_image.engine() as client:
            for container in made.values():
                daemon.remove(client, container["Id"])


def test_a_container_that_ran_out_of_memory_is_replaced() -> None:
    settings = SandboxSettings(image=docker_image.provide(), memory=64)
    hoard = b"""
import os
def f():
    block = b"x" * (1 << 20)
    for _ in range(8):
        held = os.memfd_create("hoard")
        for _ in range(48):
            os.write(held, block)
"""
    with contextlib.closing(DockerSandbox(settings)) as sandbox:
        first = sandbox.container
        with pytest.raises(CandidateCrashed, match=r"more than \[sandbox\] memory = 64 MiB"):
            call(sandbox, hoard)
        assert call(sandbox) == 1
        assert sandbox.container != first
        assert not is_there(first)


def test_a_container_is_replaced_after_its_life() -> None:
    settings = SandboxSettings(image=docker_image.provide())
    with contextlib.closing(DockerSandbox(settings, life=2)) as sandbox:
        seen = []
        for _ in range(4):
            seen.append(sandbox.container)
            assert call(sandbox) == 1
        assert seen[0] == seen[1] != seen[2] == seen[3]
        assert not is_there(seen[0])


def test_a_container_that_was_killed_is_replaced(sandbox: DockerSandbox) -> None:
    killed = sandbox.container
    with docker_image.engine() as client:
        client.api.kill(killed)
    assert call(sandbox) == 1
    assert sandbox.container != killed


def test_a_container_that_dies_under_a_candidate_is_no_verdict_on_it(
    sandbox: DockerSandbox,
) -> None:
    with sandbox.open(HONEST, seed=1, timeout=5) as candidate:
        with docker_image.engine() as client:
            client.api.kill(sandbox.container)
        with pytest.raises(SandboxError):
            candidate.call("f")
    assert call(sandbox) == 1


def test_a_runner_that_hangs_is_replaced_soon_after_the_deadline(sandbox: DockerSandbox) -> None:
    hung = sandbox.container
    started = time.monotonic()
    with sandbox.open(HONEST, seed=1, timeout=1) as candidate:
        with docker_image.engine() as client:
            client.api.pause(hung)
        with pytest.raises((CandidateError, SandboxError)):
            candidate.call("f")
    assert time.monotonic() - started < 1 + 2 + 3 + LATE
    assert call(sandbox) == 1
    assert not is_there(hung)


def test_a_closed_sandbox_leaves_nothing() -> None:
    settings = SandboxSettings(image=docker_image.provide())
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    sandbox = DockerSandbox(settings)
    assert call(sandbox) == 1
    sandbox.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208
    assert not is_there(sandbox.container)


def test_the_container_has_next_to_nothing(sandbox: DockerSandbox) -> None:
    with docker_image.engine() as client:
        about = client.api.inspect_container(sandbox.container)
    host = about["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert host["CapDrop"] == ["ALL"]
    assert sorted(name.removeprefix("CAP_") for name in host["CapAdd"]) == [
        "KILL",
        "SETGID",
        "SETUID",
    ]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["PidsLimit"] == 2 * 8 * 64 + 16  # threads too
    # Taken down once the runner had said what the preload takes.
    assert 1024 << 20 < host["Memory"] == host["MemorySwap"] < 1400 << 20
    assert not host["Binds"]


def test_what_is_shown_is_read_only(tmp_path: Path) -> None:
    (tmp_path / "table.txt").write_text("1 2 3")
    for place in (tmp_path, *tmp_path.parents):
        if "pytest" in str(place):
            place.chmod(0o755)  # pytest's folders are closed to others
    settings = SandboxSettings(image=docker_image.provide(), visible=(str(tmp_path),))
    source = f"""
def f():
    try:
        open("{tmp_path}/new", "w")
    except OSError:
        return open("{tmp_path}/table.txt").read()
"""
    with contextlib.closing(DockerSandbox(settings)) as sandbox:
        for _ in range(2):  # what the first one leaves in /tmp is removed, this is not
            assert call(sandbox, source.encode()) == "1 2 3"


class WithoutLandlock(DockerSandbox):
    """In an engine whose filter of system calls, or whose kernel, has none of Landlock's."""

    def _limits(self) -> dict[str, Any]:
        names = ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"]
        refused = {"names": names, "action": "SCMP_ACT_ERRNO"}
        profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}
        found = super()._limits()
        return {**found, "security_opt": [*found["security_opt"], f"seccomp={json.dumps(profile)}"]}


def test_without_landlock_the_image_can_be_read_and_nothing_written() -> None:
    source = b"""
import os
def f():
    found, written = os.listdir("."), []
    # What cannot be listed can still be named.
    places = ["/box", "/box/scratch", "/box/program", os.path.dirname(__file__), "."]
    places += [folder for folder, _, _ in os.walk("/") if not folder.startswith("/proc")]
    for place in places:
        for act in (lambda: open(f"{place}/new", "w"), lambda: os.mkdir(f"{place}/new folder")):
            try:
                act()
                written.append(place)
            except OSError:
                pass
    return found, written
"""
    sandbox = WithoutLandlock(SandboxSettings(image=docker_image.provide()))
    with contextlib.closing(sandbox):
        assert "containers here have no Landlock" in sandbox.report().notes[0]
        for _ in range(2):
            found, written = call(sandbox, source)
            assert (found, set(written)) == ([], {".", "/tmp", "/dev/shm"})


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"SecurityOptions": ["name=rootless"], "CgroupVersion": "1"}, "ignores every limit"),
        ({"MemoryLimit": False, "PidsLimit": False}, "does not limit memory, processes$"),
        ({"SecurityOptions": ["name=rootless"], "CgroupVersion": "2", "CgroupDriver": "none"},
         "does not limit memory, processes, CPU time"),
        ({"OSType": "windows"}, "its containers run windows"),
        ({"SecurityOptions": ["name=rootless"], "CgroupVersion": "2", "MemoryLimit": True}, "^$"),
    ],
)  # fmt: skip
def test_an_engine_that_would_ignore_limits_is_refused(about: dict[str, Any], reason: str) -> None:
    assert re.search(reason, daemon.refusal(about))


def test_an_image_that_is_not_there_is_told() -> None:
    with docker_image.engine(), pytest.raises(SandboxError, match="evolver sandbox build TASK"):
        DockerSandbox(SandboxSettings(image="evolver-sandbox:none-of-this-name"))


def test_an_engine_that_is_closed_to_this_user_is_told(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become a user to whom a socket is closed")
    for place in (tmp_path, *tmp_path.parents):
        if "pytest" in str(place):
            place.chmod(0o711)
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(f"{tmp_path}/engine.sock")
        engine.listen()
        (tmp_path / "engine.sock").chmod(0o600)
        script = (
            "import os\nfrom evolver.sandboxes import daemon\nos.setuid(65534)\ndaemon.connect()"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/engine.sock"},
            capture_output=True,
            text=True,
        )
    assert "is closed to this user: add the user to the group 'docker'" in done.stderr


def test_gpus_are_asked_for_by_number() -> None:
    asked = limits(SandboxSettings(gpus=(3,)), {})["device_requests"]
    assert [(request["DeviceIDs"], request["Capabilities"]) for request in asked] == [
        (["3"], [["gpu"]])
    ]
    assert limits(SandboxSettings(), {})["device_requests"] == []


@pytest.mark.slow
def test_a_hundred_evaluations_leave_nothing() -> None:
    """A thousand are taken by hand, with `python benchmarks/soak.py`."""
    path = Path(__file__).parents[2] / "benchmarks" / "soak.py"
    spec = importlib.util.spec_from_file_location("soak", path)
    assert spec is not None
    assert spec.loader is not None
    soak = sys.modules["soak"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(soak)
    report = soak.soak(100, docker_image.provide(), life=60)
    assert report.leaks == ()
    assert report.verdicts["loops"] == {"CandidateTimeout": 5}
    assert report.verdicts["becomes a daemon"] == {"right": 5}
    assert report.verdicts["fills the memory"] == {"CandidateCrashed": 5}
