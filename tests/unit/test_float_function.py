"""Float approximations: what is exact, what is measured, what is refused, what does not pay."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st

from evolver.bundled import bundled
from evolver.errors import CandidateCrashed, CandidateOutputError, UsageError
from evolver.evaluation import tuning
from evolver.evaluation.evaluator import EvaluatorSource, guest_files
from evolver.sandboxes import LocalSandbox, SandboxSettings
from evolver.scoring.straightline import StraightLine, parse
from evolver.tasks.plugins import load_module
from evolver.tasks.task import load_task
from evolver.types import Candidate, Program, Result, Tune

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed here")

FOLDER = bundled("evaluators") / "float_function"
module = load_module(FOLDER)
functions, trusted, writing = module.functions, module.trusted, module.writing
HAS_GPU = Path("/dev/nvidia0").exists()
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not HAS_GPU, reason="no GPU here"))]
EXP2 = functions.FUNCTIONS["exp2"]
FLAGS = module.Evaluator().flags


@contextmanager
def opened(source: str, **settings: Any) -> Iterator[tuple[Any, Candidate]]:
    """Open a program in a sandbox; yield the evaluator and the candidate."""
    evaluator = EvaluatorSource("float_function", FOLDER).load(settings)
    name = "approximate.c" if settings.get("language") == "c" else "approximate.py"
    on_gpu: dict[str, Any] = {
        "preload": ("torch", "triton"), "memory": 16384, "processes": 256, "gpus": (0,)
    }  # fmt: skip
    terms = SandboxSettings(**(on_gpu if settings.get("device") == "cuda" else {}))
    sandbox = LocalSandbox(terms, guest=guest_files(evaluator))
    try:
        with sandbox.open(Program(1, {name: source.encode()}), seed=1, timeout=120) as candidate:
            yield evaluator, candidate
    finally:
        sandbox.close()


def judge(source: str, **settings: Any) -> Result:
    with opened(source, **{"repeats": 3, **settings}) as (evaluator, candidate):
        result: Result = evaluator.evaluate(candidate)
        return result


def judge_c(source: str, **settings: Any) -> Result:
    return judge(source, language="c", **settings)


def python(body: str) -> str:
    *statements, value = [line.strip() for line in body.strip().splitlines()]
    lines = [*statements, f"return {value}"]
    return "def approximate(x):\n" + "".join(f"    {line}\n" for line in lines)


@cache
def fitted(degree: int) -> str:
    """The polynomial for 2**x of some degree, its literals fitted, as a program."""
    body = ["p = 0.1", *["p = p * x + 0.1"] * degree, "p"]
    source = python("\n".join(body))
    with opened(source) as (evaluator, candidate):
        fit = tuning.fit(evaluator.residuals, candidate, Tune(), 0)
    assert fit is not None
    assert [float(np.float32(value)) for value in fit.parameters] == list(fit.parameters)
    first, *rest = fit.parameters
    return python("\n".join([f"p = {first!r}", *(f"p = p * x + {one!r}" for one in rest), "p"]))


def in_c(degree: int, kind: str = "float") -> str:
    """The same in C."""
    numbers = [line.split()[-1] for line in fitted(degree).splitlines()[1:-1]]
    suffix = "f" if kind == "float" else ""
    coefficients = ", ".join(f"{float(number)!r}{suffix}" for number in numbers)
    return f"""
static const {kind} c[] = {{{coefficients}}};
float approximate(float x) {{
    {kind} p = 0;
    for (int k = 0; k <= {degree}; k++) p = p * x + c[k];
    return p;
}}
"""


# --- what is exact --------------------------------------------------------------------------------

EXACT = {
    "exp2": lambda x: mpmath.mpf(2) ** x,
    "exp": mpmath.exp,
    "log2": lambda x: mpmath.log(x, 2),
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "atan": mpmath.atan,
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
    "bessel_j0": lambda x: mpmath.besselj(0, x),
    "bessel_i_half": lambda x: mpmath.besseli(mpmath.mpf(1) / 2, x),
}


@pytest.mark.parametrize("name", functions.FUNCTIONS)
def test_what_is_exact_is_so_far_below_a_unit(name: str) -> None:
    of = functions.FUNCTIONS[name]
    own = trusted.yardstick(of)
    rng = np.random.default_rng(1)
    last = of.first + of.count - 1
    patterns = [of.first, of.first + 1, last - 1, last]
    patterns += rng.integers(of.first, last, 40).tolist()
    patterns += (of.binade_start + rng.integers(0, 2**23, 40)).tolist()
    for pattern in patterns:
        x = functions.float_of(pattern)
        (found,) = own.exact(pattern, 1).tolist()
        assert found == own.at(np.array([x]))[0]
        with mpmath.workdps(40):
            exact = EXACT[name](mpmath.mpf(x))
            exponent = max(math.frexp(float(exact))[1] - 1, -126)
            assert abs(mpmath.mpf(found) - exact) <= mpmath.ldexp(1e-6, exponent - 23), x


def test_the_interval_holds_the_binade() -> None:
    for of in functions.FUNCTIONS.values():
        assert of.first <= of.binade_start
        assert of.binade_start + 2**23 <= of.first + of.count


@examples(60)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9), st.sampled_from([0.5, 0.53, 0.999]))
def test_an_error_counts_the_floats_between(shifts: list[int], x: float) -> None:
    """In [1, 2) neighbours are 2**-23 apart, so a shift by one float is an error of one."""
    first = functions.bits(x)
    own = trusted.yardstick(EXP2)
    exact = own.exact(first, len(shifts))
    values = (exact.astype(np.float32).view(np.int32) + np.array(shifts, np.int32)).view(np.float32)
    error = own.error(first, values)
    expected = [
        abs(Fraction(float(value)) - Fraction(float(one))) * 2**23
        for value, one in zip(values, exact, strict=True)
    ]
    assert error.ulp == pytest.approx(float(max(expected)), abs=1e-12)
    assert error.where == first + expected.index(max(expected))
    assert error.nearest == sum(one <= Fraction(1, 2) for one in expected)


def test_the_worst_of_many_is_found_in_its_block() -> None:
    own = trusted.yardstick(EXP2)
    first = functions.bits(0.5)
    exact = own.exact(first, 20000)
    values = exact.astype(np.float32)
    values[17777] *= np.float32(1 + 1e-6)
    error = own.error(first, values, exact)
    assert error.where == first + 17777
    assert 6 < error.ulp < 12
    values[123] = np.nan
    assert not math.isfinite(own.error(first, values, exact).ulp)
    assert own.error(first, values, exact).where == first + 123


def test_denormal_results_are_measured_in_their_own_spacing() -> None:
    own = trusted.yardstick(functions.FUNCTIONS["sin"])
    values = np.array([1, 2, 5], np.uint32).view(np.float32)  # sin(x) = x; the last is 2 too many
    assert own.error(1, values).ulp == pytest.approx(2.0)


# --- what is compiled -----------------------------------------------------------------------------


def line_of(source: str) -> StraightLine:
    with opened(source) as (_, candidate):
        return parse(candidate.call("guest:trace", "approximate"))


def run(line: StraightLine, patterns: tuple[int, int]) -> np.ndarray:
    with trusted.in_harness(writing.in_c(line), FLAGS) as (values_at, _):
        found: np.ndarray = values_at(*patterns)
        return found


@pytest.mark.parametrize(
    "body",
    [
        "(x + 0.3) / (x - 7.1)",
        "-(x / 3.0) - 0.7",
        "1.0 / (x + 1.0 / (x - -2.5))",
        "y = x / 1.1\ny - (x - 1e-40) / -1e20",
    ],
)
def test_each_operation_is_one_of_floats(body: str) -> None:
    line = line_of(python(body))
    x = np.arange(functions.bits(0.7), functions.bits(0.7) + 1000, dtype=np.uint32)
    expected = line.run(x.view(np.float32), constant=np.float32)[-1]
    assert run(line, (int(x[0]), 1000)).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("body", "exact"),
    [
        ("x * 0.1 + 0.7", lambda x, a, b: a * x + b),
        ("x * 0.1 - 0.7", lambda x, a, b: a * x - b),
        ("0.7 - x * 0.1", lambda x, a, b: b - a * x),
    ],
)
def test_a_product_in_a_sum_is_rounded_once(body: str, exact: Any) -> None:
    a, b = (Fraction(float(np.float32(value))) for value in (0.1, 0.7))
    first = functions.bits(0.9)
    if "fma" not in flags_of_processor():
        pytest.skip("the processor has no fused multiply-add")
    for x, found in enumerate(run(line_of(python(body)), (first, 200)), first):
        wanted = np.float32(float(exact(Fraction(functions.float_of(x)), a, b)))
        assert found == wanted


def flags_of_processor() -> str:
    return Path("/proc/cpuinfo").read_text("utf-8")


def test_a_constant_that_is_no_float_is_refused() -> None:
    with pytest.raises(CandidateOutputError, match="too large for a float32"):
        judge(python("x * 1e39"))


# --- honest programs ------------------------------------------------------------------------------


def test_a_fitted_polynomial_is_below_one_ulp_and_faster_than_the_library() -> None:
    result = judge(fitted(6))
    assert result.metrics["operations"] == 12
    assert 0.5 < result.metrics["ulp"] < 1
    assert result.metrics["against_libm"] > 1
    assert result.metrics["ns"] > 0
    assert "nearest float" in result.feedback


def test_fewer_operations_are_not_timed_where_they_are_not_enough() -> None:
    result = judge(fitted(5))
    assert set(result.metrics) == {"ulp", "operations"}
    assert 1 < result.metrics["ulp"] < 2.5


def test_what_errs_in_exact_arithmetic_is_not_compiled() -> None:
    result = judge(fitted(4))
    assert 25 < result.metrics["ulp"] < 40
    assert "not compiled" in result.feedback


def test_an_infinity_at_the_end_of_the_interval_is_seen() -> None:
    # 1e-20 / x is nothing where the error is looked at first, and infinite at 0.
    with pytest.raises(CandidateOutputError, match=r"no finite value at x = 0\.0"):
        judge(fitted(7).replace("return p", "return p + 1e-20 / x"))


#: As somebody would write it by hand who fitted its constants: fewer terms, and floats.
BY_HAND = """
float approximate(float x)
{
    static const float c[] = {
        0.00461421767f, -1.44593359e-05f, 0.00442229351f, -0.00853188802f, 0.0154672274f,
        -0.0303638484f, 0.0617028959f, -0.132982865f, 0.319356591f,
    };
    float t = x - 1, u = x - 1.64378107f, p = 0;
    for (int k = 0; k < 9; k++)
        p = p * u + c[k];
    return p * (t - t * t) + t;
}
"""


@pytest.mark.slow
def test_a_better_program_in_c_scores_higher() -> None:
    seed = (bundled("examples") / "log2-float32-c" / "approximate.c").read_text()
    taylor, better = (judge_c(source, function="log2") for source in (seed, BY_HAND))
    assert taylor.metrics["ulp"] < 0.6  # in double precision
    assert 0.5 < better.metrics["ulp"] < 1
    assert better.metrics["against_vectorised"] > 1.5 * taylor.metrics["against_vectorised"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exp2-float32", "log2-float32", "log2-float32-c"])
def test_what_was_reached_is_below_one_ulp(name: str) -> None:
    """Of exp2 not every float is measured again, which takes some seconds."""
    ((path,), with_) = ((bundled("examples") / name / "best").iterdir(), settings_of(name))
    with opened(path.read_text(), **{**with_, "repeats": 2}) as (evaluator, candidate):
        measure = evaluator.evaluate if name.startswith("exp2") else evaluator.confirm
        assert 0.5 < measure(candidate).metrics["ulp"] < 1


def settings_of(name: str) -> Any:
    return load_task(bundled("examples") / name).settings.evaluator.with_


@pytest.mark.slow
def test_both_languages_are_measured_alike() -> None:
    assert judge(fitted(6)).metrics["ulp"] == judge_c(in_c(6)).metrics["ulp"]


@pytest.mark.slow
def test_the_seed_of_log2_reaches_one_ulp_to_both_ends() -> None:
    seed = (bundled("examples") / "log2-float32" / "approximate.py").read_text()
    with opened(seed, function="log2", repeats=2) as (evaluator, candidate):
        result = evaluator.confirm(candidate)
    assert result.metrics["ulp"] < 1
    assert result.metrics["against_vectorised"] > 0


# --- programs that cheat --------------------------------------------------------------------------

REFUSED = {
    "the library": (
        "#include <math.h>\nfloat approximate(float x) { return exp2f(x); }\n",
        "calls exp2f",
    ),
    "the library, vectorised": (
        '#include <math.h>\n#pragma GCC optimize("Ofast")\n'
        "float approximate(float x) { return exp2f(x); }\n",
        "calls .*exp2f",
    ),
    "code of the loader": (
        "extern void *dlsym(void *, const char *);\n"
        "float approximate(float x)\n"
        '{ return ((float (*)(float))dlsym(0, "exp2f"))(x); }\n',
        "calls dlsym",
    ),
    "a constructor": (
        "static float one;\n__attribute__((constructor)) static void set(void) { one = 1; }\n"
        "float approximate(float x) { return x + one; }\n",
        "constructors and initialisers",
    ),
    "a table": (
        "static float known[1 << 16];\n"
        "float approximate(float x) { float *y = known + (int)(x * 65535);\n"
        "    if (*y == 0) *y = x + 1; return *y; }\n",
        "4096 are allowed",
    ),
    "a harness of its own": (
        "uint32_t harness_checksum(uint32_t a, uint32_t b, uint32_t c, uint32_t d) { return 1; }\n"
        "float approximate(float x) { return x; }\n",
        "gcc does not compile.*redefinition",
    ),
    "a harness of its own, in assembler": (
        '__asm__(".globl harness_checksum\\nharness_checksum: ret");\n'
        "float approximate(float x) { return x; }\n",
        "'__asm__' in it",
    ),
    "a table among the code": (
        '__attribute__((section(".text"))) static const float known[1 << 16] = {1};\n'
        "float approximate(float x) { return known[(int)(x * 65535)]; }\n",
        "known is in a section that is not",
    ),
    "a table among what is not counted": (
        '__attribute__((section(".eh_frame"))) static const float known[1 << 16] = {1};\n'
        "float approximate(float x) { return known[(int)(x * 65535)]; }\n",
        "4096 are allowed",
    ),
    "a table in no section": (
        "__attribute__((common)) float known[1 << 16];\n"
        "float approximate(float x) { return known[(int)(x * 65535)]; }\n",
        "known is in a section that is not",
    ),
    "a table for the assembler": (
        '__asm__(".fill 1000000");\nfloat approximate(float x) { return x; }\n',
        "'__asm__' in it",
    ),
    "the kernel": (
        "float approximate(float x)\n"
        '{ long y = 39; asm volatile("syscall" : "+a"(y) : : "rcx", "r11", "memory");'
        " return x + y; }\n",
        "'asm' in it",
    ),
    "assembler, over two lines": (
        '__as\\\nm__(".fill 1000000");\nfloat approximate(float x) { return x; }\n',
        "'__asm__' in it",
    ),
    "assembler, put together": (
        "#define JOIN(a, b) a##b\n"
        'JOIN(__as, m__)(".fill 1000000");\nfloat approximate(float x) { return x; }\n',
        "'##' in it",
    ),
    "assembler, in the name of a section": (
        '__attribute__((section(".text\\n.fill 1000000\\n#"))) static int one = 1;\n'
        "float approximate(float x) { return x + one; }\n",
        "a string with other characters",
    ),
    "assembler, behind strings that are none": (
        'char *a = R"(")", b[] = "; __attribute__((section(";syscall")))", *c = R"(")";\n'
        "float approximate(float x) { return x; }\n",
        "a string with other characters",
    ),
    "nothing": ("float other(float x) { return x; }\n", "gcc does not compile"),
    "no C": ("float approximate(", "gcc does not compile"),
    "no number": ("float approximate(float x) { return x / (x - x); }\n", "no finite value"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_approximation_is_refused(what: str) -> None:
    source, reason = REFUSED[what]
    with pytest.raises(CandidateOutputError, match=f"(?s){reason}"):
        judge_c(source)


@pytest.mark.parametrize("names", [(), ("approximate.c", "other.c")])
def test_one_program_in_c_is_asked_for(names: tuple[str, ...]) -> None:
    evaluator = EvaluatorSource("float_function", FOLDER).load({"language": "c"})
    files = dict.fromkeys(("notes.txt", *names), b"float approximate(float x) { return x; }\n")
    with (
        closing(LocalSandbox(SandboxSettings(), guest=guest_files(evaluator))) as sandbox,
        sandbox.open(Program(1, files), seed=1, timeout=60) as candidate,
        pytest.raises(CandidateOutputError, match=f"one file that ends in .c, .* are {len(names)}"),
    ):
        evaluator.evaluate(candidate)


def test_includes_and_targets_are_no_assembler() -> None:
    """Nor are names in which the word is."""
    source = (
        '#include <immintrin.h>\n#pragma GCC optimize("O3,unroll-loops")\n'
        "/* It's plasma's. */\n"
        "float approximate(float x) { float plasma = x * x; return 0.4f * plasma + x; }\n"
    )
    assert judge_c(source).metrics["ulp"] > 1000


def test_lower_precision_is_not_timed() -> None:
    half = in_c(6).replace("return p;", "return (float)(_Float16)p;")
    result = judge_c(half)
    assert set(result.metrics) == {"ulp"}
    assert result.metrics["ulp"] > 1000


def test_what_is_careful_only_while_it_is_measured_is_found_out() -> None:
    careful_first = in_c(6).replace("return p;", "return calls++ < 9000000 ? p : x + 1;")
    with pytest.raises(CandidateOutputError, match="other values than those that were verified"):
        judge_c(f"static unsigned calls;\n{careful_first}")


#: J0 by its series in double precision, wrong at one float of [0.5, 1), outside the binade.
J0 = """
float approximate(float x)
{
    double s = -0.25 * x * x, term = 1, sum = 1;
    for (int k = 1; k < 12; k++) {
        term *= s / (k * k);
        sum += term;
    }
    return x == 0.6f ? 0 : sum;
}
"""


@pytest.mark.slow
def test_what_is_wrong_outside_the_binade_is_not_confirmed() -> None:
    with opened(J0, function="bessel_j0", language="c", repeats=2) as (evaluator, candidate):
        assert evaluator.evaluate(candidate).metrics["ulp"] < 0.6
    with opened(J0, function="bessel_j0", language="c", repeats=2) as (evaluator, candidate):
        result = evaluator.confirm(candidate)
    assert result.metrics["ulp"] > 1000
    assert "x = 0.6000000238418579" in result.feedback


@pytest.mark.slow
def test_remembering_what_was_computed_does_not_pay() -> None:
    remembering = in_c(6).replace("float p = 0;", "if (x == last) return known; float p = 0;")
    remembering = remembering.replace("return p;", "last = x; return known = p;")
    slow = judge_c(f"static float last, known = 1;\n{remembering}")
    assert slow.metrics["ulp"] < 1
    assert slow.metrics["against_vectorised"] < 0.5 * judge_c(in_c(6)).metrics["against_vectorised"]


FORGED = {
    "a library that answers at once": """
import ctypes
class Answer:
    argtypes = restype = None
    def __call__(self, *_): return 12345
class Library:
    harness_values = harness_checksum = harness_fold = Answer()
ctypes.CDLL = lambda _path: Library()
""",
    "answers of another type": """
import ctypes
class Answer:
    argtypes = restype = None
    def __call__(self, *_): return "12345"
class Library:
    harness_values = harness_checksum = harness_fold = Answer()
ctypes.CDLL = lambda _path: Library()
""",
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_checksum_is_found_out(how: str) -> None:
    with pytest.raises(CandidateOutputError, match="other values than those that were verified"):
        judge(FORGED[how] + fitted(6))


@pytest.mark.slow
def test_a_table_of_all_values_made_before_they_are_timed_does_not_pay() -> None:
    """It gives the right sums, from memory; to compute the values takes a tenth of that."""
    table = """
import ctypes
import numpy as np
load = ctypes.CDLL
class Library:
    def __init__(self, path):
        self.honest = load(path)
        self.table = np.empty(1 << 23, np.uint32)
        self.honest.harness_values(0x3f000000, 1 << 23, ctypes.c_void_p(self.table.ctypes.data))
        self.harness_values, self.harness_fold = self.honest.harness_values, lambda: None
    def harness_checksum(self, binade, start, stride, count):
        places = (np.arange(count, dtype=np.uint32) * np.uint32(stride) + np.uint32(start)) >> 9
        return int(self.table[places].sum(dtype=np.uint32))
class Method:
    argtypes = restype = None
    def __init__(self, call): self.call = call
    def __call__(self, *given): return self.call(*given)
def forged(path):
    made = Library(path)
    made.harness_checksum = Method(made.harness_checksum)
    made.harness_fold = Method(made.harness_fold)
    return made
ctypes.CDLL = forged
"""
    honest, remembered = judge(fitted(6)), judge(table + fitted(6))
    assert remembered.metrics["against_vectorised"] < 0.4 * honest.metrics["against_vectorised"]


@pytest.mark.slow
def test_changed_clocks_change_nothing() -> None:
    clocks = """
import time
for _name in ("perf_counter", "monotonic", "process_time", "time"):
    setattr(time, _name, lambda: 0.0)
"""
    honest, forged = judge(fitted(6)), judge(clocks + fitted(6))
    assert 0.25 < forged.metrics["ns"] / honest.metrics["ns"] < 4


@pytest.mark.slow
def test_work_beside_the_calls_is_counted() -> None:
    """A thread that works for the whole evaluation, begun at the import, makes it slower."""
    busy = """
import threading
def work():
    while True:
        sum(range(10000))
threading.Thread(target=work, daemon=True).start()
"""
    honest, other = judge(fitted(6)), judge(busy + fitted(6))
    assert other.metrics["against_vectorised"] < 0.4 * honest.metrics["against_vectorised"]


def test_a_program_in_python_is_a_straight_line() -> None:
    with pytest.raises(CandidateCrashed, match="a comparison"):
        judge(python("x if x > 0.5 else 1.0"))
    with pytest.raises(CandidateOutputError, match="differs"):
        judge(python("x + 1.0 if isinstance(x, float) else x + 0.9"))


# --- in registers, as on a GPU -------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_values_in_registers_are_timed_and_verified(device: str) -> None:
    result = judge(fitted(6), rounds=16, device=device)
    assert result.metrics["ulp"] < 1
    assert set(result.metrics) == {"ulp", "operations", "ns", "against_library"}
    assert 0 < result.metrics["ns"] < 10


@pytest.mark.parametrize(
    "written",
    [
        "out.fill(5.0)",
        "out[:] = x",
        "honest(x, secret, out); out[-1] += 1",
        "honest(x, 0 * secret + 0.75, out)",  # what could be known before
    ],
)
def test_another_sum_in_registers_is_found_out(written: str) -> None:
    forging = f"""
import compiled
honest = compiled.fold
def fold(x, secret, out):
    {written}
compiled.fold = fold
"""
    with pytest.raises(CandidateOutputError, match="other values than those that were verified"):
        judge(forging + fitted(6), rounds=4)


INTERPRETED = """
import sys
sys.path.insert(0, sys.argv[1])
import graphics, numpy as np, torch
graphics.prepare(0x3f000000, 3, "cpu")
x, secret = torch.rand(2048) / 2 + 0.5, torch.rand(1) / 2 + 0.5
out = torch.full((2048,), float("nan"))
graphics.fold(x, secret, out)
places = x.numpy().view(np.uint32) & 0x7FFFFF
stride = 2 * (secret.numpy().view(np.uint32) & 0x7FFFFF) + 1
for i in range(0, 2048, 500):
    drawn = (places[i] + np.arange(3, dtype=np.uint32) * stride) & 0x7FFFFF
    firsts = [graphics.values(0x3f000000 + int(one), 1) for one in drawn]
    found = [np.frombuffer(one, np.uint32)[0] for one in firsts]
    print(int(out[i]), sum(map(int, found)) & 0xFFFFFF)
values = np.frombuffer(graphics.values(0x3f000000, 4097), np.float32)
exact = np.exp2(np.arange(0x3f000000, 0x3f001001, dtype=np.uint32).view(np.float32).astype(float))
print(np.abs(values - exact).max() * 2.0**23)
"""


@pytest.mark.slow
def test_the_kernel_computes_the_line_in_tritons_interpreter(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed here")
    pytest.importorskip("triton", reason="triton is not installed here")
    text = writing.in_triton(writing.line_in_triton(line_of(fitted(6))))
    (tmp_path / "kernel.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED, str(FOLDER)],
        env={"TRITON_INTERPRET": "1", "PYTHONPATH": ":".join(sys.path), "HOME": "/tmp"},
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
    )
    *sums, error = done.stdout.splitlines()
    assert len(sums) == 5
    assert all(one.split()[0] == one.split()[1] for one in sums)
    assert float(error) < 1.5  # products and sums are two roundings there


def test_a_gpu_that_is_missing_is_named() -> None:
    with pytest.raises(UsageError, match="its sandbox has none"):
        module.Evaluator(device="cuda", rounds=64).check_host(())
    with pytest.raises(UsageError, match="rounds = 64"):
        module.Evaluator(device="cuda")
    with pytest.raises(UsageError, match="straight lines"):
        module.Evaluator(device="cuda", rounds=64, language="c")


# --- settings -------------------------------------------------------------------------------------


def test_an_unknown_function_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'erf'"):
        module.Evaluator(function="erff")


def test_a_library_function_keeps_its_least_time() -> None:
    calls: list[int] = []
    reference = trusted.Reference(lambda *given: calls.append(given[-1]) or 0, 4)
    reference(0, 1, 3, 4000)
    reference(0, 1, 3, 4000)
    assert calls == [1000, 1000]
    assert 0 < reference.least < 1e-3
