"""What each way of running a candidate contains, of the attacks in `tests/attacks/`.

    python benchmarks/attacks.py [--rows docker] [--only NAME ...]

The rows of evolver's own backends are those that work here. Two rows beside them show that the
attacks are real: an evaluator that imports the candidate, and one that runs it in a process which
sends its answers back pickled, as pools do. Both run as an ordinary user in namespaces of their
own, so that nothing happens to this machine: without root they are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib.util
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from arena import ATTACKS, Arena, Attack, Outcome
from other_user import NOBODY, can_change_user, run_python

from evolver.errors import CandidateCrashed, CandidateTimeout, SandboxError
from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.sandboxes.local import TIERS
from evolver.types import Program

SETTINGS = SandboxSettings(memory=256, processes=24, result_bytes=4 << 20, allow_unisolated=True)
COMMON = {
    "import": "the evaluator imports the candidate",
    "process": "a process that answers in pickles",
}
PATIENCE = 4.0  # seconds that an evaluator may hang beyond its candidate's time

Tried = dict[str, tuple[str, ...]]  # attack -> what it achieved


# --- evolver's own --------------------------------------------------------------------------------


def through(make: Callable[[], Any], attacks: Sequence[Attack]) -> Tried:
    """Let a sandbox be attacked."""
    sandbox = make()
    with tempfile.TemporaryDirectory(prefix="arena-") as folder, contextlib.closing(sandbox):
        arena = Arena(sandbox, Path(folder))
        with contextlib.closing(arena):
            return {attack.name: arena.run(attack).breaches for attack in attacks}


def docker() -> Any:
    """Make the docker backend's sandbox, with the image of the tests where there is one."""
    from docker_image import missing, provide

    from evolver.sandboxes.docker import DockerSandbox

    if reason := missing():
        raise SandboxError(reason)
    return DockerSandbox(replace(SETTINGS, image=provide()))


# --- what is common elsewhere ---------------------------------------------------------------------


class Imported:
    """The candidate is a module of the evaluator's own process."""

    @contextlib.contextmanager
    def open(self, program: Program, *, seed: int, timeout: float) -> Iterator[Any]:
        """Import it; its time is nobody's concern."""
        with tempfile.TemporaryDirectory() as folder:
            (path, content), *_ = program.files.items()
            Path(folder, path).write_bytes(content)
            spec = importlib.util.spec_from_file_location(Path(path).stem, f"{folder}/{path}")
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
                yield _Called(lambda name, *args: getattr(module, name)(*args), Path(folder))
            except Exception as error:  # noqa: BLE001 - whatever a candidate raises
                raise CandidateCrashed(repr(error)) from None


class Pooled:
    """The candidate runs in a process of its own, which is killed when its time is over."""

    @contextlib.contextmanager
    def open(self, program: Program, *, seed: int, timeout: float) -> Iterator[Any]:
        """Fork a process that imports it."""
        ends = time.monotonic() + timeout
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_serve, args=(program, theirs))
        child.start()
        theirs.close()

        def call(name: str, *args: Any) -> Any:
            try:
                ours.send((name, args))
                if not ours.poll(ends - time.monotonic()):
                    raise CandidateTimeout("it did not answer")
                kind, value = ours.recv()
            except (EOFError, OSError, pickle.UnpicklingError):
                raise CandidateCrashed("it died") from None
            if kind == "error":
                raise CandidateCrashed(value)
            return value

        try:
            yield _Called(call, Path.cwd())
        finally:
            child.terminate()
            child.join(1.0)
            child.kill()
            child.join()
            child.close()
            ours.close()


def _serve(program: Program, link: Any) -> None:
    with Imported().open(program, seed=0, timeout=0.0) as candidate:
        while True:
            name, args = link.recv()
            try:
                link.send(("value", candidate.call(name, *args)))
            except Exception as error:  # noqa: BLE001 - told to the evaluator
                link.send(("error", repr(error)))


class _Called:
    def __init__(self, call: Callable[..., Any], folder: Path) -> None:
        self.rng = Random(1)
        self.call = call
        self._folder = folder

    def read(self, path: str) -> bytes:
        with (self._folder / path).open("rb") as file:
            return file.read(1 << 20)


def attempt(way: str, names: Sequence[str]) -> Tried:
    """Let an evaluator be attacked, a fresh one each time; if it does not come back, it lost."""
    results: Tried = {}
    for attack in ATTACKS:
        if attack.name not in names:
            continue
        source, sink = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(source)
            os.setsid()
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # a change of user hides it from itself
            nothing = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(nothing, fd)
            outcome = _evaluate(way, attack)
            os.write(sink, json.dumps([each[:200] for each in outcome.breaches][:50]).encode())
            os._exit(0)
        os.close(sink)
        results[attack.name] = _await(pid, source, attack.seconds + PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)  # what is left in this namespace, of which we are the first
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
        for left in Path(tempfile.gettempdir()).iterdir():
            shutil.rmtree(left, ignore_errors=True)
    return results


def _evaluate(way: str, attack: Attack) -> Outcome:
    sandbox: Any = {"import": Imported, "process": Pooled}[way]()
    folder = tempfile.mkdtemp(prefix="arena-")
    os.chdir(tempfile.mkdtemp())
    arena = Arena(sandbox, Path(folder), believe=lambda result: result)
    return arena.run(attack)


def _await(pid: int, source: int, seconds: float) -> tuple[str, ...]:
    ends = time.monotonic() + seconds
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > ends:
            os.kill(-1, signal.SIGKILL)  # all: who is traced is not buried before his tracer
            os.waitpid(pid, 0)
            return ("the evaluator hangs",)
        time.sleep(0.02)
    os.set_blocking(source, False)
    try:
        answer = os.read(source, 1 << 16)
    except BlockingIOError:  # somebody whom it left holds the other end
        answer = b""
    os.close(source)
    try:
        return tuple(json.loads(answer)) if answer else ("the evaluator died",)
    except ValueError:
        return ("the evaluator's own pipe was written to",)


# --- the table ------------------------------------------------------------------------------------


def apart(way: str, attacks: Sequence[Attack], *, uid: int) -> Tried:
    """Try a way as another user; the common ones where they can harm nobody.

    Raises:
        SandboxError: it cannot be tried here.
    """
    names = [attack.name for attack in attacks]
    arguments = [str(Path(__file__).resolve()), "--way", way, "--only", *names]
    done = run_python(arguments, uid=uid, timeout=400, alone=way in COMMON)
    if done.returncode:
        raise SandboxError(done.stderr[-2000:])
    return {name: tuple(found) for name, found in json.loads(done.stdout.splitlines()[-1]).items()}


def tried(way: str, attacks: Sequence[Attack]) -> Tried:
    """Try a way in this process."""
    if way in COMMON:
        return attempt(way, [attack.name for attack in attacks])
    make = docker if way == "docker" else lambda: LocalSandbox(SETTINGS, tier=way)
    return through(make, attacks)


def rows() -> Iterator[tuple[str, Callable[[Sequence[Attack]], Tried]]]:
    """What can be tried here: a name, and how."""
    if not can_change_user():
        for tier in TIERS[::-1]:
            yield f"local, tier {tier}, of this user", lambda a, tier=tier: tried(tier, a)
    else:
        for way, what in COMMON.items():
            yield what, lambda a, way=way: apart(way, a, uid=0)  # it drops to nobody by itself
        for tier in TIERS[::-1]:
            yield f"local, tier {tier}, root", lambda a, tier=tier: apart(tier, a, uid=0)
        for tier in TIERS[1::-1]:
            yield f"local, tier {tier}, a user", lambda a, tier=tier: apart(tier, a, uid=NOBODY)
    yield "docker", lambda a: tried("docker", a)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[attack.name for attack in ATTACKS])
    parser.add_argument("--rows", default="", help="only those that have this in their name")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    attacks = [attack for attack in ATTACKS if attack.name in options.only]
    if options.way in COMMON and os.getpid() != 1:
        parser.error("this is for the first process of a namespace")
    if options.way:
        print(json.dumps(tried(options.way, attacks)))
        return
    print(f"{os.uname().release}, Python {sys.version.split()[0]}, {time.strftime('%Y-%m-%d')}\n")
    for name, run in rows():
        if options.rows not in name:
            continue
        try:
            results = run(attacks)
        except SandboxError as error:
            print(f"{name:40} not here: {str(error).strip().splitlines()[-1]}")
            continue
        lost = {attack: breaches for attack, breaches in results.items() if breaches}
        print(f"{name:40} {len(results) - len(lost):3} of {len(results)}", flush=True)
        for attack, breaches in lost.items():
            print(f"    {attack}: {breaches[0]:.100}", flush=True)


if __name__ == "__main__":
    main()
