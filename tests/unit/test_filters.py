"""Filters: what is the same program, and what is none."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from evolver.programs.filters import (
    FILTERS,
    already_seen,
    normalised_hash,
    outside_regions,
    structure_hash,
    unparsable,
)
from evolver.types import Brief, Context, Elite, Evaluation, Program

SEED = {"p.py": b"# EVOLVE-BLOCK-START\nx = 1.5\n# EVOLVE-BLOCK-END\ny = 2\n"}
CONTEXT = Context(
    Brief("", SEED),
    Elite(Program(0, SEED), Evaluation("ok", objectives=(0.0,))),
    (),
    Random(0),
    is_seen=lambda files: b"seen" in files["p.py"],
)

#: What the compiler refuses by RecursionError or MemoryError, not by SyntaxError.
TOO_DEEP = {
    "a sum": b"x = " + b" + ".join([b"y"] * 30_000) + b"\n",
    "minus signs": b"x = " + b"-" * 5000 + b"1\n",
    "negations": b"x = " + b"not " * 10_000 + b"1\n",
    "attributes": b"x = y" + b".z" * 30_000 + b"\n",
}


def same(one, other):
    return normalised_hash({"p.py": one}) == normalised_hash({"p.py": other})


@pytest.mark.parametrize("source", TOO_DEEP.values(), ids=TOO_DEEP)
def test_what_is_nested_too_deeply_is_refused_in_words(source):
    files = {"p.py": source}
    assert unparsable(files, CONTEXT) == "p.py: nested too deeply"
    assert normalised_hash(files) == normalised_hash(dict(files))
    assert structure_hash(files) == normalised_hash(files)
    assert not same(source, source + b"\n")  # verbatim: nothing is known of what it means


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"x = 1\ny = (\n", "p.py:2: '(' was never closed"),
        (b"x = 1\0\n", "p.py: source code string cannot contain null bytes"),
        (b"x = '\xff'\n", "p.py"),
    ],
)
def test_what_does_not_parse_is_refused_with_its_place(source, said):
    reason = unparsable({"p.py": source}, CONTEXT)
    assert reason is not None
    assert reason.startswith(said)


def test_only_python_has_to_parse():
    assert unparsable({"p.txt": b"x = ("}, CONTEXT) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"x = 1 + 2  # why\n", b"\n\nx = (1\n  + 2)\n"),
        (b"def f(a):\n    'one'\n    return a\n", b"def f(a):\n  'other'\n  return a\n"),
    ],
)
def test_layout_comments_and_docstrings_make_no_other_program(one, other):
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"def f(x):\n    assert x > 0\n    return x\n", b"def f(x):\n    return x\n"),
        (b"def f(x):\n    assert x > 0\n    return x\n",
         b"def f(x):\n    assert x > 1\n    return x\n"),
        (b"x = 1 if __debug__ else 2\n", b"x = 2\n"),
        (b"x = 1\n", b"x = 1.0\n"),
        (b"x = 0.0\n", b"x = -0.0\n"),
        (b"def f(a, b): return a\n", b"def f(b, a): return a\n"),
        (b"def f(a): return a\n", b"def f(*a): return a\n"),
        (b"def f(a=1): return a\n", b"def f(a=2): return a\n"),
        (b"def f():\n    def g(): return 1\n", b"def f():\n    def g(): return 2\n"),
        (b"try: f()\nexcept A: pass\n", b"f()\n"),
    ],
)  # fmt: skip
def test_programs_that_run_differently_are_two(one, other):
    assert not same(one, other)


def test_names_of_files_count():
    assert normalised_hash({"a.py": b"x = 1\n"}) != normalised_hash({"b.py": b"x = 1\n"})


def test_structure_is_what_is_left_without_the_values_of_floats():
    def structure(source):
        return structure_hash({"p.py": source})

    assert structure(b"x = 1.5 + y\n") == structure(b"x = -2.5 + y  # other\n")
    assert structure(b"x = 1.5 + y\n") != structure(b"x = 1.5 - y\n")
    assert structure(b"x = 2 + y\n") != structure(b"x = 3 + y\n")


def test_a_child_may_differ_from_the_seed_in_its_regions_alone():
    inside = {"p.py": SEED["p.py"].replace(b"1.5", b"3")}
    outside = {"p.py": SEED["p.py"].replace(b"y = 2", b"y = 3")}
    assert outside_regions(inside, CONTEXT) is None
    assert "outside the editable regions" in (outside_regions(outside, CONTEXT) or "")


def test_a_program_is_judged_once():
    assert already_seen({"p.py": b"seen"}, CONTEXT) is not None
    assert already_seen({"p.py": b"new"}, CONTEXT) is None


def test_the_seed_of_another_task_passes_no_filter():
    other = replace(CONTEXT, brief=Brief("", {"q.py": b""}))
    assert FILTERS[0](SEED, other) is not None
