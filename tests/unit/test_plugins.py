"""Plug-ins: found by name, path or import path; configured; every mistake a sentence."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from evolver.errors import UsageError
from evolver.evaluation.evaluator import EvaluatorSource
from evolver.tasks.plugins import (
    builtin_evaluators,
    check_keywords,
    configure,
    find,
    load_module,
    nearest,
)

FILE = """
import dataclasses
import {neighbour}

@dataclasses.dataclass(frozen=True)
class Policy:
    width: int = 3
"""


@pytest.fixture
def root(tmp_path):
    """A task's folder with a plug-in file that imports its neighbour."""
    name = f"neighbour_{tmp_path.name}"
    (tmp_path / "mine.py").write_text(FILE.format(neighbour=name))
    (tmp_path / f"{name}.py").write_text("X = 1\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("from .part import Policy\n")
    (tmp_path / "package" / "part.py").write_text("class Policy: pass\n")
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path


def test_a_file_is_loaded_once_and_finds_its_neighbours(root):
    one = find("mine.py:Policy", root=root, kind="policy", builtin={})
    assert one is find("./mine.py:Policy", root=root, kind="policy", builtin={})
    assert one().width == 3


def test_a_folder_is_a_package(root):
    assert find("./package:Policy", root=root, kind="policy", builtin={}).__name__ == "Policy"


def test_names_are_built_in_ones_or_entry_points_and_import_paths_are_those(root):
    builtin = {"ordered": "collections:OrderedDict"}
    assert find("ordered", root=root, kind="policy", builtin=builtin).__name__ == "OrderedDict"
    assert find("collections:deque", root=root, kind="policy", builtin={}).__name__ == "deque"


@pytest.mark.parametrize(
    ("use", "said"),
    [
        ("orderd", "there is no policy named 'orderd'; did you mean 'ordered'"),
        ("none.py:Policy", "none.py does not exist"),
        ("mine.py:Polcy", "defines no 'Polcy'; did you mean 'Policy'"),
        ("no_such_package.module:Policy", "cannot be imported"),
        ("collections:dequeue", "did you mean 'deque'"),
    ],
)
def test_what_is_not_found_is_named_with_the_nearest(root, use, said):
    with pytest.raises(UsageError, match=said):
        find(use, root=root, kind="policy", builtin={"ordered": "collections:OrderedDict"})


def test_a_file_that_fails_to_import_leaves_no_half_module(root):
    (root / "broken.py").write_text("x = 1\nraise KeyError(x)\n")
    before = set(sys.modules)
    with pytest.raises(UsageError) as caught:
        load_module(root / "broken.py")
    assert set(sys.modules) == before
    first, *frames, last = str(caught.value).splitlines()
    assert first.endswith("broken.py fails to import:")
    assert last == "KeyError: 1"
    assert [line.split('"')[1] for line in frames if "File" in line] == [str(root / "broken.py")]


def test_so_does_a_module_by_its_import_path(root):
    name = f"broken_{root.name}"
    (root / f"{name}.py").write_text("x = (\n")
    sys.path.append(str(root))
    with pytest.raises(UsageError, match=r"fails to import:(.|\n)*'\(' was never closed"):
        find(f"{name}:x", root=root, kind="operator", builtin={})


@dataclass(frozen=True)
class Plugin:
    width: int = 3
    rates: tuple[float, ...] = ()
    derived: int = field(init=False, default=0)


def test_settings_are_the_fields_checked_by_their_types():
    made = configure(Plugin, {"width": 4, "rates": [1, 0.5]}, "[here]")
    assert (made.width, made.rates) == (4, (1.0, 0.5))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"widht": 4}, "[here]: unknown key 'widht'; did you mean 'width'"),
        ({"derived": 4}, "[here]: unknown key 'derived'"),
        ({"width": "wide"}, "[here]: width: "),
        ({"rates": [1, "x"]}, "[here]: rates.1: "),
    ],
)
def test_a_wrong_setting_is_one_sentence(settings, said):
    with pytest.raises(UsageError) as caught:
        configure(Plugin, settings, "[here]")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_the_settings_of_a_function_are_its_keywords():
    def score(candidate, points=3): ...

    check_keywords(score, {"points": 4}, "[here]")
    check_keywords(lambda candidate, **more: None, {"anything": 4}, "[here]")
    for wrong in ("point", "candidate"):
        with pytest.raises(UsageError, match="unknown key"):
            check_keywords(score, {wrong: 4}, "[here]")


def test_the_nearest_name_or_all_of_them():
    assert nearest("tournamnet", ["tournament", "front"]) == "did you mean 'tournament'?"
    assert nearest("x", ["b", "a"]) == "known: a, b"
    assert nearest("x", []) == "known: none"


@pytest.mark.parametrize("name", sorted(builtin_evaluators()))
def test_every_evaluator_that_comes_along_is_one(name, tmp_path):
    assert hasattr(EvaluatorSource(name, tmp_path).load({}), "evaluate")


@pytest.mark.parametrize("name", ["score.py", "sc.ore.py", "with space.py", "50%2E.py", "#ä.py"])
def test_what_a_file_defines_can_be_pickled_into_another_process(tmp_path, name):
    (tmp_path / name).write_text("class Made:\n    x = 7\n\ndef f():\n    return 8\n")
    module = load_module(tmp_path / name)
    assert load_module(tmp_path / name) is module
    sent = pickle.dumps((module.Made(), module.f))
    script = "import pickle, sys\none, f = pickle.loads(sys.stdin.buffer.read())\nprint(one.x, f())"
    done = subprocess.run([sys.executable, "-c", script], input=sent, capture_output=True)
    assert done.stdout == b"7 8\n", done.stderr.decode()
