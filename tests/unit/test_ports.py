"""The Protocols that plug-ins implement: CONTRIBUTING names them all, and nothing else is asked."""

from __future__ import annotations

import ast
import contextlib
import re
from pathlib import Path

import pytest

import evolver
from evolver import handles, ports
from evolver.evaluation.evaluator import EvaluatorSource
from evolver.evaluation.judge import Judge
from evolver.evaluation.messages import Setup, Stage
from evolver.sandboxes import SandboxSettings
from evolver.tasks.objective import Objective
from evolver.types import Job, Program

PACKAGE = Path(evolver.__file__).parent
PLURALS = {"sandboxes": "sandbox", "policies": "selection policy"}


def members() -> dict[str, tuple[set[str], set[str]]]:
    """Return what each kind of plug-in has, and what it may have, by the sections of `ports`."""
    source = Path(ports.__file__).read_text()
    found: dict[str, tuple[set[str], set[str]]] = {}
    parts = re.split(r"^# --- (\w+) -+$", source, flags=re.M)[1:]
    for kind, section in zip(parts[::2], parts[1::2], strict=True):
        needed, optional = found[PLURALS.get(kind, kind[:-1])] = set(), set()
        for node in ast.parse(section).body:
            assert isinstance(node, ast.ClassDef)
            is_option = bool(node.decorator_list) and node.name != "Evaluator"
            (optional if is_option else needed).update(names_in(node))
    return found


def names_in(protocol: ast.ClassDef) -> set[str]:
    methods = {
        node.name
        for node in protocol.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    fields = {
        node.target.id
        for node in protocol.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return methods | fields


def test_contributing_names_what_each_plugin_has_and_may_have() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    text = text.partition("## Adding parts")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([\w ]+?) \| (.*?) \| (.*?) ?\|$", text, re.M)
    table = {
        kind: (set(re.findall(r"`(\w+)`", needed)), set(re.findall(r"`(\w+)`", optional)))
        for kind, needed, optional in rows
        if kind != "a new"
    }
    wanted = members()
    wanted["model"][0].update({"complete"} & vars(handles.Model).keys())
    wanted["sandbox"][1].update({"printed"} & vars(handles.Printing).keys())
    assert table == wanted


def test_no_member_of_a_port_is_asked_for_by_a_literal_name() -> None:
    """`getattr(plugin, "name")` hides from the Protocols what evolver calls."""
    names = {name for both in members().values() for part in both for name in part} | {"printed"}
    asked = [
        f"{path.relative_to(PACKAGE)}:{node.lineno} {node.args[1].value}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("getattr", "hasattr")
        and isinstance(node.args[1], ast.Constant)
        and node.args[1].value in names
    ]
    assert asked == []


BARE = """
import contextlib
from fake_candidate import InProcessCandidate

class Sandbox:
    isolation = "none"

    def __init__(self, settings, *, base, guest, main):
        assert guest == {}

    @contextlib.contextmanager
    def open(self, program, *, seed, timeout):
        yield InProcessCandidate(program.files["p.py"].decode(), seed=seed)

    def close(self):
        pass

class Evaluator:
    def evaluate(self, candidate):
        return {"v": candidate.call("f")}

class Confirming(Evaluator):
    def __init__(self):
        self.confirm = True  # a setting of that name
"""


@pytest.mark.parametrize("evaluator", ["Evaluator", "Confirming"])
def test_an_evaluator_and_a_sandbox_need_nothing_optional(tmp_path: Path, evaluator: str) -> None:
    (tmp_path / "bare.py").write_text(f"{BARE}\nmade = {evaluator}()\n")
    setup = Setup(
        EvaluatorSource("bare.py:made", tmp_path),
        Objective(("v",)),
        (Stage(),),
        5.0,
        SandboxSettings(),
        "bare.py:Sandbox",
    )
    program = Program(1, {"p.py": b"def f():\n    return 2.5\n"})
    with contextlib.closing(Judge(setup)) as judge:
        ready = judge.ready()
        assert (ready.isolation, ready.notes, ready.references) == ("none", (), {})
        assert (ready.confirms, ready.fits_residuals) == (False, False)
        _, found = judge.evaluate(Job(program, 1, is_confirmation=True))
        assert (found.status, found.objectives, found.trusted) == ("ok", (2.5,), True)
        assert (found.memory, found.flags) == (0, ())
        assert judge.preflight(Job(program, 1)).fingerprint == ""
