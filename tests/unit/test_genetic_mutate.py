from __future__ import annotations

import ast
import math
import random
from itertools import pairwise

import libcst as cst
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st

from evolver.errors import ProposalError, UsageError
from evolver.operators.genetic import EDITS, Mutate, applies_to
from evolver.operators.genetic.child import read_tree
from evolver.operators.genetic.comments import without_untrue
from evolver.operators.genetic.tree import replaced
from evolver.operators.genetic.writing import key
from evolver.programs import edits, literals
from evolver.types import Brief, Files

from .genetic_programs import PROGRAMS, STRAIGHT, context, descendant, propose

programs = st.sampled_from(sorted(PROGRAMS))
seeds = st.integers(0, 2**32)


def only(kind: str) -> dict[str, float]:
    return {each: float(each == kind) for each in EDITS}


@given(name=programs, seed=seeds, generations=st.integers(1, 6), tune=st.booleans())
@examples(80)
def test_descendants_parse_and_keep_everything_outside_the_regions(
    name: str, seed: int, generations: int, tune: bool
) -> None:
    files = PROGRAMS[name]
    operator = Mutate(tune=tune)
    child = descendant(operator, files, seed, generations)
    assert edits.violation(files, child) is None
    for path, source in child.items():
        if path.endswith(".py"):
            compile(source, path, "exec")


@given(name=programs, seed=seeds)
@examples(30)
def test_the_same_context_gives_the_same_child(name: str, seed: int) -> None:
    files = PROGRAMS[name]
    first = propose(Mutate(), context(files, seed))
    propose(Mutate(), context(files, seed + 1))
    assert propose(Mutate(), context(files, seed)) == first


@given(name=programs, seed=seeds)
@examples(30)
def test_comments_survive_above_lines_that_are_not_edited(name: str, seed: int) -> None:
    files = PROGRAMS[name]
    child = propose(Mutate(edits=(1,)), context(files, seed)).files
    for path in files:
        before = [line.strip() for line in files[path].splitlines()]
        after = [line.strip() for line in child[path].splitlines()]
        for comment, below in pairwise(before):
            if comment.startswith(b"#") and before.count(below) == 1 and below in after:
                assert comment in after


COMMENTED = b"""def f(x, n):
    # Halve it.
    a = x * 0.5  # half

    # Add them up.
    for i in range(n):
        a += x  # once more
        # noqa comes from a tool
        a -= 0.25  # noqa: B1
    # Done.
    return a
"""


@pytest.mark.parametrize(
    ("old", "new", "gone"),
    [
        ("a = x * 0.5", "a = x * 0.7", {"# Halve it.", "# half"}),
        ("a += x ", "a *= x ", {"# once more"}),
        ("a -= 0.25", "a -= 0.5", set()),
        ("range(n)", "range(n + 1)", {"# Add them up."}),
        ("return a", "return -a", {"# Done."}),
    ],
)
def test_a_comment_on_what_was_edited_goes(old: str, new: str, gone: set[str]) -> None:
    """Each child differs from the parent in one statement, so it is known which comment is left."""
    known = {"# Halve it.", "# half", "# Add them up.", "# once more", "# Done.", "# noqa: B1"}
    tree = read_tree({"f.py": COMMENTED})
    (fragment,), (before,) = tree.fragments, tree.surveys
    edited = read_tree({"f.py": COMMENTED.replace(old.encode(), new.encode())}).surveys[0]
    module = fragment.module
    for line, other in zip(before.lines, edited.lines, strict=True):
        if isinstance(line.node, cst.SimpleStatementLine) and key(line.node) != key(other.node):
            module = replaced(module, line.path, other.node)
        if isinstance(line.node, cst.For) and isinstance(other.node, cst.For):
            iters = line.node.iter, other.node.iter
            if key(iters[0]) != key(iters[1]):
                module = replaced(module, (*line.path, "iter"), iters[1])
    text = without_untrue(module, (), before).code
    assert {comment for comment in known if comment not in text} == gone


def test_the_comment_of_a_formula_that_was_edited_is_not_kept() -> None:
    """The announced programs of the demo said that they were a Taylor polynomial."""
    source = b"def f(x):\n    # The Taylor polynomial.\n    return 1.0 + x * (0.7 + x * 0.24)\n"
    for seed in range(20):
        child = propose(Mutate(edits=(1,)), context({"f.py": source}, seed)).files["f.py"]
        assert b"Taylor" not in child


def used(files: Files) -> tuple[set[str], set[str]]:
    """Return the node types and the called names of a program."""
    trees = [ast.parse(source) for path, source in files.items() if path.endswith(".py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    calls = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    return {type(node).__name__ for node in nodes}, calls


@given(seed=seeds, generations=st.integers(1, 8))
@examples(30)
def test_a_restricted_grammar_is_never_left(seed: int, generations: int) -> None:
    files = PROGRAMS["straight"]
    operator = Mutate(operators=("+", "-", "*", "/"), tune=True)
    child = descendant(operator, files, seed, generations)
    allowed, _ = used(files)
    types, calls = used(child)
    assert types <= allowed | {"Add", "Sub", "Mult", "Div", "UnaryOp", "USub"}
    assert not calls


@given(seed=seeds)
@examples(30)
def test_only_the_allowed_functions_and_constants_are_inserted(seed: int) -> None:
    files = {"f.py": b"def f(x, y):\n    return x * y + x\n"}
    operator = Mutate(
        operators=("+", "*"),
        functions=("math.sin", "max/2"),
        constants=(2.5, 7),
        weights={"constant": 0, "identity": 0},
        edits=(0, 0, 1),
        simplify=False,
    )
    child = propose(operator, context(files, seed)).files
    types, calls = used(child)
    assert calls <= {"math.sin", "max"}
    assert not types & {"Sub", "Div", "Compare", "If", "IfExp", "Pow"}
    assert {literal.value for literal in literals.find(child)} <= {2.5, 7.0}


@pytest.mark.parametrize("kind", EDITS)
def test_every_kind_of_edit_happens(kind: str) -> None:
    """Each kind finds its place in some program, and changes it."""
    files = {
        "all.py": b"def f(x, n):\n"
        b"    a = x * x + 0.5\n"
        b"    b = x * x - a / 3.0\n"
        b"    low, high = a * 0.5, b * 2.0\n"
        b"    for i in range(n):\n"
        b"        if i > 2:\n"
        b"            b += a\n"
        b"        b -= 1.5\n"
        b"    for j in range(n):\n"
        b"        for k in range(n):\n"
        b"            b += j * k\n"
        b"    return a - b * low + high\n"
    }
    operator = Mutate(weights=only(kind) | {kind: 1.0}, edits=(1,))
    children = {propose(operator, context(files, seed)).files["all.py"] for seed in range(10)}
    assert files["all.py"] not in children


def test_an_edit_of_weight_zero_never_happens() -> None:
    operator = Mutate(weights={**only("constant"), "constant": 1}, edits=(1,))
    for seed in range(20):
        child = propose(operator, context(PROGRAMS["straight"], seed)).files["exp2.py"]
        same = ast.dump(ast.parse(STRAIGHT)).count("BinOp")
        assert ast.dump(ast.parse(child)).count("BinOp") == same


def test_a_child_that_was_seen_is_not_proposed() -> None:
    files = PROGRAMS["straight"]
    seen: set[bytes] = set()
    for seed in range(40):
        at = context(files, seed % 2, is_seen=lambda child: child["exp2.py"] in seen)
        child = propose(Mutate(), at).files["exp2.py"]
        assert child not in seen
        seen.add(child)


def test_no_new_child_is_an_error_of_the_proposal() -> None:
    at = context(PROGRAMS["straight"], 0, is_seen=lambda files: True)
    with pytest.raises(ProposalError, match="no new child was found in 7 tries"):
        propose(Mutate(tries=7), at)


@pytest.mark.parametrize(
    "files",
    [
        {"main.c": b"int f(int x) { return x; }\n"},
        {"broken.py": b"def f(:\n"},
        {"empty.py": b""},
        {"comments.py": b"# nothing\n"},
        {"inside.py": b"x = [\n    # EVOLVE-BLOCK-START\n    1,\n    # EVOLVE-BLOCK-END\n]\n"},
        {"latin.py": b"# -*- coding: latin-1 -*-\nx = '\xe9'\n"},
    ],
    ids=lambda files: next(iter(files)),
)
def test_without_editable_python_there_is_no_operator(files: Files) -> None:
    assert not applies_to(Brief("", files))
    with pytest.raises(ProposalError, match="no editable Python"):
        propose(Mutate(), context(files, 0))


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_programs_with_python_have_operators(name: str) -> None:
    assert applies_to(Brief("", PROGRAMS[name]))


def test_unknown_settings_are_named_with_the_nearest_known_one() -> None:
    with pytest.raises(UsageError, match='"sqare"; did you mean "square"'):
        Mutate(weights={"sqare": 1.0})
    with pytest.raises(UsageError, match='operators has "=>"; did you mean ">"'):
        Mutate(operators=("+", "=>"))
    with pytest.raises(UsageError, match='functions: "sqrt 2" is no callable'):
        Mutate(functions=("sqrt 2",))
    with pytest.raises(UsageError, match="must be 0 or more"):
        Mutate(weights={"square": -1.0})
    with pytest.raises(UsageError, match="one must be above 0"):
        Mutate(edits=(0.0, 0.0))


def test_tuning_is_asked_for_where_it_is_set() -> None:
    proposal = propose(Mutate(tune=True, limit=40, starts=8), context(PROGRAMS["straight"], 1))
    assert proposal.tune is not None
    assert (proposal.tune.limit, proposal.tune.starts) == (40, 8)
    assert propose(Mutate(), context(PROGRAMS["straight"], 1)).tune is None


def test_without_statements_lines_stay_where_they_are() -> None:
    """No condition appears, and no loop or call is repeated, moved or dropped."""
    files = PROGRAMS["sort"]
    for seed in range(30):
        child = propose(Mutate(statements=False, edits=(0, 0, 1)), context(files, seed)).files
        tree = ast.parse(child["sort.py"])
        kinds = [type(node) for node in ast.walk(tree)]
        assert kinds.count(ast.If) == kinds.count(ast.While) == 1
        assert kinds.count(ast.For) == 2
        assert ast.Break not in kinds
        assert ast.IfExp not in kinds


def test_the_summary_says_what_was_edited() -> None:
    operator = Mutate(weights=only("square"), edits=(1,))
    assert propose(operator, context(PROGRAMS["straight"], 3)).summary.startswith("square: ")


TARGET = [(x / 20, 1.7 * (x / 20) ** 2 - 0.6 * (x / 20) + 2) for x in range(-15, 30)]


def error_of(files: Files) -> float:
    """Return the mean squared error of a regression, infinite where the program fails."""
    namespace: dict[str, object] = {}
    try:
        exec(compile(files["f.py"], "f.py", "exec"), namespace)
        f = namespace["f"]
        errors = [(f(x) - y) ** 2 for x, y in TARGET]  # type: ignore[operator]
        mean = sum(errors) / len(errors)
    except (ArithmeticError, NameError):
        return math.inf
    return mean if math.isfinite(mean) else math.inf


@pytest.mark.slow
def test_selection_and_mutation_fit_a_regression() -> None:
    """From `return x`, a few hundred children find the structure and most of the constants.

    Measured, five of six times: it is a search.
    """
    assert sum(gain_of_search(seed) > 30 for seed in range(1, 6)) >= 3


def gain_of_search(seed: int) -> float:
    """Return how many times smaller the error becomes."""
    first: Files = {"f.py": b"def f(x):\n    return x\n"}
    start = error_of(first)
    population = [(start, len(first["f.py"]), 0, first)]
    rng = random.Random(seed)
    for number in range(1, 350):
        *_, parent = min(rng.sample(population, min(3, len(population))))
        child = propose(Mutate(), context(parent, rng.randrange(2**32))).files
        population.append((error_of(child), len(child["f.py"]), number, child))
        population = sorted(population)[:20]
    return start / population[0][0]


def test_a_program_nested_too_deeply_is_no_crash() -> None:
    deep: Files = {"p.py": b"def f(x):\n    return " + b"x + " * 1500 + b"x\n"}
    with pytest.raises(ProposalError, match="nested too deeply"):
        propose(Mutate(), context(deep, 0))


def test_loops_are_interchanged_where_they_do_not_hang_on_each_other() -> None:
    nest = b"""
def f(a):
    for i in range(3):
        total = 0
        for j in range(4):
            total += a[i][j]
            for k in range(j):
                total += k
    return total
"""
    child = propose(
        Mutate(edits=(1,), weights=only("interchange"), simplify=False), context({"m.py": nest}, 1)
    )
    assert child.files["m.py"] == nest.replace(b"i in range(3)", b"?").replace(
        b"j in range(4)", b"i in range(3)"
    ).replace(b"?", b"j in range(4)")
    assert child.summary == "interchange: the loops over i and j"
