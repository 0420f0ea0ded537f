"""The attacks on every sandbox, one test each; and attacks on the channel, byte by byte.

What is shown each time is that the verdict comes in time, that nothing was got or left, and that
the next, honest candidate is judged as if nothing had been: see `arena`.
"""

from __future__ import annotations

import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from arena import ATTACKS, Arena, Attack, processes_named
from effort import LATE

from evolver.errors import CandidateError, CandidateOutputError, CandidateTimeout
from evolver.ports import Sandbox
from evolver.sandboxes import SandboxSettings
from evolver.types import Files, Program

__all__ = ["NAMED", "SETTINGS", "SandboxAttacks", "processes_named", "program"]

SETTINGS = SandboxSettings(memory=256, processes=24, result_bytes=4 << 20)
NAMED = """
import ctypes, os, time
def name(text):  # as the host sees this process
    ctypes.CDLL(None).prctl(15, text.encode())
"""


def program(source: bytes | str, **more: bytes) -> Program:
    """Make a program of one file, or of more."""
    text = source.encode() if isinstance(source, str) else source
    return Program(id=1, files={"main.py": text, **more})


class SandboxAttacks(ABC):
    """Attacks on a sandbox; `make` says how one is made."""

    base: ClassVar[Files] = {}
    guest: ClassVar[Files] = {}
    #: Attacks that this one does not claim to contain. They are not tried: some would reach you.
    uncontained: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    @abstractmethod
    def make(
        cls,
        settings: SandboxSettings,
        *,
        base: Files | None = None,
        guest: Files | None = None,
        main: str = "",
    ) -> Any:
        """Make a sandbox, or skip where this host cannot."""

    @pytest.fixture(scope="class")
    @classmethod
    def sandbox(cls) -> Iterator[Sandbox]:
        made = cls.make(SETTINGS, base=cls.base, guest=cls.guest)
        yield made
        made.close()

    @pytest.fixture(scope="class")
    @classmethod
    def numeric(cls) -> Iterator[Sandbox]:
        made = cls.make(SandboxSettings(preload=("numpy",), memory=512))
        yield made
        made.close()

    @pytest.fixture(scope="class")
    @classmethod
    def arena(cls) -> Iterator[Arena]:
        sandbox = cls.make(SETTINGS)
        with tempfile.TemporaryDirectory(prefix="arena-") as folder:
            arena = Arena(sandbox, Path(folder), grace=LATE)
            yield arena
            arena.close()
        sandbox.close()

    def call(
        self, sandbox: Sandbox, source: bytes | str, *args: Any, timeout: float = 5.0, **kwargs: Any
    ) -> Any:
        """Call `f` of a program in a fresh process."""
        with sandbox.open(program(source), seed=7, timeout=timeout) as candidate:
            return candidate.call("f", *args, **kwargs)

    def attack(
        self,
        sandbox: Sandbox,
        source: str,
        *,
        timeout: float = 5.0,
        verdict: type[CandidateError] | tuple[type[CandidateError], ...] = CandidateError,
    ) -> str:
        """Let `f` do its worst; return the verdict's text once an honest one has been judged."""
        started = time.monotonic()
        with pytest.raises(verdict) as caught:
            self.call(sandbox, source, timeout=timeout)
        assert time.monotonic() - started < timeout + LATE
        self.check_honest(sandbox)
        return str(caught.value)

    def check_honest(self, sandbox: Sandbox) -> None:
        """Judge a candidate that does nothing wrong."""
        started = time.monotonic()
        assert self.call(sandbox, "def f(x):\n    return x + 1\n", 41) == 42
        assert time.monotonic() - started < LATE

    @pytest.mark.parametrize(
        "attack",
        [
            pytest.param(attack, id=attack.name, marks=() if attack.is_quick else pytest.mark.slow)
            for attack in ATTACKS
        ],
    )
    def test_it_contains_a_candidate_that(self, arena: Arena, attack: Attack) -> None:
        if attack.name in self.uncontained:
            pytest.skip("this tier does not claim to contain it")
        outcome = arena.run(attack)
        assert not outcome.breaches, (attack.invariant, outcome.verdict, outcome.breaches)

    def test_what_it_says_moves_no_cursor_of_a_terminal(self, sandbox: Sandbox) -> None:
        source = "ESCAPE = bytes([27, 93, 53, 50, 7, 13]).decode()\n"
        source += "def f():\n    print(ESCAPE)\n    raise ValueError(ESCAPE)\n"
        text = self.attack(sandbox, source)
        assert text.count(r"\x1b]52\x07") == 2
        assert not [c for c in text if not c.isprintable() and c != "\n"]

    # --- canaries: what no honest program touches -------------------------------------------------

    @pytest.mark.parametrize(
        ("body", "flags"),
        [
            ("import evolver", ("it opened the decoy evolver/__init__.py",)),
            ("from evaluators import exp2", ("it opened the decoy evaluators/__init__.py",)),
            ("open(find('expected.json')).read()", ("it opened the decoy expected.json",)),
            (
                "subprocess.run(['cat', find('evaluator.py')]); os.open(find('.env'), 0)",
                ("it opened the decoy evaluator.py", "it opened the decoy .env"),
            ),
            ("return [dict(os.environ)]", ("it gave away the decoy key",)),
            (
                "return 'x' * (65_536 - 200) + os.environ['EVALUATOR_API_KEY'] + 'x' * 100_000",
                ("it gave away the decoy key",),
            ),
            (
                "raise RuntimeError(os.environ['EVALUATOR_API_KEY'])",
                ("it gave away the decoy key",),
            ),
        ],
    )
    def test_touching_a_canary_is_noticed(
        self, sandbox: Sandbox, body: str, flags: tuple[str, ...]
    ) -> None:
        source = f"""
import os, subprocess
def find(name):
    folder = os.path.dirname(os.path.abspath(__file__))
    while not os.path.exists(folder + "/evaluator/" + name):
        folder = os.path.dirname(folder)
    return folder + "/evaluator/" + name
def f():
    {body}
"""
        with suppress(CandidateError):
            self.call(sandbox, source)
        assert sandbox.report().flags == flags
        self.check_honest(sandbox)
        assert sandbox.report().flags == ()

    def test_looking_around_and_importing_touch_no_canary(self, sandbox: Sandbox) -> None:
        source = """
import glob, importlib.util, os, pkgutil, shutil, subprocess, sys
def f():
    here = os.path.dirname(os.path.abspath(__file__))
    above = os.path.dirname(os.path.dirname(here)) or "/"
    seen = [os.path.getsize(f"{folder}/{name}") for place in (here, sys.path[-1])
            for folder, _, names in os.walk(place) for name in names]
    glob.glob(f"{above}/evaluator/**/*", recursive=True)
    [entry.stat() for entry in os.scandir(sys.path[-1])]
    list(pkgutil.iter_modules())
    found = importlib.util.find_spec("evolver"), importlib.util.find_spec("no_such_module")
    shutil.copytree(here, "copy")
    for path in glob.glob("copy/**/*", recursive=True):
        os.path.isfile(path) and open(path).read()
    try:
        import no_such_module
    except ImportError:
        pass
    subprocess.run(["env"], stdout=subprocess.DEVNULL)
    return os.environ.get("EVALUATOR_API_KEY", "")[:8], len(seen) > 2
"""
        assert self.call(sandbox, source)[1]
        assert sandbox.report().flags == ()

    # --- the channel, byte by byte ----------------------------------------------------------------

    @pytest.mark.parametrize(
        "forgery",
        [
            b"\0\0\0\x02\0\0\0\0\0\0\0\0{}",
            b'\0\0\0\x1b\0\0\0\0\0\0\0\0{"token":"0","value":1e999}',
            b"\xff" * 64,
            b"\0\0\0\4\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\0\0\0\4\0\0\0\0\0\0\0\0[[[[",
            b"\0\0\0\x0c\0\0\0\0\0\0\0\0" + b'{"value":1}\n',
            b"garbage" * 200_000,
        ],
    )
    def test_forged_frames_are_no_answer(self, sandbox: Sandbox, forgery: bytes) -> None:
        source = f"""
import os, stat
def f():
    for fd in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.write(fd, {forgery[:64]!r} * {len(forgery) // 64 or 1})
        except OSError:
            pass
    return "honest"
"""
        self.attack(sandbox, source, timeout=2.0, verdict=(CandidateOutputError, CandidateTimeout))
