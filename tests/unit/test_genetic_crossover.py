from __future__ import annotations

import ast

import pytest
from effort import examples
from hypothesis import assume, given
from hypothesis import strategies as st

from evolver.errors import ProposalError, UsageError
from evolver.operators.genetic import Crossover, Mutate
from evolver.programs import edits

from .genetic_programs import PROGRAMS, context, descendant, propose

seeds = st.integers(0, 2**32)


def only(way: str) -> dict[str, float]:
    return {each: float(each == way) for each in ("subtree", "statement", "function")}


@given(name=st.sampled_from(sorted(PROGRAMS)), seed=seeds, tune=st.booleans())
@examples(60)
def test_children_parse_and_keep_everything_outside_the_regions(
    name: str, seed: int, tune: bool
) -> None:
    files = PROGRAMS[name]
    mother, father = descendant(Mutate(), files, seed, 4), descendant(Mutate(), files, seed + 1, 4)
    at = context(files, seed, parent=mother, inspirations=[father])
    try:
        proposal = propose(Crossover(tune=tune), at)
    except ProposalError:  # where the two are alike there is little to cross
        assume(False)
    assert proposal.parents == (0, 1)
    assert edits.violation(files, proposal.files) is None
    for path, source in proposal.files.items():
        if path.endswith(".py"):
            compile(source, path, "exec")
    again = context(files, seed, parent=mother, inspirations=[father])
    assert propose(Crossover(tune=tune), again) == proposal


@given(seed=seeds)
@examples(30)
def test_nothing_is_inserted_that_is_not_in_a_parent(seed: int) -> None:
    files = PROGRAMS["straight"]
    operator = Mutate(operators=("+", "-", "*", "/"))
    mother, father = descendant(operator, files, seed, 5), descendant(operator, files, seed + 1, 5)
    try:
        at = context(files, seed, parent=mother, inspirations=[father])
        child = propose(Crossover(), at).files
    except ProposalError:
        assume(False)
    kinds = {
        type(node).__name__
        for program in (mother, father)
        for node in ast.walk(ast.parse(program["exp2.py"]))
    }
    nodes = list(ast.walk(ast.parse(child["exp2.py"])))
    found = {type(node).__name__ for node in nodes}
    assert found <= kinds | {"Add", "Sub", "Mult", "Div", "UnaryOp", "USub"}  # signs and folding
    signs = [node for node in nodes if isinstance(node, ast.UnaryOp)]
    assert all(isinstance(node.operand, ast.Constant) for node in signs)


def test_an_expression_brings_the_assignments_that_it_needs() -> None:
    mother = {"f.py": b"def f(x):\n    return x\n"}
    father = {
        "f.py": b"def f(x):\n    a = x * 3.0\n    b = a + 7.0\n    return b * b\n",
    }
    values = set()
    for seed in range(30):
        at = context(mother, seed, inspirations=[father])
        child = propose(Crossover(weights=only("subtree")), at).files
        namespace: dict[str, object] = {}
        exec(compile(child["f.py"], "f.py", "exec"), namespace)
        values.add(namespace["f"](2.0))  # type: ignore[operator]
    assert values == {6.0, 13.0, 169.0}


def test_variables_that_the_parent_lacks_become_ones_that_it_has() -> None:
    mother = {"f.py": b"def f(items):\n    for i in range(9):\n        k = i\n    return items\n"}
    father = {
        "f.py": b"def f(ys):\n    for n in range(3):\n        ys[n] += n * 2\n    return ys\n"
    }
    for seed in range(20):
        at = context(mother, seed, inspirations=[father])
        child = propose(Crossover(weights=only("statement")), at).files["f.py"]
        assert b"ys" not in child


def test_a_function_is_taken_whole() -> None:
    mother = {"f.py": b"def f(x):\n    return x\n\n\ndef g(x):\n    return 1\n"}
    father = {"f.py": b"def f(x):\n    return x * 2\n\n\ndef g(x):\n    return 2\n"}
    children = {
        propose(
            Crossover(weights=only("function")), context(mother, seed, inspirations=[father])
        ).files["f.py"]
        for seed in range(20)
    }
    assert children == {
        b"def f(x):\n    return x * 2\n\n\ndef g(x):\n    return 1\n",
        b"def f(x):\n    return x\n\n\ndef g(x):\n    return 2\n",
    }


def test_without_another_program_there_is_no_child() -> None:
    with pytest.raises(ProposalError, match="no inspiration"):
        propose(Crossover(), context(PROGRAMS["sort"], 0))


def test_two_equal_programs_have_no_new_child() -> None:
    files = {"f.py": b"def f(x):\n    return x\n"}
    with pytest.raises(ProposalError, match="no new child"):
        propose(Crossover(), context(files, 0, inspirations=[files]))


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(UsageError, match="the ways are subtree, statement, function"):
        Crossover(weights={"splice": 1.0})
