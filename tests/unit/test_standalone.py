"""What a function uses of its module goes into its program's file, or an error names it."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from types import ModuleType

import pytest

from evolver.errors import UsageError
from evolver.programs.standalone import source_of

_number = itertools.count()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Import a text as a module of the user's own."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(text: str, name: str = "") -> ModuleType:
        name = name or f"own_{next(_number)}"
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        made = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, made)
        spec.loader.exec_module(made)
        return made

    return make


def run(source: str, name: str = "f") -> object:
    """Execute a program and return one of its functions."""
    space: dict[str, object] = {"__name__": "program"}
    exec(compile(source, "program.py", "exec", dont_inherit=True), space)
    return space[name]


NEEDS = {
    "a module": "import math\ndef f(x): return math.cos(x)\n",
    "a module under another name": "import json as j\ndef f(x): return j.dumps(x)\n",
    "a module in a package": "import os.path as p\ndef f(x): return p.basename(str(x))\n",
    "an installed package": "import numpy as np\ndef f(x): return float(np.sqrt(x))\n",
    "a function of the library": "from math import cos as c\ndef f(x): return c(x)\n",
    "an object of a package": "from numpy import sqrt\ndef f(x): return float(sqrt(x))\n",
    "a constant of the library": "from string import digits\ndef f(x): return digits[x]\n",
    "a number": "K = 2.5\ndef f(x): return K * x\n",
    "a computed number": "K = sum(range(5)) / 3\ndef f(x): return K * x\n",
    "infinity": "K = float('inf')\ndef f(x): return min(K, x)\n",
    "nested values": "K = {'a': [1, (2,), {3}, b'4', None, True]}\ndef f(x): return [x, K]\n",
    "empty sets": "K = set(), frozenset(), frozenset([1])\ndef f(x): return K\n",
    "a type": "K = {'a': 1}\nkind = float\ndef f(x): return kind(x), K\n",
    "a helper": "def g(x): return x + 1\ndef f(x): return g(x)\n",
    "a helper's helper": "K = 3\ndef h(x): return K * x\ndef g(x): return h(x)\n"
    "def f(x): return g(x)\n",
    "each other": "def g(x): return f(x - 1) if x else 1\ndef f(x): return g(x - 1) if x else 2\n",
    "itself": "def f(x): return x * f(x - 1) if x else 1\n",
    "another name": "def g(x): return x + 1\nh = g\ndef f(x): return h(x)\n",
    "a lambda": "g = lambda x: x + 1\ndef f(x): return g(x)\n",
    "a default": "K = 3\ndef f(x, k=K): return k * x\n",
    "a decorator": "from functools import lru_cache\n@lru_cache\ndef f(x): return x + 1\n",
    "a decorated helper": "from functools import lru_cache\n@lru_cache(9)\ndef g(x): return x + 1\n"
    "def f(x): return g(x)\n",
    "a decorator of its own": "import functools\ndef d(g):\n    @functools.wraps(g)\n"
    "    def h(x):\n        return g(x) + 1\n    return h\n@d\ndef f(x): return x\n",
    "a class": "K = 3\nclass C:\n    k = K\n    def go(self, x): return self.k * x\n"
    "def f(x): return C().go(x)\n",
    "a base class": "class A:\n    def go(self, x): return x\nclass C(A):\n    pass\n"
    "def f(x): return C().go(x)\n",
    "a comprehension": "K = 3\ndef f(x): return [K * y for y in range(x)]\n",
    "a nested function": "K = 3\ndef f(x):\n    def g(y):\n        return K * y\n    return g(x)\n",
    "annotations": "from collections.abc import Sequence\ndef f(x: Sequence[int]): return x\n",
    "postponed annotations": "from __future__ import annotations\n"
    "def f(x: NoSuchThing) -> Nothing: return x\n",
    "a global that it sets": "N = 0\ndef f(x):\n    global N\n    N += x\n    return N\n",
}  # fmt: skip


@pytest.mark.parametrize("text", NEEDS.values(), ids=NEEDS)
def test_what_a_function_needs_goes_along(module, text):
    function = module(text).f
    source = source_of(function)
    assert run(source)(4) == function(4)


def test_what_it_does_not_need_stays(module):
    text = "import os\nK = 3\ndef g(x): return K\ndef f(x):\n    K = 4\n    return K * x\n"
    assert source_of(module(text).f) == "def f(x):\n    K = 4\n    return K * x\n"


def test_variables_of_the_function_around_it_go_along():
    factor, names = 3, ["a"]

    def f(x):
        return [factor * x, names]

    assert run(source_of(f))(2) == [6, ["a"]]


def test_functions_of_another_module_of_ones_own_go_along(module):
    module("K = 5\ndef helped(x): return K * x\n", "own_helpers")
    function = module("from own_helpers import helped\ndef f(x): return helped(x)\n").f
    assert run(source_of(function))(2) == 10


REFUSED = {
    "a module of one's own": (
        "import own_module\ndef f(x): return own_module.K\n",
        "own_module is a module of your own.*'from own_module import ...'",
    ),
    "a file": ("import os\nK = open(os.devnull)\nK.close()\ndef f(x): return K\n", "K is a _io."),
    "an array": ("import numpy\nK = numpy.ones(3)\ndef f(x): return K\n", "K is a numpy.ndarray"),
    "an object": ("class C: pass\nK = [C()]\ndef f(x): return K\n", "K is a own_[0-9]+.C"),
    "much": ("K = list(range(99999))\ndef f(x): return K\n", "K has [0-9]+ characters"),
    "two things": (
        "K = print\nK.__self__\nL = open('/dev/null')\nM = open('/dev/null')\n"
        "L.close()\nM.close()\ndef f(x): return L, M\n",
        "L is a _io.*; M is a _io",
    ),
    "two things of a name": (
        "from own_other import g\nK = 1\ndef f(x): return g(x) + K\n",
        "K stands for different things",
    ),
    "evolver": ("import evolver\ndef f(x): return evolver.UsageError\n", "evolver is a module of"),
}


@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_travel_is_named(module, text, said):
    module("K = 1\n", "own_module")
    module("K = 2\ndef g(x): return K * x\n", "own_other")
    with pytest.raises(
        UsageError, match=f"program f uses what its file cannot hold.*{said}"
    ) as caught:
        source_of(module(text).f)
    assert "\n" not in str(caught.value)


def test_a_part_of_a_line_is_no_program():
    with pytest.raises(UsageError, match="is a part of a line"):
        source_of(list(map(lambda x: lambda y: x + y, [1]))[0])  # noqa: RUF015
    with pytest.raises(UsageError, match="cannot be found"):
        source_of(len)
