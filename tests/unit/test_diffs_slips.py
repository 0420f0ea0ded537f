"""Answers with the slips of models, in every format: mended, or refused with a reason."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from textwrap import dedent

import pytest
from llm_server import SLIPS

from evolver.errors import EditError
from evolver.programs import diffs
from evolver.programs.edits import violation

SOURCE = dedent(
    """\
    import math

    # EVOLVE-BLOCK-START
    def curve(x):
        scale = 1.25
        if x > 0.5:
            scale *= 1.5
        return scale * math.exp(x) + 0.125
    # EVOLVE-BLOCK-END


    def other(x):
        return 1.25
    """
)
FILES = {"f.py": SOURCE.encode()}
CHILD = {"f.py": SOURCE.replace("scale *= 1.5", "scale *= 1.75").encode()}
FORMATS: Mapping[str, Callable[[], str]] = {
    "blocks": lambda: "Nudge it.\n\n" + diffs.make(FILES, CHILD),
    "unified": lambda: "Nudge it.\n\n```diff\n" + diffs.make_unified(FILES, CHILD) + "```\n",
    "rewrite": lambda: "Nudge it.\n\n" + diffs.make_rewrite(CHILD),
}
# What each slip still says as clearly as before. The others are sent back with the reason.
MENDED = {
    "blocks": {"carriage returns", "fenced twice", "one space more", "several fences", "tabs"},
    "unified": {"carriage returns", "fenced twice", "several fences", "tabs"},
    "rewrite": {"carriage returns", "fenced twice", "several fences"},
}


def read(answer: str) -> dict[str, bytes]:
    """Read an answer in whatever format it comes, as the operators do."""
    try:
        edits = diffs.parse(answer, FILES)
    except EditError:
        return diffs.rewrite(answer, FILES)
    return diffs.apply(edits, FILES)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_slip_is_mended_or_refused(format_: str) -> None:
    mended = set()
    for name, slip in SLIPS.items():
        child: dict[str, bytes] | None = None
        with suppress(EditError):
            child = read(slip(FORMATS[format_]()))
        if child is not None:
            assert violation(FILES, child) is None, name
        if child == CHILD:
            mended.add(name)
    assert mended >= MENDED[format_]


def test_a_third_of_all_answers_has_slips() -> None:
    rng = random.Random(0)
    seen = Counter[str]()
    for _ in range(2000):
        answer = FORMATS[rng.choice(list(FORMATS))]()
        if rng.random() < 0.3:
            answer = SLIPS[rng.choice(list(SLIPS))](answer)
            cut = rng.randrange(len(answer) + 1)
            answer = rng.choice([answer, answer[:cut], answer[cut:], answer + answer])
        try:
            child = read(answer)
        except EditError:
            seen["refused"] += 1
        else:
            assert violation(FILES, child) is None
            seen["good" if child == CHILD else "other"] += 1
    assert seen["good"] >= 1400


@pytest.mark.parametrize(
    "line",
    ["# ... existing code ...", "// ... rest of the function", "/* … unchanged … */",
     "    # ... (same as before)", "... other methods remain"],
)  # fmt: skip
def test_code_that_leaves_something_out_is_refused(line: str) -> None:
    answer = f"```python\n{line}\nx = 1\n```\n"
    with pytest.raises(EditError, match="leaves code out; write all of it"):
        diffs.rewrite(answer, {"f.py": b"y = 1\n"})
    stood_there = {"f.py": f"{line}\ny = 1\n".encode()}
    assert diffs.rewrite(answer, stood_there) == {"f.py": f"{line}\nx = 1\n".encode()}


@pytest.mark.parametrize("line", ["    ...", "x = a[..., 0]  # the rest", "# wait ... what"])
def test_an_ellipsis_is_code(line: str) -> None:
    assert diffs.rewrite(f"```python\n{line}\n```\n", {"f.py": b"y = 1\n"}) == {
        "f.py": f"{line}\n".encode()
    }
