"""What programs find in every sandbox: the rows of the table in docs/sandbox.md, one test each."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sandbox_attacks import SETTINGS, SandboxAttacks, program

from evolver.errors import CandidateCrashed, CandidateError
from evolver.ports import Sandbox
from evolver.sandboxes import SandboxSettings

_PAGE = Path(__file__).parents[1] / "docs" / "sandbox.md"
_HELLO = "public class Hello { public static void main(String[] a) { System.out.println(6 * 7); } }"


@dataclass(frozen=True)
class Row:
    """A probe: its `f` returns True where the thing is there, and False or raises where not.

    Attributes:
        source: the program.
        needs: a module or a command that not every host has.
    """

    source: str
    needs: str = ""


#: The first column of the table, and what finds out whether it is so.
ROWS = {
    "a writable directory": Row("""
import os, tempfile
def f():
    for folder in (".", os.environ["HOME"], os.path.expanduser("~"), tempfile.gettempdir()):
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"x" * (60 << 20))
    return True
"""),
    "a private /tmp": Row("""
import os, sys
def f():
    # This Python may lie there.
    own = {path.split("/")[2] for path in (sys.prefix, *sys.path) if path.startswith("/tmp/")}
    is_empty = set(os.listdir("/tmp")) <= own
    with open("/tmp/new", "w") as file:
        file.write("x" * (80 << 20))
    is_there = set(os.listdir("/tmp")) - own == {"new"}
    return is_empty and is_there and os.stat("/tmp").st_mode & 0o7777 == 0o1777
"""),
    "shared memory": Row("""
import os
from multiprocessing import shared_memory
def f():
    is_empty = not os.listdir("/dev/shm")
    made = shared_memory.SharedMemory("ours", create=True, size=100 << 20)
    made.buf[:] = bytes(100 << 20)
    try:
        return is_empty and os.listdir("/dev/shm") == ["ours"]
    finally:
        made.close()
        made.unlink()
"""),
    "pools and queues": Row("""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
def square(x):
    return x * x
def put(queue, lock):
    with lock:
        queue.put(7)
def f():
    found = []
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            found.append(pool.map(square, range(4)) == [0, 1, 4, 9])
        queue, lock = context.Queue(), context.Lock()
        process = context.Process(target=put, args=(queue, lock))
        process.start()
        found.append(queue.get(timeout=10) == 7)
        process.join()
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            found.append(list(pool.map(square, range(4))) == [0, 1, 4, 9])
    return all(found)
"""),
    "a user's name": Row("""
import getpass, os
def f():
    return {getpass.getuser(), os.environ["USER"], os.environ["LOGNAME"]} == {"candidate"}
"""),
    "an entry of its own": Row("""
import grp, os, pwd
def f():
    user, group = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
    return (len(pwd.getpwall()), len(grp.getgrall()), user.pw_name, group.gr_name, user.pw_dir) == (
        1, 1, "candidate", "candidate", os.environ["HOME"])
"""),
    "certificates": Row("""
import glob, os, ssl
def f():
    keys = glob.glob("/etc/ssl/private/*") + glob.glob("/etc/pki/tls/private/*")
    names = {type(open(path).read()) for path in keys if os.access(path, os.R_OK)}
    return len(ssl.create_default_context().get_ca_certs()) > 20 and not names
"""),
    "a resolver's files": Row("""
import os, socket
def f():
    own = {"resolv.conf", "hosts", "nsswitch.conf"} <= set(os.listdir("/etc"))
    localhost = socket.gethostbyname("localhost"), socket.gethostbyname(socket.gethostname())
    return own and not open("/etc/resolv.conf").read() and localhost == ("127.0.0.1", "127.0.0.1")
"""),
    "settings of runtimes": Row("""
import glob, mimetypes, os
def f():
    others = ["/etc/mime.types", "/etc/localtime", *glob.glob("/etc/java*/security/java.security")]
    wanted = ["/etc/fonts/fonts.conf", *filter(os.path.exists, others)]
    return all(len(open(path, "rb").read()) > 9 for path in wanted)
""", needs="/etc/fonts/fonts.conf"),
    "a host's name": Row("""
import socket
def f():
    return socket.gethostname() == "sandbox"
"""),
    "devices": Row("""
import errno
def f():
    for name, content in (("null", b""), ("zero", bytes(9)), ("full", bytes(9))):
        with open("/dev/" + name, "rb") as file:
            assert file.read(9) == content
    for name in ("random", "urandom"):
        with open("/dev/" + name, "rb") as file:
            assert len(set(file.read(64))) > 9
    try:
        with open("/dev/full", "wb") as file:
            file.write(b"x")
    except OSError as error:
        return error.errno == errno.ENOSPC
"""),
    "its own processes": Row("""
import os, subprocess
def f():
    with open("/proc/self/status") as file:
        pid = [int(line.split()[1]) for line in file if line.startswith("Pid:")]
    command = ["cat", "/dev/stdin"]
    said = subprocess.run(command, input=b"42", stdout=subprocess.PIPE).stdout
    return pid == [os.getpid()] and said == b"42" and len(os.listdir("/dev/fd")) > 2
"""),
    "sockets with names": Row("""
import os, socket, tempfile
def f():
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(tempfile.mktemp())
        server.listen()
        client.connect(server.getsockname())
        return server.accept()[0].send(b"x") == 1
"""),
    "a cache for numba": Row("""
import os, numba
@numba.njit(cache=True)
def add(x):
    return x + 1
def f():
    return add(1) == 2 and len(os.listdir(add.stats.cache_path)) > 1
""", needs="numba"),
    "Java": Row(f"""
import subprocess
def f():
    with open("Hello.java", "w") as file:
        file.write({_HELLO!r})
    subprocess.run(["javac", "Hello.java"], check=True)
    said = [subprocess.run(command, stdout=subprocess.PIPE).stdout
            for command in (["java", "Hello"], ["java", "Hello.java"])]
    return said == [b"42\\n"] * 2
""", needs="javac"),
    "many threads": Row("""
import threading
def f():
    over = threading.Event()
    threads = [threading.Thread(target=over.wait) for _ in range(500)]
    for thread in threads:
        thread.start()
    count = threading.active_count()
    over.set()
    return count == 501
"""),
    "much address space": Row("""
import ctypes
def f():
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    size = ctypes.c_size_t(200 << 30)
    for protection in (0, 3):  # none, or to read and write: without any of it reserved in memory
        if libc.mmap(None, size, protection, 0x4022, -1, 0) == ctypes.c_void_p(-1).value:
            return False
    return True
"""),
}  # fmt: skip

#: Takes twice [sandbox] memory, each in its own way, in pieces of a MiB.
_GREEDY = {
    "one process": "held = [bytearray(b'x') * (1 << 20) for _ in range(2 * limit)]",
    "one block": "held = bytearray(b'x') * (2 * limit << 20)",
    "many processes": """
for _ in range(8):
        if not os.fork():
            held = bytearray(b'x') * (limit // 4 << 20)
            time.sleep(20)
            os._exit(0)
""",
    "a shared mapping": """
held = mmap.mmap(-1, 2 * limit << 20)
    for _ in range(2 * limit):
        held.write(block)
""",
    "files without a name": """
for _ in range(limit // 16):
        held = os.memfd_create("held")
        for _ in range(32):
            os.write(held, block)
""",
    "/dev/shm": """
with open("/dev/shm/held", "wb") as file:
        for _ in range(2 * limit):
            file.write(block)
""",
    "/tmp": """
for number in range(4):
        with open(f"/tmp/held{number}", "wb") as file:
            for _ in range(limit // 2):
                file.write(block)
""",
    "threads": """
def take():
        mine = [bytearray(b'x') * (1 << 20) for _ in range(limit // 4)]
        time.sleep(20)
    for _ in range(8):
        threading.Thread(target=take).start()
""",
    "a command": "subprocess.run([sys.executable, '-c', f'b = b\"x\" * ({2 * limit} << 20)'])",
}
_PATHS = ("/dev/shm", "/tmp")


def table() -> dict[str, dict[str, str]]:
    """Return the table in docs/sandbox.md: row -> tier -> "yes", "no" or "image"."""
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in _PAGE.read_text("utf-8").splitlines()
        if line.startswith("| ")
    ]
    head, *rest = rows
    return {row[0]: dict(zip(head[2:], row[2:], strict=True)) for row in rest}


class SandboxWorld(SandboxAttacks):
    """The rows of the table, and that memory which is really taken is limited."""

    @pytest.fixture(scope="class")
    @classmethod
    def ordinary(cls) -> Any:
        """A sandbox with the limits that a task has which says nothing of them."""
        made = cls.make(SandboxSettings())
        yield made
        made.close()

    @pytest.mark.parametrize("what", ROWS)
    def test_the_world_has(self, ordinary: Sandbox, what: str) -> None:
        row, wanted = ROWS[what], table()[what][ordinary.isolation]
        if row.needs and not self._is_here(ordinary, row.needs):
            pytest.skip(f"there is no {row.needs} here")
        if wanted == "image":
            wanted = "yes" if row.needs else "no"  # the tests' image has little in /etc
        if ordinary.isolation == "C" and wanted == "no":
            pytest.skip("what the host has there is the host's")
        found = False
        with ordinary.open(program(row.source), seed=7, timeout=40.0) as candidate:
            if wanted == "yes":
                found = candidate.call("f")
            else:
                with suppress(CandidateCrashed):
                    found = candidate.call("f")
        assert found == (wanted == "yes")

    def _is_here(self, sandbox: Sandbox, needs: str) -> bool:
        """Is this module, command or file there, for candidates of this sandbox?"""
        source = """
import importlib.util, os, shutil
def f(needs):
    if needs.startswith("/"):
        return os.path.exists(needs)
    return bool(shutil.which(needs) or importlib.util.find_spec(needs))
"""
        found: bool = self.call(sandbox, source, needs)
        return found

    @pytest.mark.parametrize("where", _GREEDY)
    def test_what_is_really_taken_is_limited(self, sandbox: Sandbox, where: str) -> None:
        if where in _PATHS and sandbox.isolation in ("B", "C"):
            pytest.skip("not the candidate's own in this tier")
        source = f"""
import mmap, os, subprocess, sys, threading, time
block = b"x" * (1 << 20)
def f(limit):
    {_GREEDY[where].strip()}
    time.sleep(20)
"""
        wanted = f"killed: it used more than [sandbox] memory = {SETTINGS.memory} MiB"
        with (
            pytest.raises(CandidateCrashed) as caught,
            sandbox.open(program(source), seed=7, timeout=15.0) as candidate,
        ):
            candidate.call("f", SETTINGS.memory)
        assert str(caught.value).startswith(wanted), caught.value
        self.check_honest(sandbox)

    def test_half_of_the_memory_may_be_shared_and_written(self, sandbox: Sandbox) -> None:
        """It counts once, although several processes have it mapped."""
        source = """
import mmap, os
def f(size):
    held = mmap.mmap(-1, size)
    for place in range(0, size, 1 << 20):
        held[place:place + (1 << 20)] = b"x" * (1 << 20)
    children = []
    for _ in range(6):
        pid = os.fork()
        if pid == 0:
            for place in range(0, size, 4096):
                held[place]
            import time; time.sleep(0.5)
            os._exit(0)
        children.append(pid)
    return [os.waitpid(pid, 0)[1] for pid in children]
"""
        half = SETTINGS.memory << 19
        assert self.call(sandbox, source, half, timeout=20.0) == [0] * 6

    def test_more_processes_than_allowed_are_told_with_the_key(self, sandbox: Sandbox) -> None:
        source = """
import os, time
def f(count):
    for _ in range(count):
        if not os.fork():
            time.sleep(20)
            os._exit(0)
    time.sleep(20)
"""
        with pytest.raises(CandidateError, match=r"\[sandbox\] processes = 24 processes"):
            self.call(sandbox, source, SETTINGS.processes + 4, timeout=15.0)
        self.check_honest(sandbox)

    def test_more_threads_than_allowed_are_told_with_the_key(self, sandbox: Sandbox) -> None:
        source = """
import threading, time
def f():
    for _ in range(1000):
        threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
"""
        with pytest.raises(CandidateCrashed, match=r"\[sandbox\] processes = 24 allows 192 thr"):
            self.call(sandbox, source, timeout=15.0)
        self.check_honest(sandbox)

    def test_nothing_of_the_user_is_in_etc(self, sandbox: Sandbox) -> None:
        if sandbox.isolation == "C":
            pytest.skip("this tier shows the host's")
        source = """
import os
def f():
    found = {}
    for folder, _, names in os.walk("/etc"):
        for name in names:
            try:
                with open(f"{folder}/{name}", "rb") as file:
                    found[f"{folder}/{name}"] = file.read(10_000)
            except OSError:
                pass
    return found
"""
        found = self.call(sandbox, source, timeout=20.0)
        secret = ("shadow", "machine-id", "hostname", "ssh", "sudoers", "environment", "private")
        assert not [path for path in found if any(part in path for part in secret)]
        named = os.uname().nodename.encode()
        assert not [path for path, content in found.items() if len(named) > 3 and named in content]
        if Path("/etc/passwd").exists() and sandbox.isolation != "docker":
            assert Path("/etc/passwd").read_bytes() not in found.values()
