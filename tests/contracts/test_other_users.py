"""The local sandbox for users and Pythons that the tests themselves may not be.

Root's tiers B and C need a Python that others may read; an ordinary user has no cgroup, no uids to
give away and, on some hosts, no namespaces.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from other_user import NOBODY, can_change_user, run_python

SOMEBODY = NOBODY - 1  # whose processes do not count against the other's limit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_change_user(), reason="only root can become another user"),
]


def passed(selection: str, *, uid: int) -> int:
    """Run tests of the local sandbox as another user; return how many there were."""
    suite = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contracts/test_sandbox.py"]
    done = run_python([*suite, "-k", selection], uid=uid, timeout=300)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    found = re.search(r"(\d+) passed", done.stdout)
    assert found, done.stdout
    return int(found[1])


#: What depends on who one is; the rest of the contract would show the same again, in minutes, and
#: so would attacks on the evaluator and on the channel.
_ALIKE = (
    "answers or backtracks or channel or crashes or exits or forges or holds_the or loops or nests "
    "or overflows or overloads or patches or pickles or prints or raises_end or returns or walks"
)
CHOSEN = f"(candidate_that or canary or compiled or file or command or chance) and not ({_ALIKE})"


def test_tiers_b_and_c_of_root_hold_the_contract() -> None:
    """C claims nothing against attacks, so of these it is not asked again."""
    chosen = f"(TestLandlock or (TestPlain and not contains)) and {CHOSEN}"
    assert passed(chosen, uid=0) > 60


def test_an_ordinary_user_has_tiers_a_and_b_and_they_contain_every_attack() -> None:
    assert passed(f"(TestNamespaces or TestLandlock) and {CHOSEN}", uid=NOBODY) > 90


SAYING = """
import contextlib
from evolver.errors import SandboxError
from evolver.sandboxes import LocalSandbox, SandboxSettings, lacks, strongest_tier
from evolver.types import Program
print(strongest_tier())
with contextlib.closing(LocalSandbox(SandboxSettings())) as sandbox:
    with sandbox.open(Program(1, {"p.py": b"def f(): return 7"}), seed=1, timeout=9) as candidate:
        print(sandbox.isolation, candidate.call("f"), "; ".join(sandbox.report().notes))
for settings, tier in ((SandboxSettings(require="A"), ""), (SandboxSettings(), "C")):
    try:
        LocalSandbox(settings, tier=tier).close()
        print("accepted")
    except SandboxError as error:
        print(error)
"""


def test_an_ordinary_user_gets_tier_a_and_is_told_what_is_missing() -> None:
    done = run_python(["-c", SAYING], uid=SOMEBODY, timeout=60)
    tier, got, required, unisolated = done.stdout.splitlines()
    assert (tier, required) == ("A", "accepted")
    assert got.startswith("A 7")
    assert "no writable memory cgroup" in got
    assert "--allow-unisolated" in unisolated


LEAST = """
import contextlib, sys
from evolver.sandboxes import LocalSandbox, SandboxSettings, lacks
from evolver.types import Program
source = b'''
import os
import beside
def f():
    with open("new", "w") as file:
        file.write(beside.TEXT)
    return open("new").read(), open(os.path.dirname(__file__) + "/more/data.txt").read()
'''
files = {"p.py": source, "more/data.txt": b"data"}
settings = SandboxSettings(allow_unisolated=True)
for tier in sys.argv[1:]:
    print(lacks(tier))
    made = LocalSandbox(settings, base={"beside.py": b"TEXT = 'text'"}, tier=tier)
    with contextlib.closing(made), made.open(Program(1, files), seed=1, timeout=9) as candidate:
        print(candidate.call("f"))
        print(candidate.run(["python3", "p.py"]).code)
"""


@pytest.mark.parametrize("umask", [0o027, 0o077])
@pytest.mark.parametrize(
    ("uid", "namespaces", "tiers"),
    [(0, True, "ABC"), (SOMEBODY, True, "ABC"), (SOMEBODY, False, "BC")],
)
def test_a_strict_umask_of_the_users_shell_costs_no_tier(
    umask: int, uid: int, namespaces: bool, tiers: str
) -> None:
    words = ["-c", LEAST, *tiers]
    done = run_python(words, uid=uid, timeout=60, namespaces=namespaces, umask=umask)
    assert done.stdout.splitlines() == ["[]", "('text', 'data')", "0"] * len(tiers), done.stderr


def test_without_namespaces_he_gets_tier_b_and_a_task_may_refuse_it() -> None:
    done = run_python(["-c", SAYING], uid=SOMEBODY, timeout=60, namespaces=False)
    tier, got, required, unisolated = done.stdout.splitlines()
    assert tier == "B", done.stdout + done.stderr
    assert got.startswith("B 7")
    assert required.startswith("the task requires isolation A, this host offers B: tier A: ")
    assert "unshare" in required or "clone" in required  # what it is that fails
    assert "tier A: " in unisolated
    assert "--allow-unisolated" in unisolated


def test_root_of_a_user_namespace_who_can_become_nobody_else_gets_tier_a() -> None:
    """As in a container of an engine without root and without further uids."""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", SAYING],
        capture_output=True,
        text=True,
        timeout=60,
    )
    tier, got, *_ = done.stdout.splitlines()
    assert tier == "A", done.stdout + done.stderr
    assert got.startswith("A 7")
