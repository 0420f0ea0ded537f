"""The arena for attacks: a host with secrets, a sandbox in it, and checks after each attack.

The attacks are the programs in `attacks/`, one file each. The docstring of each says what it tries
to break. `f(host)` gets the paths, pids and ports that a well-informed attacker knows, and returns
its loot: a text that begins with "!" names something that it did, any other text is something that
it read. A program with `double(x)` instead tries to get a score that it does not deserve.
"""

from __future__ import annotations

import ast
import gc
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from evolver.errors import CandidateError, EvaluatorError, SandboxError
from evolver.evaluation.evaluator import read_result
from evolver.ports import Sandbox
from evolver.types import Candidate, Program

_OPEN_PLACES = ("/tmp", "/dev/shm", "/var/tmp", "/run/lock")  # writable for all users
_WITNESS = Program(
    0,
    {
        "witness.py": b'''
import builtins, glob, os, resource, signal, socket, sys, tempfile

def double(x):
    return 2 * x

def testify(mark):
    """The environment of a candidate: the same for each."""
    umask = os.umask(0)
    os.umask(umask)
    places = (".", tempfile.gettempdir(), "/tmp", "/dev/shm", "/var/tmp", "/run/lock")
    return {
        "scratch": sorted(os.listdir(".")),
        "left": [path for place in places for path in glob.glob(f"{place}/{mark}*")],
        "environment": sorted(set(os.environ.items()) - {(name, os.environ[name])
                                                         for name in ("HOME", "TMPDIR", "PWD")
                                                         if name in os.environ}),
        "builtins": sorted(vars(builtins)),
        "sys": sorted(vars(sys)),
        "modules": sorted(sys.modules),
        "path": [entry for entry in sys.path if not entry.endswith("/evaluator/modules")][1:],
        "umask": umask,
        "handlers": [str(signal.getsignal(n)) for n in sorted(signal.valid_signals())],
        "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        "limits": [resource.getrlimit(getattr(resource, name)) for name in
                   ("RLIMIT_AS", "RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_CORE")],
        "host name": socket.gethostname(),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
    }
'''
    },
)


@dataclass(frozen=True)
class Attack:
    """One hostile program.

    Attributes:
        name: of its file.
        invariant: the rule that it tries to break, in a sentence.
        source: the program.
        seconds: the time of its evaluation.
        most_mib: most MiB of all its processes together; 0: not checked.
        reads: its files that the evaluator collects.
        is_quick: whether it is over at once, and needs no seconds of its own.
    """

    name: str
    invariant: str
    source: bytes
    seconds: float = 3.0
    most_mib: int = 0
    reads: tuple[str, ...] = ()
    is_quick: bool = True

    @property
    def is_after_a_score(self) -> bool:
        """Does it have `double` instead of `f`?"""
        return b"def double(" in self.source


def load_attack(path: Path) -> Attack:
    """Read an attack: its docstring, and its constants SECONDS, MOST_MIB and READ."""
    source = path.read_bytes()
    tree = ast.parse(source)
    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if node.targets[0].id in ("SECONDS", "MOST_MIB", "READ")
    }
    return Attack(
        path.stem,
        (ast.get_docstring(tree) or "").partition("\n")[0],
        source,
        seconds=constants.get("SECONDS", 3.0),
        most_mib=constants.get("MOST_MIB", 0),
        reads=constants.get("READ", ()),
        is_quick="SECONDS" not in constants,
    )


ATTACKS = tuple(
    load_attack(path) for path in sorted(Path(__file__).with_name("attacks").glob("*.py"))
)


@dataclass(frozen=True)
class Outcome:
    """What came of an attack."""

    verdict: str  # what the evaluator was told
    seconds: float  # until the verdict was there and everything dead
    breaches: tuple[str, ...]  # what it achieved; none: it was contained


def score(candidate: Candidate, rng: Random) -> Mapping[str, float]:
    """Measure how well a candidate doubles numbers: the largest error is its only metric.

    As naive as evaluators are: it compares what it gets without looking at what that is.
    """
    worst = 0.0
    for _ in range(3):
        x = rng.uniform(1, 2)
        error = abs(candidate.call("double", x) - 2 * x)
        worst = error if not error <= worst else worst
    return {"error": worst}


def is_right(metrics: Mapping[str, float]) -> bool:
    """Did it double? NaN passes here, so it has to be refused before."""
    return not metrics["error"] > 1e-9


class Arena:
    """A host with secrets around one sandbox, which attacks share.

    Args:
        sandbox: where they run.
        folder: an empty folder that everybody may enter.
        grace: seconds after its deadline in which a verdict must be there.
        believe: checks what the evaluator returned, as the worker does.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        folder: Path,
        *,
        grace: float = 1.0,
        believe: Callable[[Any], Any] = lambda result: read_result(result).metrics,
    ) -> None:
        self._sandbox = sandbox
        self._folder = folder
        self._grace = grace
        self._believe = believe
        self._rng = Random(secrets.randbits(64))
        self._secret = f"expected-{secrets.token_hex(16)}"
        self._mark = f"att{secrets.token_hex(4)}"
        with ExitStack() as opened:
            self._host = self._furnish(opened)
            with sandbox.open(_WITNESS, seed=1, timeout=10.0) as candidate:
                candidate.call("double", self._secret)  # a hidden input of somebody else
                self._as_it_was = candidate.call("testify", self._mark)
            self._opened = opened.pop_all()
        self._descriptors = _descriptors()

    def _furnish(self, opened: ExitStack) -> dict[str, Any]:
        self._plant()
        # Somebody of the same user with a key, who protects himself in no way.
        environment = {"API_KEY": self._secret, **os.environ}
        nothing = subprocess.DEVNULL
        holder = subprocess.Popen(["sleep", "600"], env=environment, stdout=nothing, stderr=nothing)
        opened.callback(holder.wait)
        opened.callback(holder.kill)
        server = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        for name in (f"{self._folder}/socket", f"\0{self._mark}"):
            local = opened.enter_context(socket.socket(socket.AF_UNIX))
            local.bind(name)
            local.listen()
        (self._folder / "socket").chmod(0o777)
        return {
            "folder": str(self._folder),
            "secret": str(self._folder / "expected.json"),
            "pid": os.getpid(),
            "holder": holder.pid,
            "port": server.getsockname()[1],
            "socket": f"{self._folder}/socket",
            "abstract": self._mark,
            "name": self._mark,
        }

    def _plant(self) -> None:
        """Lay out what is to be stolen, where nothing but the sandbox protects it."""
        self._folder.chmod(0o777)
        (self._folder / "expected.json").write_text(self._secret)
        (self._folder / "evaluator.py").write_text(f"ANSWER = {self._secret!r}\n")
        for path in self._folder.iterdir():
            path.chmod(0o666)

    def _clean(self) -> None:
        """Remove what an attack left, so that it is not laid to the next one's charge."""
        for pid in processes_named(self._mark):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for place in _OPEN_PLACES:
            for path in Path(place).glob(f"{self._mark}*"):
                path.rmdir() if path.is_dir() else path.unlink()
        for path in self._folder.iterdir():
            if path.name not in ("expected.json", "evaluator.py", "socket"):
                path.unlink()
        self._plant()

    def close(self) -> None:
        """End what stands around the sandbox, which is its maker's to close."""
        self._opened.close()

    def run(self, attack: Attack) -> Outcome:
        """Let a program attack; then look at what it got, left and did to the next one."""
        before, opened = self._observe(), max(_descriptors(), self._descriptors)
        breaches: list[str] = []
        program = Program(1, {"main.py": attack.source})
        started = time.monotonic()
        watch = _MemoryWatch(self._mark, attack.most_mib)
        try:
            with self._sandbox.open(program, seed=7, timeout=attack.seconds) as candidate, watch:
                verdict, found = self._ask(candidate, attack)
                breaches += found
        except CandidateError as error:
            verdict = f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"
        except SandboxError as error:
            verdict = f"SandboxError: {error}"
            breaches.append("it broke the sandbox")
        seconds = time.monotonic() - started
        if seconds > attack.seconds + self._grace:
            breaches.append(f"its verdict took {seconds:.1f} of {attack.seconds} s")
        if watch.most > attack.most_mib:
            breaches.append(f"it took {watch.most} MiB of memory")
        breaches += [
            f"{what}: {now}, not {before[what]}"
            for what, now in self._observe().items()
            if now != before[what]
        ]
        patience = time.monotonic() + 2  # a busy host takes a moment to close what has ended
        while (left := _descriptors()) > opened and time.monotonic() < patience:
            time.sleep(0.02)
        if left > opened:
            breaches.append(f"{left} descriptors are open, not {opened}")
        breaches += self._look_at_the_next()
        self._clean()
        return Outcome(verdict, seconds, tuple(breaches))

    def _ask(self, candidate: Candidate, attack: Attack) -> tuple[str, list[str]]:
        if attack.is_after_a_score:
            try:
                right = is_right(self._believe(score(candidate, self._rng)))
            except (EvaluatorError, TypeError) as error:
                return f"refused: {error}", []
            return f"right: {right}", ["it was judged right"] if right else []
        answer = candidate.call("f", self._host)
        found = [str(item) for item in answer] if isinstance(answer, list | tuple) else []
        for path in attack.reads:
            with suppress(CandidateError):
                found.append(candidate.read(path).decode("utf-8", "replace"))
        breaches = [item for item in found if item.startswith("!")]
        if any(self._secret in item for item in found):
            breaches.append("it read the secret")
        return "answered", breaches

    def _observe(self) -> dict[str, Any]:
        """What of the host no candidate may change."""
        places = [*map(Path, _OPEN_PLACES), *Path("/tmp").glob("evolver-sandbox-*/*/*")]
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        return {
            "processes": processes_named(self._mark),
            "files": [path for place in places for path in place.glob(f"{self._mark}*")],
            "folder": {
                path.name: (path.stat().st_mode, path.read_text() if path.is_file() else "")
                for path in self._folder.iterdir()
            },
            "mounts": [line for line in mounts if "/box/" in line or self._mark in line],
            "shared memory": _system_v(),
            "clock": round((time.time() - time.monotonic()) / 10),
        }

    def _look_at_the_next(self) -> list[str]:
        """Judge a candidate that does nothing wrong, and have it tell what it finds."""
        started = time.monotonic()
        try:
            with self._sandbox.open(_WITNESS, seed=1, timeout=10.0) as candidate:
                honest = is_right(self._believe(score(candidate, self._rng)))
                found = candidate.call("testify", self._mark)
        except (CandidateError, SandboxError, EvaluatorError, TypeError) as error:
            return [f"the next candidate failed: {error!r}"]
        breaches = [] if honest else ["the next candidate is judged wrong"]
        if time.monotonic() - started > 1.0 + self._grace:
            breaches.append("the next candidate had to wait")
        for what, now in found.items():
            if now != self._as_it_was[what]:
                breaches.append(f"the next finds {what} {now!r:.300}")
        return breaches


class _MemoryWatch:
    """Measures the memory of all processes of a name, while somebody wants to know it."""

    def __init__(self, name: str, most_mib: int) -> None:
        self.most = 0  # MiB
        self._name = name
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look) if most_mib else None

    def __enter__(self) -> _MemoryWatch:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._thread is not None:
            self._is_over.set()
            self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.05):
            self.most = max(self.most, resident(self._name) >> 20)


def resident(name: str) -> int:
    """Return the bytes in memory of all processes of a name."""
    total = 0
    for pid in processes_named(name):
        with suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    return total


def processes_named(name: str) -> list[str]:
    """Return the pids of this host's processes of that name."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                found.append(pid)
    return found


def _descriptors() -> int:
    """Count this process's own, without those that wait for the garbage collector."""
    gc.collect()
    gc.freeze()  # the next collection looks at what is new, and not at every imported module
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def _system_v() -> list[str]:
    found = []
    for kind in ("shm", "msg", "sem"):
        with suppress(OSError):
            lines = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]
            found += [f"{kind} {line.split()[0]}" for line in lines]
    return found
