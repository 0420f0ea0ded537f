"""The Python that a task allows, and functions that are read as formulas."""

from __future__ import annotations

import ast

import pytest

from evolver.errors import CandidateOutputError
from evolver.scoring import formulas, sources

LANGUAGE = sources.Language(
    reason="write it yourself",
    modules=("numpy", "math"),
    attributes=("array", "pi", "linalg"),
    forbidden={"open": "there are no files", "eval": ""},
    methods=("__init__",),
    syntax={ast.MatMult: "@"},
    submodules=("numpy.linalg",),
    numbers=3,
    text=4,
)


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nfrom math import pi\nx = np.array([1, pi])\n",
        "import numpy.linalg\nx = numpy.linalg.array\n",
        '"""A long docstring."""\nx = "four"\nclass A:\n    def __init__(self):\n        pass\n',
    ],
)
def test_what_a_language_has_is_allowed(source: str) -> None:
    LANGUAGE.check({"a.py": source.encode(), "notes.txt": b"import os"})


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import os", "importing os is not allowed: write it yourself"),
        ("from . import a", "importing . is not"),
        ("import numpy.fft", "fft is not allowed.*only array, linalg, pi"),
        ("import numpy\nx = numpy.sum", "sum is not allowed.*only array, linalg, pi"),
        ("import numpy\nx = numpy", "numpy as a value"),
        ("import numpy\nnumpy.array = 1", "writing to the attribute array of numpy"),
        ("open('x')", "open is not allowed: there are no files"),
        ("eval('x')", "eval is not allowed: write it yourself"),
        ("x = __file__", "__file__ is not"),
        ("x = a @ b", "@ is not"),
        ("x = [1, 2, 3, 4]", "a program of 4 numbers is not allowed.*may have 3"),
        ("x = 'fives'", "a text of 5 characters is not allowed.*may have 4"),
        ("match x:\n    case A(b=1):\n        pass", "a class pattern"),
        ("x = (", "not valid Python"),
        ("import numpy\nx = numpy" + ".array" * 1500, "nested too deeply"),
    ],
)
def test_what_a_language_has_not_is_refused(source: str, reason: str) -> None:
    with pytest.raises(CandidateOutputError, match=reason):
        LANGUAGE.check({"a.py": source.encode()})


def test_a_formula_beside_other_code_is_read_up_to_its_return() -> None:
    grammar = formulas.Grammar({"math.exp": 1}, {"math.pi": 3.0}, is_alone=False)
    source = (
        "import math\n\ndef f(x):\n    y = -0.5 * x\n    return math.exp(y) + math.pi\n    y = g\n"
    )
    formula = grammar.read({"f.py": source.encode()}, "f", 1)
    ((name, value),) = formula.assignments
    assert (formula.arguments, name) == (("x",), "y")
    number, argument = value.operands
    assert (number.kind, number.value, number.literal) == ("number", -0.5, 0)
    assert (argument.kind, argument.name) == ("name", "x")
    called, constant = formula.result.operands
    assert (formula.result.kind, called.kind) == ("+", "math.exp")
    assert (constant.kind, constant.value) == ("math.pi", 3.0)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import math\ndef f(x):\n    return x\n", "without imports"),
        ("def f(x):\n    return x\n    return x\n", r"line 2 \(return x\): every statement"),
        ("def f(x):\n    return sin(x)\n", r"line 2 .*: sin\(x\) is not allowed.*exp/1"),
        ("def f(x):\n    return 1e999\n", "every number must be finite"),
        ("def f(x):\n    exp = x\n    return x\n", "exp may not be assigned to"),
        ("def f(x):\n    return y\n", "y is used before it is assigned"),
        ("def f(x):\n    return " + "-" * 60 + "x\n", "too long"),
    ],
)
def test_a_formula_says_what_is_wrong(source: str, reason: str) -> None:
    grammar = formulas.Grammar({"exp": 1}, nodes=50)
    with pytest.raises(CandidateOutputError, match=reason):
        grammar.read({"f.py": source.encode()}, "f", 1)
