"""Sorting in C: the comparisons are counted here, and only what is sorted is scored."""

from __future__ import annotations

import math
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from random import Random
from typing import Any

import pytest

from evolver.bundled import bundled
from evolver.errors import CandidateCrashed, CandidateError, CandidateOutputError, UsageError
from evolver.sandboxes.local import LocalSandbox
from evolver.sandboxes.settings import SandboxSettings
from evolver.tasks.plugins import load_module
from evolver.types import Output, Program, Result

FOLDER = bundled("evaluators") / "sorting"
MODULE = load_module(FOLDER)
EXAMPLE = bundled("examples") / "sorting-c"
SMALL = {"items": 12, "sorts": 3}

INSERTION = """
typedef int (*Before)(int, int);
static int position[4096], used; /* each sort has its own */
void sort(int n, int *order, Before before) {
    used = 0;
    for (int i = 0; i < n; i++) {
        int low = 0, high = used++;
        while (low < high) {
            int middle = (low + high) / 2;
            if (before(i, position[middle])) high = middle; else low = middle + 1;
        }
        for (int j = i; j > low; j--) position[j] = position[j - 1];
        position[low] = i;
    }
    for (int i = 0; i < n; i++) order[i] = position[i];
}
"""

needs_compiler = pytest.mark.skipif(not shutil.which("gcc"), reason="there is no gcc here")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    guest = {"guest.py": (FOLDER / "guest.py").read_bytes()}
    with closing(LocalSandbox(SandboxSettings(allow_unisolated=True), guest=guest)) as opened:
        yield opened


def judge(sandbox: LocalSandbox, source: str | bytes, **settings: Any) -> Result:
    content = source if isinstance(source, bytes) else source.encode()
    with sandbox.open(Program(0, {"sort.c": content}), seed=3, timeout=30.0) as candidate:
        found: Result = MODULE.Evaluator(**{**SMALL, **settings}).evaluate(candidate)
        return found


@needs_compiler
def test_the_seed_sorts_and_binary_insertion_takes_fewer_comparisons(sandbox: Any) -> None:
    seed = judge(sandbox, (EXAMPLE / "sort.c").read_bytes(), items=40)
    binary = judge(sandbox, INSERTION, items=40)
    assert 30 < seed.metrics["excess"] < 80
    assert 0 < binary.metrics["excess"] < 10
    least = math.log2(math.factorial(40))
    excess = 100 * (binary.metrics["comparisons"] / least - 1)
    assert binary.metrics["excess"] == pytest.approx(excess)


@needs_compiler
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("for (int i = 0; i < n; i++) order[i] = i;", "not sorted"),
        ("for (int i = 0; i < n; i++) order[i] = 0;", "once"),
        ("", "once"),
        ("order[0] = -7;", "once"),
        ("before(0, n);", "items are 0 to 11"),
        ("before(-1, 0);", "items are 0 to 11"),
        ("for (;;) before(0, 1);", "more than 144"),
    ],
)
def test_what_does_not_sort_is_refused(sandbox: Any, body: str, reason: str) -> None:
    source = f"void sort(int n, int *order, int (*before)(int, int)) {{ {body} }}"
    with pytest.raises(CandidateOutputError, match=reason):
        judge(sandbox, source)


@needs_compiler
@pytest.mark.parametrize(
    "source",
    ["int x;", "void sort(int n, int *order, int (*before)(int, int)) { __builtin_trap(); }"],
)
def test_what_does_not_run_has_crashed(sandbox: Any, source: str) -> None:
    with pytest.raises(CandidateCrashed):
        judge(sandbox, source)


@needs_compiler
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("int sort(", "gcc does not compile"),
        ('#include "/etc/hostname"\n', "gcc does not compile"),
        ("int system(const char *); void sort(void) { system(0); }", "calls system"),
        ('void sort(void) { __asm__("syscall"); }', "assembler"),
        (
            "__attribute__((constructor)) void f(void) {} void sort(void) {}",
            "constructors and initialisers",
        ),
    ],
)
def test_what_is_no_sort_in_c_is_refused(sandbox: Any, source: str, reason: str) -> None:
    with pytest.raises(CandidateOutputError, match=reason):
        judge(sandbox, source)


@needs_compiler
def test_a_sort_may_allocate_memory(sandbox: Any) -> None:
    kept = "static int *kept;\n#include <stdlib.h>\n"
    body = INSERTION.replace("used = 0;", "used = 0; free(kept); kept = malloc(n);")
    assert judge(sandbox, kept + body).metrics["comparisons"] > 0


#: An ELF file with one section, which is empty.
NOTHING = b"\x7fELF\x02\x01" + bytes(34) + struct.pack("<Q10xHHH", 64, 64, 1, 0) + bytes(64)


class Forging:
    """A candidate whose process answers what it likes."""

    def __init__(self, reply: Callable[[int], Any]) -> None:
        self.files = {"sort.c": b""}
        self.rng = Random(1)
        self._reply = reply

    def run(self, command: Any, timeout: float | None = None) -> Any:
        return Output(0, b"", b"")

    def read(self, path: str) -> bytes:
        return NOTHING

    def call(self, function: str, *args: Any) -> Any:
        assert function in ("guest:begin", "guest:answer")
        return self._reply(args[-1] if function == "guest:begin" else len(args[0]))


@pytest.mark.parametrize(
    "reply",
    [
        lambda _sorts: None,
        lambda _sorts: [],
        lambda sorts: [None] * sorts,
        lambda sorts: [[0.5, 1]] * sorts,
        lambda sorts: [[]] * sorts,
        lambda sorts: [list(range(12))] * sorts,
        lambda sorts: [[0, 1]] * sorts,
    ],
)
def test_what_the_process_forges_is_refused(reply: Callable[[int], Any]) -> None:
    with pytest.raises(CandidateError):
        MODULE.Evaluator(**SMALL).evaluate(Forging(reply))


def test_two_items_are_too_few() -> None:
    with pytest.raises(UsageError, match="3 or more"):
        MODULE.Evaluator(items=2)
