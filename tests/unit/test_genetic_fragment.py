from __future__ import annotations

import ast
import inspect
import json.decoder
import statistics
import textwrap

import libcst as cst
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evolver.operators.genetic.analysis import survey
from evolver.operators.genetic.fragment import read_fragments
from evolver.operators.genetic.writing import code, placed
from evolver.programs.edits import find_regions

from .genetic_programs import SEVERAL

ODD = [
    b"x = 1",
    b"\n\n# only then\nx = 1  # trailing\n\n\n",
    b"if True:\n\tx = 1\n\n\t# deep\ny = 2\n# end",
    b"x = '''\n  text\n'''\ny = (1 +\n     2)\n",
    b"x = 1\r\nif x:\r\n  y = 2\r\n",
    "naïve = 'é'\n".encode(),
]


def regions_of(files: dict[str, bytes]) -> list[bytes]:
    return [
        files[region.path][region.start : region.end]
        for region in find_regions(files)
        if region.path.endswith(".py")
    ]


@pytest.mark.parametrize("source", ODD)
def test_a_file_is_printed_back_byte_for_byte(source: bytes) -> None:
    (fragment,) = read_fragments({"a.py": source})
    assert fragment.render() == source


@pytest.mark.parametrize("source", ODD)
@pytest.mark.parametrize("indent", [b"    ", b"\t", b" "])
def test_an_indented_region_is_printed_back_byte_for_byte(source: bytes, indent: bytes) -> None:
    if not source.endswith(b"\n"):
        source += b"\n"
    lines = source.splitlines(keepends=True)
    body = b"".join(indent + line if line.strip() else line for line in lines)
    start, end = indent + b"# EVOLVE-BLOCK-START\n", indent + b"# EVOLVE-BLOCK-END\n"
    files = {"a.py": b"def f(z):\n" + start + body + end + indent + b"return z\n"}
    (fragment,) = read_fragments(files)
    assert fragment.is_indented
    assert fragment.is_in_function
    assert [fragment.render()] == regions_of(files)


@pytest.mark.parametrize("module", [textwrap, json.decoder, statistics, inspect])
def test_the_standard_library_is_printed_back_and_can_be_surveyed(module: object) -> None:
    source = inspect.getsource(module).encode()  # type: ignore[arg-type]
    (fragment,) = read_fragments({"a.py": source})
    assert fragment.render() == source
    found = survey(fragment)
    assert len(found.sites) > 100
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)]
    assert found.functions.keys() <= {*found.functions} | {f.name for f in functions}
    assert {name.rpartition(".")[2] for name in found.functions} == {f.name for f in functions}


def test_a_region_knows_what_is_bound_around_it() -> None:
    first, second = read_fragments({"several.py": SEVERAL})
    assert first.around.visible == ("n",)
    assert second.around.visible == ("n", "total", "i")
    assert first.around.read_after == frozenset()
    assert second.around.read_after == {"total", "n", "range"}  # it runs again


def test_names_are_in_scope_after_they_are_bound_and_not_before() -> None:
    source = b"""C = 2

def f(a, flag):
    if flag:
        b = a
        c = 1
    else:
        b = C
    for i in a:
        d = i
    e = [k for k in a]
    return b
"""
    (fragment,) = read_fragments({"f.py": source})
    found = survey(fragment)
    names = {code(line.node).strip(): tuple(line.names) for line in found.lines if line.function}
    assert names["b = a"] == ("C", "a", "flag")
    assert names["d = i"] == ("C", "a", "flag", "b", "i")
    assert names["return b"] == ("C", "a", "flag", "b", "e")
    (inside,) = [s for s in found.sites if code(s.node) == "k"]
    assert "k" in inside.names
    assert inside.line is None


def test_kinds_are_read_off_the_use_of_names() -> None:
    source = b"""def f(items, x, n: int, on):
    total = 0.0
    for i in range(len(items)):
        total += items[i] * x
    while on and n > 2:
        total = total / 2
    return total
"""
    (fragment,) = read_fragments({"f.py": source})
    kinds = survey(fragment).kinds
    assert [kinds[name] for name in ("items", "x", "n", "total", "i")] == [16, 3, 1, 2, 1]


expressions = st.recursive(
    st.sampled_from(["x", "1", "2.5", "f(x)", "a[0]", "a.b", "(x,\n y)[0]", "(x\n + y)"]),
    lambda below: st.one_of(
        st.tuples(below, st.sampled_from([*"+-*/%", "**", "//", "and", "or", "<"]), below).map(
            lambda p: f"({p[0]} {p[1]} {p[2]})"
        ),
        below.map(lambda e: f"(-{e})"),
        below.map(lambda e: f"(not {e})"),
        st.tuples(below, below, below).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})"),
        below.map(lambda e: f"(lambda: {e})"),
    ),
    max_leaves=6,
)


@given(expression=expressions, floor=st.integers(0, 16))
@example(expression="(x and x)", floor=4)
def test_parentheses_stand_where_the_place_needs_them(expression: str, floor: int) -> None:
    """In the place of each floor, an expression reads as the same tree as in parentheses."""
    places = ["{}", "lambda: {}", "0 if 0 else {}", "{} or 0", "{} and 0", "not {}", "0 < {}"]
    places += ["{} | 0", "{} ^ 0", "{} & 0", "{} << 0", "{} + 0", "{} * 0", "-{}", "0 ** {}"]
    place = [*places, "{} ** 0", "{}.c"][floor]
    node = placed(cst.parse_expression(expression), {6: 7, 14: 13}.get(floor, floor))
    bare = place.format(code(node))
    wanted = place.format(f"({expression})")
    assert tree_of(bare) == tree_of(wanted)


class Flat(ast.NodeTransformer):
    """Makes `(a and b) and c` what `a and b and c` is: one expression that parses as two trees."""

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.BoolOp:
        self.generic_visit(node)
        first = node.values[0]
        if isinstance(first, ast.BoolOp) and type(first.op) is type(node.op):
            node.values[:1] = first.values
        return node


def tree_of(expression: str) -> str:
    return ast.dump(Flat().visit(ast.parse(expression, mode="eval")))
