"""What runs inside the box, tried outside of it: literals as globals, and the filter of calls."""

from __future__ import annotations

import importlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolver.bundled import bundled
from evolver.programs import literals

SOURCE = b'''\
"""Floats in all the places where Python takes one, also in a line with an \xc3\xa4."""
import math
A = -0.5; B = [1.0, 2e3, - 3.0]
name = "\xc3\xa4", 4.0

class Shape:
    ratio = 0.25
    def area(self, x, scale=1.5):
        return self.ratio * scale * x ** -2.0 - 6.5

def f(x):
    inner = lambda y: y * 7.5 if y > 0.125 else -y
    return [A, *B, name[1], Shape().area(x), inner(x), {8.5: 9.5}[8.5], (10.5 - x) ** 2,
            f"{x:.1f} {11.5}", sum(12.5 * i for i in range(3)), [13.5 for _ in (1,)], math.pi]
'''


@pytest.fixture(scope="module")
def guest() -> Iterator[Any]:
    """The guest's package, as the bootstrap makes it, with the host's copy left alone."""
    folder = bundled("sandbox").parent
    sys.path.insert(0, str(folder))
    yield importlib.import_module
    sys.path.remove(str(folder))


def values_of(namespace: dict[str, Any]) -> Any:
    return namespace["f"](3.0)


vectors = st.lists(
    st.floats(-100, 100), min_size=len(literals.find({"m.py": SOURCE})),
    max_size=len(literals.find({"m.py": SOURCE})),
)  # fmt: skip


@given(vectors)
def test_setting_literals_is_the_same_as_writing_them(guest: Any, vector: list[float]) -> None:
    program = guest("sandbox.program")
    places = literals.find({"m.py": SOURCE})
    own = [place.value for place in places]
    vector = [
        1.5 if place.value in (8.5, -2.0) else value
        for place, value in zip(places, vector, strict=True)
    ]  # a key and an exponent: other values are other programs
    modules = program.Modules(
        "/nowhere", {"m.py": SOURCE}, [(p.path, p.line, p.column) for p in places], own
    )
    sys.meta_path.insert(0, modules)
    try:
        modules.set_parameters(vector)
        assert modules.parameters == tuple(vector)
        set_here = values_of(vars(importlib.import_module("m")))
        modules.set_parameters(None)
        unchanged = values_of(vars(importlib.import_module("m")))
    finally:
        modules.forget()
        sys.meta_path.remove(modules)
    for values, result in ((vector, set_here), (own, unchanged)):
        written: dict[str, Any] = {}
        exec(literals.substitute({"m.py": SOURCE}, values)["m.py"], written)
        assert repr(values_of(written)) == repr(result)


def test_module_names(guest: Any) -> None:
    name = guest("sandbox.program").module_name
    assert [name(path) for path in ("a.py", "a/b.py", "a/__init__.py")] == ["a", "a.b", "a"]


def test_packages_beside_the_library_are_found_by_a_python_that_looks_elsewhere() -> None:
    """As Debian's does; an image from such a host has them there."""
    script = f"""
import os, runpy, site, sysconfig
site.PREFIXES[:] = []
packages = sysconfig.get_path("stdlib") + "/site-packages"
found = runpy.run_path({str(bundled("sandbox") / "machine.py")!r})["python_path"]()
assert (packages in found) == os.path.isdir(packages), found
"""
    subprocess.run([sys.executable, "-c", script], check=True)


# --- the filter of system calls: run here by a small interpreter of classic BPF ------------------


def verdict(program: bytes, number: int, *arguments: int, arch: int = 0xC000003E) -> int:
    """Return what the kernel would: the action for one system call."""
    record = struct.pack("=iIQ6Q", number, arch, 0, *[*arguments, *[0] * 6][:6])
    steps = list(struct.iter_unpack("<HBBI", program))
    accumulator, position = 0, 0
    while True:
        code, if_true, if_false, operand = steps[position]
        position += 1
        if code == 0x06:
            return int(operand)
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", record, operand)
            continue
        holds = {
            0x15: accumulator == operand,
            0x35: accumulator >= operand,
            0x45: bool(accumulator & operand),
        }[code]
        position += if_true if holds else if_false


@pytest.fixture(scope="module")
def filters(guest: Any) -> dict[str, bytes]:
    seccomp = guest("sandbox.seccomp")
    if seccomp.MACHINE != "x86_64":
        pytest.skip("the numbers below are those of x86_64")
    return {
        "strict": seccomp.build_filter(network=False, signals=False),
        "open": seccomp.build_filter(network=True),
        "shared": seccomp.build_filter(network=True, local=False, shares_user=True),
    }


ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026


@pytest.mark.parametrize(
    ("call", "strict", "lax"),
    [
        ((0,), ALLOW, ALLOW),  # read
        ((59,), ALLOW, ALLOW),  # execve
        ((101,), EPERM, EPERM),  # ptrace
        ((165,), EPERM, EPERM),  # mount
        ((272,), EPERM, EPERM),  # unshare
        ((241,), EPERM, EPERM),  # mq_unlink, the last of the list
        ((435,), ENOSYS, ENOSYS),  # clone3
        ((56, 17), ALLOW, ALLOW),  # clone, as fork does it
        ((56, 0x3D0F00), ALLOW, ALLOW),  # clone, as pthread_create does it
        ((56, 0x10000000 | 17), EPERM, EPERM),  # clone with a user namespace
        ((16, 0, 0x5401), ALLOW, ALLOW),  # ioctl TCGETS
        ((16, 0, 0x5412), EPERM, EPERM),  # ioctl TIOCSTI
        ((41, 1), ALLOW, ALLOW),  # socket(AF_UNIX)
        ((41, 2), EPERM, ALLOW),  # socket(AF_INET)
        ((41, 16), EPERM, ALLOW),  # socket(AF_NETLINK)
        ((62, 1), EPERM, ALLOW),  # kill
        ((234, 1), EPERM, ALLOW),  # tgkill, which raise() needs
        ((16, 0, 0x8901), EPERM, EPERM),  # ioctl FIOSETOWN
        ((72, 3, 3), ALLOW, ALLOW),  # fcntl F_GETFL
        ((72, 3, 8), EPERM, EPERM),  # fcntl F_SETOWN
        ((72, 3, 1024), EPERM, EPERM),  # fcntl F_SETLEASE
        ((72, 3, 1030), ALLOW, ALLOW),  # fcntl F_DUPFD_CLOEXEC
        ((278,), EPERM, EPERM),  # vmsplice
        ((0x40000000 | 165,), KILL, KILL),  # mount, by its x32 number
    ],
)
def test_the_filter(filters: dict[str, bytes], call: Any, strict: int, lax: int) -> None:
    assert verdict(filters["strict"], *call) == strict
    assert verdict(filters["open"], *call) == lax


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ((41, 1), EPERM),  # socket(AF_UNIX): the host's servers
        ((41, 2), ALLOW),  # socket(AF_INET)
        ((53, 1), ALLOW),  # socketpair
        ((90,), 0x00050000),  # chmod: nothing happens, and 0 is returned
        ((302, 0), ALLOW),  # prlimit64 of its own
        ((302, 17), EPERM),  # of another process
        ((76,), EPERM),  # truncate, by name
        ((77,), ALLOW),  # ftruncate
    ],
)
def test_the_filter_beside_processes_of_the_same_user(
    filters: dict[str, bytes], call: Any, expected: int
) -> None:
    assert verdict(filters["shared"], *call) == expected


def test_another_architecture_is_killed(filters: dict[str, bytes]) -> None:
    assert verdict(filters["open"], 0, arch=0x40000003) == KILL


# --- processes ------------------------------------------------------------------------------------


def test_what_threads_start_and_start_again_is_found(guest: Any) -> None:
    def start() -> None:
        script = "import subprocess; subprocess.run(['sleep', '60'])"
        started.append(subprocess.Popen([sys.executable, "-c", script], process_group=0))
        is_over.wait()  # a thread's children are another's when it is gone

    started: list[subprocess.Popen[bytes]] = []
    is_over = threading.Event()
    thread = threading.Thread(target=start)
    thread.start()
    try:
        ends = time.monotonic() + 10
        found: list[int] = []
        while len(found) < 2 and time.monotonic() < ends:
            found = guest("sandbox.processes").descendants(os.getpid())
        assert len(found) == 2
        assert found[0] == started[0].pid
    finally:
        is_over.set()
        thread.join()
        os.killpg(started[0].pid, signal.SIGKILL)
        started[0].wait()


def test_it_is_seen_that_open_files_are_on_their_way(guest: Any) -> None:
    look = guest("sandbox.processes").holdings
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as file:
        file.write(b"x" * 100_000)
        file.flush()
        size = os.fstat(file.fileno()).st_blocks * 512
        socket.send_fds(ours, [b"!"], [file.fileno()])
        held = look(os.getpid(), memory=True)
        assert held.sends
        assert held.private > 1 << 20
        assert size in held.files.values()
        _, fds, _, _ = socket.recv_fds(theirs, 1, 1)
        assert not look(os.getpid(), memory=False).sends
        os.close(fds[0])


# --- trees of files ------------------------------------------------------------------------------


def test_what_a_killed_runner_left_is_removed_by_a_later_one(guest: Any, tmp_path: Path) -> None:
    files = guest("sandbox.files")
    left, held, others, young = (tmp_path / name for name in ("box-1", "box-2", "x-3", "box-4"))
    for folder in (left, held, others, young):
        (folder / "scratch").mkdir(parents=True)
        (folder / "scratch/made").write_text("by a candidate")
        if folder is not young:
            os.utime(folder, (0, 0))
    holds = files.hold(held)
    files.sweep(str(tmp_path), "box-")
    assert not left.exists()
    assert held.exists()
    with pytest.raises(BlockingIOError):
        files.hold(held)
    os.close(holds)
    files.sweep(str(tmp_path), "box-")
    assert sorted(place.name for place in tmp_path.iterdir()) == ["box-4", "x-3"]


@pytest.mark.parametrize(
    ("mapped", "least", "count"),
    [
        ("         0          0 4294967295\n", 1 << 30, 65_535),
        ("         0     100000      65536\n", 32_768, 32_768),  # an engine that maps users
        ("0 1000 1\n1 100000 65536\n", 32_769, 32_768),  # a rootless one
    ],
)
def test_fresh_uids_are_such_as_exist(guest: Any, mapped: str, least: int, count: int) -> None:
    first, found = guest("sandbox.uids").fresh_uids(mapped)
    assert found == count
    assert least <= first <= (1 << 31) - count
    assert first == least or least == 1 << 30


def test_around_leaves_out_what_is_hidden(guest: Any, tmp_path: Path) -> None:
    files = guest("sandbox.files")
    for name in ("a/secret/x", "a/open/y", "b"):
        (tmp_path / name).mkdir(parents=True)
    found = files.around(str(tmp_path), [f"{tmp_path}/a/secret", f"{tmp_path}/none"])
    assert sorted(found) == [f"{tmp_path}/a/open", f"{tmp_path}/b"]


def test_a_tree_that_nobody_may_enter_is_removed(guest: Any, tmp_path: Path) -> None:
    files = guest("sandbox.files")
    (tmp_path / "t/inner").mkdir(parents=True)
    (tmp_path / "kept").touch()
    (tmp_path / "t/inner/link").symlink_to(tmp_path)
    (tmp_path / "t/inner").chmod(0)
    (tmp_path / "t").chmod(0)
    files.wipe(str(tmp_path / "t"))
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_tree_deeper_than_any_path_is_too_much_and_is_removed(guest: Any, tmp_path: Path) -> None:
    files = guest("sandbox.files")
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1200):  # deeper than Python recurses, too
            os.mkdir("deeper", dir_fd=here)
            os.close(os.open("file", os.O_CREAT, dir_fd=here))
            inner = os.open("deeper", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
    finally:
        os.close(here)
    assert not files.is_within(str(tmp_path), 1 << 30, 10_000)
    files.wipe(str(tmp_path / "deeper"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_tree_is_measured_without_following_links(guest: Any, tmp_path: Path) -> None:
    files = guest("sandbox.files")
    (tmp_path / "big").write_bytes(random.randbytes(100_000))
    (tmp_path / "loop").symlink_to(tmp_path)
    assert files.is_within(str(tmp_path), 200_000, 2)
    assert not files.is_within(str(tmp_path), 50_000, 2)
    assert not files.is_within(str(tmp_path), 200_000, 1)
