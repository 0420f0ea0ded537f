"""What edits may read, bind and break off where they put things."""

from __future__ import annotations

import contextlib

import libcst as cst
import pytest

from evolver.errors import ProposalError
from evolver.operators.genetic import EDITS, Crossover, Mutate
from evolver.operators.genetic.analysis import survey
from evolver.operators.genetic.fragment import read_fragments
from evolver.operators.genetic.reads import is_there
from evolver.operators.genetic.survey import Site, Survey
from evolver.operators.genetic.writing import code
from evolver.types import Files

from .genetic_programs import context, propose

LOOP = """\
def f(data):
    total = 0
    first = data[0]
    place = 0
    while place < len(data):
        size = total + 1
        item = data[place]
        kept = item + size
        place += 1
        later = kept + total
        if place < len(data) and data[place] > later:
            total = total + kept
    for i in range(3):
        pair = (data[i], first)
        total += pair[0]
    best = max(range(3), key=lambda j: data[j] + first)
    return total + best
"""

#: Way, mother, father: what the mother needs is bound before it is read, whatever comes of it.
CROSSINGS = {
    "a name that is bound twice is not brought by its first definition": (
        "subtree",
        "def f(n):\n    k = 1\n    for i in range(n):\n        k = k + i\n    return k\n",
        "def f(n):\n    k = 1\n    last = None\n    for i in range(n):\n"
        "        if last is not None:\n"
        "            k = i - last\n        last = i\n    return k\n",
    ),
    "a name that a loop changes later on is not brought": (
        "subtree",
        "def f(n):\n    k = 1\n    for i in range(n):\n        k = k + i\n    return k\n",
        "def f(n):\n    k = 1\n    step = 'a'\n    for i in range(n):\n        if i > 0:\n"
        "            k = step * 2\n        step = i\n    return k\n",
    ),
    "a constant of the module is not assigned in a function": (
        "statement",
        "LIMIT = 3\ndef f(n):\n    k = LIMIT\n    for i in range(n):\n"
        "        k += i\n    return k\n",
        "LIMIT = 4\ndef f(n):\n    k = LIMIT\n    m = k + 1\n"
        "    for i in range(n):\n        m = i\n"
        "    return k + m\n",
    ),
    "what is read elsewhere is not replaced where it is bound": (
        "statement",
        "def f(n):\n    k = 0\n    a, b = n, 1\n    for i in range(n):\n"
        "        k += i\n    return k + a - b\n",
        "def f(n):\n    k = 0\n    flag = True\n    for i in range(n):\n"
        "        k -= i\n    return k\n",
    ),
    "a loop is left only inside one": (
        "statement",
        "def f(n):\n    k = 0\n    for i in range(n):\n        k += i\n"
        "    k = k + 1\n    return k\n",
        "def f(n):\n    k = 0\n    for i in range(n):\n        k += 1\n        if k > 3:\n"
        "            break\n        if k < 0:\n            continue\n    return k\n",
    ),
    "targets get the names of the parent too": (
        "statement",
        "def f(n):\n    xs = list(range(9))\n    for i in range(4):\n"
        "        xs[i] += 1\n    return xs\n",
        "def f(n):\n    ys = list(range(9))\n    for j in range(4):\n"
        "        ys[j], ys[j + 1] = ys[j + 1], 1\n"
        "    return ys\n",
    ),
    "a variable is assigned what is of its type": (
        "statement",
        "def f(n):\n    k = 0\n    for i in range(n):\n        k += i\n    return k\n",
        "def f(n):\n    m = {}\n    k = 0\n    for i in range(n):\n"
        "        m[i] = k\n    return k + len(m)\n",
    ),
}


@pytest.mark.parametrize("case", CROSSINGS)
def test_children_of_two_bind_what_they_read(case: str) -> None:
    way, mother, father = CROSSINGS[case]
    weights = {each: float(each == way) for each in ("subtree", "statement", "function")}
    found = 0
    for seed in range(60):
        at = context({"f.py": mother.encode()}, seed, inspirations=[{"f.py": father.encode()}])
        with contextlib.suppress(ProposalError):
            child = propose(Crossover(weights=weights), at).files["f.py"]
            namespace: dict[str, object] = {}
            exec(compile(child, "f.py", "exec"), namespace)
            namespace["f"](5)  # type: ignore[operator]
            found += 1
    assert found >= 10


def test_a_child_that_is_the_other_program_is_not_new() -> None:
    mother, father = {"f.py": b"def f(x):\n    return x\n"}, {"f.py": b"def f(x):\n    return 2\n"}
    only = {"subtree": 0.0, "statement": 0.0, "function": 1.0}
    with pytest.raises(ProposalError, match="no new child"):
        propose(Crossover(weights=only), context(mother, 1, inspirations=[father]))


def surveyed(source: str) -> Survey:
    (fragment,) = read_fragments({"f.py": source.encode()})
    return survey(fragment)


def site_of(found: Survey, text: str) -> Site:
    """Return the last site of an expression."""
    return [site for site in found.sites if code(site.node) == text][-1]


@pytest.mark.parametrize(
    ("expression", "at", "there"),
    [
        ("data[place]", "item + size", True),  # after it was read
        ("data[place]", "total + 1", False),  # before
        ("data[place]", "kept + total", False),  # the index has changed
        ("data[place] > later", "place < len(data) and data[place] > later", False),  # the guard
        ("data[place]", "data[place] > later", True),  # behind it
        ("data[place]", "total + kept", False),
        ("data[i]", "pair[0]", True),
        ("data[j]", "first", True),  # in the lambda that reads it
        ("data[0]", "total + 1", True),  # no computed index
        ("first + size", "item + size", True),
    ],
)
def test_elements_are_read_where_they_are_there(expression: str, at: str, there: bool) -> None:
    found = surveyed(LOOP)
    assert is_there(found, site_of(found, at), cst.parse_expression(expression)) is there


def test_an_integer_that_something_is_divided_by_is_at_risk() -> None:
    found = surveyed("def f(n):\n    step = 12\n    other = 13\n    return n % step + other\n")
    assert site_of(found, "12").is_risky
    assert not site_of(found, "13").is_risky


SORTED = {
    "pairs": (
        "def f(items):\n    order = sorted(items, key=lambda item: item[0])\n    total = 0\n"
        "    for one, two in items:\n        total += one * two\n    return order, total\n",
        {"item[0]", "item[1]"},
    ),
    "columns": (
        "def f(sizes, costs):\n    order = sorted(range(len(sizes)), key=lambda i: sizes[i])\n"
        "    return [costs[i] + sizes[i] for i in order]\n",
        {"sizes[i]", "costs[i]"},
    ),
    "attributes": (
        "def f(items):\n    items.sort(key=lambda each: each.size)\n"
        "    return sum(each.cost * 2 for each in items), len(items)\n",
        {"each.size", "each.cost"},
    ),
}


@pytest.mark.parametrize("name", SORTED)
def test_a_sort_key_is_related_to_measures_of_the_same_thing(name: str) -> None:
    source, measures = SORTED[name]
    files: Files = {"f.py": source.encode()}
    related = set()
    for seed in range(60):
        operator = Mutate(weights={each: float(each == "relate") for each in EDITS}, edits=(1,))
        with contextlib.suppress(ProposalError):
            summary = propose(operator, context(files, seed)).summary
            old, _, new = summary.removeprefix("relate: ").partition(" -> ")
            if old in measures:
                related.add(new)
    first, second = sorted(measures)
    assert {f"{first} / {second}", f"{second} / {first}"} & related
    assert not any("len" in each for each in related)
