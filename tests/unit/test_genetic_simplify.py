"""What simplification does to code that an edit has put into a program."""

from __future__ import annotations

import contextlib
import random

import libcst as cst
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st

from evolver.operators.genetic import EDITS, Mutate
from evolver.operators.genetic.analysis import survey
from evolver.operators.genetic.fragment import Fragment, read_fragments
from evolver.operators.genetic.grammar import derive
from evolver.operators.genetic.simplify import simplify

from .genetic_programs import context, propose


def simplified(body: str, *, merge: bool = True, before: str = "    return x\n") -> str:
    """Simplify the body of a function after an edit turned `before` into it."""
    head = "def f(x, y):\n    # EVOLVE-BLOCK-START\n"
    tail = "    # EVOLVE-BLOCK-END\n    return x - y * z\n"

    def read(text: str) -> Fragment:
        (fragment,) = read_fragments({"f.py": (head + text + tail).encode()})
        return fragment

    parent, child = read(before), read(body)
    surveys = survey(parent), survey(child)
    grammar = derive(surveys, (), None, (), statements=True, tune=merge)
    module = simplify(child, surveys[1], surveys[0], grammar, merge)
    return child.with_module(module).render().decode()


def expression(text: str, *, merge: bool = True) -> str:
    body = simplified(f"    return {text}\n", merge=merge)
    return body.strip().removeprefix("return ")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2 * 3 + x", "6 + x"),
        ("x * (0.5 + 0.25)", "x * 0.75"),
        ("x * 1 + 0.0", "x"),
        ("(x + y) / 1.0", "x + y"),
        ("0 + x * y ** 1", "x * y"),
        ("--x", "x"),
        ("x - -0.5", "x + 0.5"),
        ("x + -2.0 / y", "x - 2.0 / y"),
        ("x + 1 / 0", "x + 1 / 0"),
        ("x + 1e308 * 10.0", "x + 1e308 * 10.0"),
        ("x * 0.99 + 0.01", "x * 0.99 + 0.01"),
        ("f'{x * 1}'", "f'{x * 1}'"),
    ],
)
def test_expressions_without_what_does_nothing(before: str, after: str) -> None:
    assert expression(before, merge=False) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x * 2.0 * 3.0", "x * 6.0"),
        ("2.0 / (x * 4.0)", "0.5 / x"),
        ("(x - 1.5) + 0.25", "x - 1.25"),
        ("1.0 - (x - 1.5)", "2.5 - x"),
        ("4.0 / (2.0 / x)", "x * 2.0"),
        ("(x + 1.5) * y - (x + 1.5) * y", "0.0"),
        ("x / x", "1.0"),
        ("(2.0 + x) * 3.0", "x * 3.0 + 6.0"),
        ("1.0 / (x * 2.0 + 3.0)", "0.5 / (x + 1.5)"),
        ("0.5 / (3.0 - x)", "-0.5 / (x - 3.0)"),
        ("x / 4.0 + y", "x * 0.25 + y"),
        ("1.5 * y * (x * 2.0)", "x * y * 3.0"),
        ("(y + 1.0) + (x - 0.5)", "x + y + 0.5"),
        ("(1.0 / x) / (2.0 / y)", "y / x * 0.5"),
    ],
)
def test_literals_that_a_tuner_would_fit_twice_become_one(before: str, after: str) -> None:
    assert expression(before) == after
    assert expression(before, merge=False) == before


def test_a_literal_that_a_variable_holds_is_written_where_it_is_read() -> None:
    body = "    t1 = 2.0\n    z = x * t1 + t1 / y\n"
    assert simplified(body) == "    z = 2.0 / y + x * 2.0\n"


@pytest.mark.parametrize("text", ["x + 1", "y + x", "2 * (x + 1)", "'a' + x", "[x] + [1.0]"])
def test_only_floats_are_brought_into_the_normal_form(text: str) -> None:
    assert expression(text) == text


def test_what_a_variable_holds_is_not_computed_again() -> None:
    body = "    z = x * y\n    y = x * y + 0.5\n    x = x * y\n    return z\n"
    assert simplified(body) == "    z = x * y\n    y = z + 0.5\n    x = x * y\n    return z\n"


def test_intermediates_that_are_read_once_move_to_where_they_are_read() -> None:
    body = "    t1 = x + 1\n    # why\n    t2 = t1 * t1\n    z = t2 - y\n"
    assert simplified(body) == "    t1 = x + 1\n    z = t1 * t1 - y\n"


def test_intermediates_stay_where_an_operand_changes_in_between() -> None:
    body = "    t1 = x + 1\n    x = y - 7\n    z = t1 * y + x\n"
    assert simplified(body) == body


def test_dead_code_goes_with_its_comments() -> None:
    body = "    # first\n    a = x * 2\n    b = a + 1\n    # last\n    z = y\n"
    assert simplified(body) == "    # last\n    z = y\n"


def test_a_value_that_is_overwritten_before_it_is_read_is_dead() -> None:
    body = "    z = x * 2\n    z = y + 1\n    x = z\n"
    assert simplified(body) == "    z = y + 1\n    x = z\n"


@pytest.mark.parametrize(
    "body",
    [
        "    a = g(x)\n    z = y\n",  # a call may have an effect
        "    z = y\n",  # read behind the region
        "    a = x\n    z = f'{a}'\n",
        "    a = x\n    z = locals()\n",
        "    t1 = x + 1\n    z = f'{t1}'\n",
        "    global a\n    a = x\n    z = y\n",
    ],
)
def test_what_may_matter_stays(body: str) -> None:
    assert simplified(body) == body


def test_lines_that_were_not_edited_stay_as_they_are() -> None:
    body = "    unusual = 2 * 3 + x * 1\n    z = unusual*1\n"
    parent = {"f.py": b"def f(x):\n" + body.encode() + b"    return z + 2\n"}
    child = propose(
        Mutate(weights={"constant": 1, **dict.fromkeys(_OTHERS, 0)}, edits=(1,)),
        context(parent, 3),
    )
    before, after = parent["f.py"].splitlines(), child.files["f.py"].splitlines()
    assert len(before) == len(after)
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


_OTHERS = [kind for kind in EDITS if kind != "constant"]


names = st.sampled_from(["x", "y", "0.5", "2.0", "1.0", "0.0", "3.0", "-1.0"])
trees = st.recursive(
    names,
    lambda below: st.tuples(below, st.sampled_from("+-*/"), below).map(
        lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
    ),
    max_leaves=12,
)


@given(tree=trees, merge=st.booleans())
@examples(200)
def test_simplification_keeps_the_value(tree: str, merge: bool) -> None:
    cst.parse_expression(tree)
    after = expression(tree, merge=merge)
    dice = random.Random(1)
    for _ in range(4):
        scope = {"x": dice.uniform(0.3, 3.0), "y": dice.uniform(-3.0, -0.3)}
        try:
            expected = eval(tree, dict(scope))
        except ZeroDivisionError:
            continue
        size = max(1.0, _largest(tree, scope))
        assert eval(after, dict(scope)) == pytest.approx(expected, rel=1e-9, abs=1e-9 * size)


def _largest(tree: str, scope: dict[str, float]) -> float:
    """Return the largest intermediate value: rounding errors are relative to it."""
    largest = 0.0
    for node in cst.parse_module(tree).children:
        largest = max(largest, *(_values(node, scope)))
    return largest


def _values(node: cst.CSTNode, scope: dict[str, float]) -> list[float]:
    found = [0.0]
    if isinstance(node, cst.BaseExpression):
        with contextlib.suppress(ZeroDivisionError):
            found.append(abs(float(eval(cst.Module([]).code_for_node(node), dict(scope)))))
    for child in node.children:
        found.extend(_values(child, scope))
    return found
