"""Matrix kernels: that the score moves with the speed, and what is refused."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fake_candidate import InProcessCandidate

from evolver.bundled import bundled
from evolver.errors import CandidateOutputError
from evolver.evaluation.evaluator import EvaluatorSource
from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.tasks.plugins import load_module
from evolver.types import Program

SHAPES = ((48, 40, 56), (31, 33, 29))
GUEST = bundled("evaluators") / "matrix_kernel" / "guest.py"
NAIVE = """
import numpy as np
def multiply(a, b):
    c = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            c[i] += a[i, k] * b[k]
    return c
"""
WRONG = {
    "a type of less": ("c.astype(np.float32)", "an array of float64"),
    "digits that are missing": ("c.astype(np.float32).astype(np.float64)", "off by"),
    "an entry that is missing": ("c * (np.arange(c.size).reshape(c.shape) != 7)", "off by"),
    "no product": ("0 * c", "off by"),
    "another shape": ("c.T", "the shape"),
    "no number": ("c * np.nan", "finite"),
    "a list": ("[[float(x) for x in row] for row in c]", "an array of float64"),
}
LIBRARY = [
    "import numpy as np\ndef multiply(a, b):\n    return a @ b\n",
    "import numpy as np\ndef multiply(a, b):\n    return np.dot(a, b)\n",
    "import numpy as np\ndef multiply(a, b):\n    return getattr(np, 'd' + 'ot')(a, b)\n",
    "import numpy as np\ndef multiply(a, b):\n    return np.asmatrix(a) * np.asmatrix(b)\n",
    "import numpy as np\ndef multiply(a, b):\n    return np.bmat([[a]]) * np.bmat([[b]])\n",
    "import numpy as np\ndef multiply(a, b):\n    return np.ma.innerproduct(a, b.T)\n",
    "import numpy as np\nmatch np:\n    case object(matmul=multiply):\n        pass\n",
    "from numpy import matmul as multiply\n",
    "from numpy.linalg import multi_dot\n",
    "from numpy import *\n",
    "import ctypes\n",
    "import numpy.linalg\n",
    "def multiply(a, b):\n    return a.__matmul__(b)\n",
    "def multiply(a, b:\n",
    "def multiply(a, b):\n    a @= b\n    return a\n",
]
#: As somebody would write it by hand: four rows at once, the innermost loop along rows.
BY_HAND = """
void multiply(int m, int k, int n, const double *restrict a, const double *restrict b,
              double *restrict c) {
    for (int i = 0; i < m * n; i++) c[i] = 0;
    int i = 0;
    for (; i + 4 <= m; i += 4)
        for (int l = 0; l < k; l++)
            for (int j = 0; j < n; j++)
                for (int r = 0; r < 4; r++)
                    c[(i + r) * n + j] += a[(i + r) * k + l] * b[l * n + j];
    for (; i < m; i++)
        for (int l = 0; l < k; l++)
            for (int j = 0; j < n; j++) c[i * n + j] += a[i * k + l] * b[l * n + j];
}
"""


@cache
def module() -> Any:
    return load_module(bundled("evaluators") / "matrix_kernel")


def judge(source: str, **settings: Any) -> Any:
    settings = {"shapes": SHAPES, "held_out": (), "repeats": 2, **settings}
    return module().Evaluator(**settings).evaluate(InProcessCandidate(source, guest=GUEST))


def test_a_product_is_timed_against_the_library() -> None:
    result = judge(NAIVE, held_out=((20, 30, 10),))
    assert 0 < result.metrics["against_blas"] < 0.3
    assert result.metrics["gflops"] > 0
    assert set(result.private) == {"held_out_against_blas", "held_out_gflops"}
    assert "48 x 40 by 40 x 56" in result.feedback


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_product_is_refused(what: str) -> None:
    expression, reason = WRONG[what]
    with pytest.raises(CandidateOutputError, match=reason):
        judge(NAIVE.replace("return c", f"return {expression}"))


def test_half_precision_is_no_single_precision() -> None:
    assert judge(NAIVE, dtype="float32").metrics["gflops"] > 0
    coarse = NAIVE.replace("return c", "return c.astype(np.float16).astype(a.dtype)")
    with pytest.raises(CandidateOutputError, match="off by"):
        judge(coarse.replace("multiply(a, b):", "multiply(a, b):\n    a = a / abs(a).max()"),
              dtype="float32")  # fmt: skip


@pytest.mark.parametrize("source", LIBRARY)
def test_the_library_is_not_called(source: str) -> None:
    with pytest.raises(CandidateOutputError, match=r"is not allowed|not valid Python"):
        module().LANGUAGE.check({"multiply.py": source.encode()})


def of_example(name: str, source: str | None = None, **settings: Any) -> Any:
    """Judge an example's program, or another one, in a sandbox."""
    (path,) = (p for p in (bundled("examples") / name).iterdir() if p.stem == "multiply")
    content = path.read_bytes() if source is None else source.encode()
    settings = {"repeats": 3, "shapes": [[128, 128, 128]], "held_out": [], **settings}
    evaluator = EvaluatorSource("matrix_kernel", Path()).load(settings)
    preload = ("numpy", "numba") if b"numba" in content else ("numpy",)
    sandbox = LocalSandbox(
        SandboxSettings(preload=preload, memory=2048), guest={"guest.py": GUEST.read_bytes()}
    )
    try:
        with sandbox.open(Program(1, {path.name: content}), seed=1, timeout=60) as candidate:
            return evaluator.evaluate(candidate)
    finally:
        sandbox.close()


def test_a_product_that_was_right_before_is_refused() -> None:
    remembering = """
known = {}
def remember(a, b):
    return known.setdefault(a.shape, multiply(a, b))
"""
    with pytest.raises(CandidateOutputError, match="off by"):
        of_example("matmul-numba", NAIVE + remembering, function="remember", shapes=SHAPES)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed here")
def test_a_better_program_in_c_scores_higher() -> None:
    seed = of_example("matmul-c", language="c")
    better = of_example("matmul-c", BY_HAND, language="c")
    assert better.metrics["gflops"] > 1.5 * seed.metrics["gflops"]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed here")
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("void multiply(", "gcc does not compile"),
        ("void multiply(int m, int k, int n) {}", "finite"),  # leaves c as it was
        (
            '#include <dlfcn.h>\nvoid multiply(int m, int k, int n) { dlopen("a", m); }',
            "calls dlopen",
        ),
        ("#define OPEN(a) dlo##a\n", "##"),
        ('void multiply(void) { __asm__("syscall"); }', "assembler"),
        (
            "__attribute__((constructor)) void f(void) {} void multiply(void) {}",
            "constructors and initialisers",
        ),
    ],
)
def test_what_is_no_kernel_in_c_is_refused(source: str, reason: str) -> None:
    with pytest.raises(CandidateOutputError, match=reason):
        of_example("matmul-c", source, language="c")


@pytest.mark.slow
def test_a_better_program_by_numba_scores_higher() -> None:
    pytest.importorskip("numba", reason="numba is not installed here")
    seed = of_example("matmul-numba")
    text = (bundled("examples") / "matmul-numba" / "multiply.py").read_text()
    first, second = "for j in range(b.shape[1])", "for k in range(a.shape[1])"
    assert first in text
    better = of_example(
        "matmul-numba",
        text.replace(first, "?").replace(second, first).replace("?", second),
    )
    assert better.metrics["gflops"] > 1.5 * seed.metrics["gflops"]
