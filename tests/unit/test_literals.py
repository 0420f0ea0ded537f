"""Float literals: found where they stand, and written back so that they are found again."""

from __future__ import annotations

import ast
import math
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolver.programs.literals import find, substitute

BOM = b"\xef\xbb\xbf"

finite = st.floats(allow_nan=False, allow_infinity=False)
# Every surrounding that decides how a number beside it is read.
expressions = st.recursive(
    st.one_of(
        finite.map(lambda value: repr(abs(value))),
        st.sampled_from(["-0.5", "- 0.5", ".5", "1.", "1_0.5", "1e3", "-0.0", "2", "x", "'é'"]),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", " - ", "*", "**", " **", "/"]), inner).map(
            lambda parts: f"{parts[0]}{parts[1]}{parts[2]}"
        ),
        inner.map(lambda e: f"({e})"),
        inner.map(lambda e: f"-{e}"),
        inner.map(lambda e: f"-({e})"),
        inner.map(lambda e: f"({e}\n  )"),
        inner.map(lambda e: f"({e} # 0.5\n **2)"),
        inner.map(lambda e: f"({e}).real"),
        inner.map(lambda e: f"{e} .real"),
        inner.map(lambda e: f"f(not{' ' if e[0].isalnum() else ''}{e}, *[{e}], **{e})"),
        inner.map(lambda e: f"(lambda:{e})"),
        inner.map(lambda e: f"[{e}][{e}:{e}]"),
        inner.map(lambda e: f"({e})if({e})else{e}" if e[0] in "-." else f"({e})if({e})else {e}"),
    ),
    max_leaves=8,
)
heads = st.sampled_from(["", "# é 0.5\n", "def g():\n\treturn-0.5\n", "x = 'é'; y = 0.5\n", "\f"])
newlines = st.sampled_from(["\n", "\r\n", "\r"])


def gaps(files):
    """What stands between the literals, without what may be added beside a number."""
    source, literals = files["p.py"], find(files)
    edges = [0, *(e for literal in literals for e in (literal.start, literal.end)), len(source)]
    return [source[a:b].strip(b" ()+") for a, b in zip(edges[::2], edges[1::2], strict=True)]


def bits(values):
    return struct.pack(f"{len(values)}d", *values)


@given(st.sampled_from([b"", BOM]), heads, st.lists(expressions, max_size=4), newlines, st.data())
def test_written_literals_are_read_back_and_nothing_else_changes(bom, head, lines, newline, data):
    text = head + "".join(f"z = {line}\n" for line in lines)
    files = {"p.py": bom + text.replace("\n", newline).encode()}
    literals = find(files)
    values = data.draw(st.lists(finite, min_size=len(literals), max_size=len(literals)))
    written = substitute(files, values)
    assert bits([literal.value for literal in find(written)]) == bits(values)
    assert gaps(written) == gaps(files)
    again = substitute(written, [literal.value for literal in literals])
    assert bits([literal.value for literal in find(again)]) == bits([x.value for x in literals])
    assert bom == b"" or written["p.py"].startswith(BOM)


@given(st.lists(expressions, min_size=1, max_size=4))
def test_what_is_found_is_what_the_offsets_say(lines):
    files = {"p.py": "".join(f"z = {line}\n" for line in lines).encode()}
    for literal in find(files):
        text = files["p.py"][literal.start : literal.end]
        assert ast.literal_eval(text.decode()) == literal.value


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BOM + b"x = 1.5\n", BOM + b"x = 0.25\n"),
        (b"def f():\n    return-0.5\n", b"def f():\n    return 0.25\n"),
        (b"def f():\n    return.5\n", b"def f():\n    return 0.25\n"),
        (b"y = 1 if x else-0.5\n", b"y = 1 if x else 0.25\n"),
        (b"y = -(0.5)if x else 1\n", b"y = 0.25 if x else 1\n"),
        (b"y = -(-0.5)\n", b"y = -(+0.25)\n"),
        (b"y = x - 0.5\n", b"y = x - 0.25\n"),
        ("y = 'é', 0.5\n".encode(), "y = 'é', 0.25\n".encode()),
    ],
)
def test_a_number_does_not_run_into_what_stands_before_it(before, after):
    assert substitute({"p.py": before}, [0.25]) == {"p.py": after}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"y = x - 0.5\n", b"y = x - (-0.25)\n"),
        (b"y = 0.5 ** 2\n", b"y = (-0.25) ** 2\n"),
        (b"y = (0.5 # why\n** 2)\n", b"y = ((-0.25) # why\n** 2)\n"),
        (b"y = 2 ** 0.5\n", b"y = 2 ** -0.25\n"),
        (b"y = 0.5.real\n", b"y = (-0.25).real\n"),
        (b"def f():\n    return.5\n", b"def f():\n    return-0.25\n"),
    ],
)
def test_a_minus_sign_stays_the_literals_own(before, after):
    assert substitute({"p.py": before}, [-0.25]) == {"p.py": after}


def test_minus_zero_keeps_its_sign():
    (literal,) = find(substitute({"p.py": b"y = 0.5 ** 3\n"}, [-0.0]))
    assert math.copysign(1, literal.value) == -1


@pytest.mark.parametrize(
    "source",
    [
        "# coding: latin-1\nx = 'é', 1.5\n".encode("latin-1"),
        "# coding: utf-16\nx = 1.5\n".encode("utf-16"),
        b"# coding: no-such-thing\nx = 1.5\n",
        b"x = '\xff', 1.5\n",
        b"x = 1.5\0\n",
        b"x = (1.5\n",
        b"x = " + b"-" * 5000 + b"1.5\n",
        b"x = " + b"not " * 10_000 + b"1.5\n",
        b"x = " + b"(" * 500 + b"1.5" + b")" * 500 + b"\n",
    ],
)
def test_what_cannot_be_read_has_no_literals_and_stays_as_it_is(source):
    files = {"p.py": source, "q.py": b"y = 2.5\n"}
    assert [literal.path for literal in find(files)] == ["q.py"]
    assert substitute(files, [3.5]) == {"p.py": source, "q.py": b"y = 3.5\n"}


def test_a_long_sum_is_no_matter():
    """As deep as it is long, so that a recursive walk fails at 1500 terms; it did."""
    terms = 2000
    files = {"p.py": b"x = " + b" + ".join([b"1.0"] * terms) + b"\n"}
    assert len(find(files)) in (0, terms)  # none where this Python cannot parse it


def test_only_the_regions_of_python_files_count():
    files = {
        "a.py": b"x = 1.5\n# EVOLVE-BLOCK-START\ny = -2.5\n# EVOLVE-BLOCK-END\nz = 3.5\n",
        "b.py": b"x = 4.5\n",
        "c.txt": b"5.5\n",
    }
    assert [(literal.path, literal.line, literal.value) for literal in find(files)] == [
        ("a.py", 3, -2.5)
    ]


def test_integers_f_strings_and_patterns_are_structure():
    source = b"match x:\n    case 1.5:\n        y = f'{2.5}', 3, 1e999, 4j, 4.5\n"
    assert [literal.value for literal in find({"p.py": source})] == [4.5]


@pytest.mark.parametrize("values", [[], [1.0, 2.0], [math.nan], [math.inf]])
def test_values_that_do_not_fit_are_refused(values):
    with pytest.raises(ValueError, match=re.compile("literal")):
        substitute({"p.py": b"x = 1.5\n"}, values)
