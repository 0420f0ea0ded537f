"""Unified diffs, as tools write them and as models do."""

from __future__ import annotations

import re
from contextlib import suppress
from textwrap import dedent

import pytest
from edit_versions import MARKED, TWO_REGIONS, ends_alike, versions
from hypothesis import assume, given
from hypothesis import strategies as st

from evolver.errors import EditError
from evolver.programs import diffs
from evolver.programs.edits import violation

GOOD = """\
--- a/f.py
+++ b/f.py
@@ -3,5 +3,5 @@
 # EVOLVE-BLOCK-START
 def f(x):
-    a = 1.0
+    a = 1.5
     b = 2.0
     return a + b * x
"""
CHILD = MARKED.replace("1.0", "1.5")


def edited(answer: str, *sources: str, readonly: tuple[str, ...] = ()) -> str:
    """Apply an answer to files f.py, g.py, ...; return them as one text."""
    files = {f"{name}.py": source.encode() for name, source in zip("fgh", sources, strict=False)}
    child = diffs.apply(diffs.parse(answer, {*files, *readonly}), files, readonly)
    assert violation(files, child) is None
    return "".join(source.decode() for source in child.values())


# --- the property: what is made is what is applied ------------------------------------------------


@given(versions())
def test_what_is_made_applies(pair: tuple[dict[str, bytes], dict[str, bytes]]) -> None:
    before, after = pair  # a last newline may come and go; the kind of newline stays
    crlf = {path: after[path].count(b"\r\n") * 2 > after[path].count(b"\n") for path in after}
    assume(all((s.count(b"\r\n") * 2 > s.count(b"\n")) == crlf[path] for path, s in before.items()))
    answer = diffs.make_unified(before, after)
    if before == after:
        assert answer == ""
        return
    for frame in ("{}", "I change this.\n\n{}\nThat helps.", "{}That helps.", "```diff\n{}```\n"):
        assert diffs.apply(diffs.parse(frame.format(answer), before), before) == after
    assert diffs.apply(diffs.parse(answer.replace("\n", "\r\n"), before), before) == after


@given(versions())
def test_whole_files_that_are_made_stand_in_place(
    pair: tuple[dict[str, bytes], dict[str, bytes]],
) -> None:
    before, after = pair
    assume(ends_alike(before, after))
    assume(all(source.decode().strip() for source in after.values()))
    assume(not any(b"SEARCH" in source or b"REPLACE" in source for source in after.values()))
    answer = diffs.make_rewrite(after)
    for frame in ("{}", "I write it anew.\n\n{}\nThat helps."):
        assert diffs.rewrite(frame.format(answer), before) == after


BODIES = st.lists(st.sampled_from(["", "a = 1", "    b = 2", "# c", "pass"]), max_size=8)


@given(BODIES, BODIES, BODIES, BODIES)
def test_what_is_made_applies_inside_regions(
    first: list[str], second: list[str], new_first: list[str], new_second: list[str]
) -> None:
    def program(one: list[str], two: list[str]) -> dict[str, bytes]:
        lines = ["a = 1", "# EVOLVE-BLOCK-START", *one, "# EVOLVE-BLOCK-END", "pass"]
        lines += ["# EVOLVE-BLOCK-START", *two, "# EVOLVE-BLOCK-END"]
        return {"f.py": "".join(f"{line}\n" for line in lines).encode()}

    before, after = program(first, second), program(new_first, new_second)
    if before != after:
        assert diffs.apply(diffs.parse(diffs.make_unified(before, after)), before) == after


@pytest.mark.parametrize(
    ("answer", "kept", "changed"),
    [
        (
            "@@ -2,5 +2,5 @@\n-a = 1\n+a = 2\n # EVOLVE-BLOCK-END\n keep = 0\n"
            " # EVOLVE-BLOCK-START second\n-b = 2\n+b = 3\n",
            " keep = 0\n",
            "-keep = 0\n+keep = 1\n",
        ),
        (
            "<<<<<<< SEARCH\na = 1\n# EVOLVE-BLOCK-END\nkeep = 0\n# EVOLVE-BLOCK-START second\n"
            "b = 2\n=======\na = 2\n# EVOLVE-BLOCK-END\nkeep = 0\n"
            "# EVOLVE-BLOCK-START second\nb = 3\n>>>>>>> REPLACE\n",
            "a = 2\n# EVOLVE-BLOCK-END\nkeep = 0\n",
            "a = 2\n# EVOLVE-BLOCK-END\nkeep = 1\n",
        ),
    ],
    ids=["hunk", "block"],
)
def test_one_edit_may_change_two_regions(answer: str, kept: str, changed: str) -> None:
    child = TWO_REGIONS.replace("a = 1", "a = 2").replace("b = 2", "b = 3")
    assert edited(answer, TWO_REGIONS) == child
    with pytest.raises(EditError, match="outside the editable regions"):
        edited(answer.replace(kept, changed), TWO_REGIONS)


def test_bytes_that_are_no_utf_8_stay() -> None:
    before = {"f.c": b"// caf\xe9\nint a = 1;\n"}
    after = {"f.c": b"// caf\xe9\xe8\nint a = 2;\n"}
    assert diffs.apply(diffs.parse(diffs.make_unified(before, after)), before) == after


# --- as models write them -------------------------------------------------------------------------


def without(*lines: int) -> str:
    """The good diff without some of its lines."""
    return "".join(x for i, x in enumerate(GOOD.splitlines(keepends=True)) if i not in lines)


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        f"A better slope.\n\n```diff\n{GOOD}```\n\n- It is closer.\n- It costs nothing.\n",
        f"diff --git a/f.py b/f.py\nindex 12ab..34cd 100644\n{GOOD}",
        GOOD.replace("a/f.py", "f.py").replace("b/f.py", "f.py\t2026-01-01 12:00:00"),
        GOOD.replace("a/f.py", "old/f.py").replace("b/f.py", "./f.py"),
        GOOD.replace("-3,5 +3,5", "-30,5 +40,5"),
        GOOD.replace("-3,5 +3,5", "-1,2 +1,9"),
        GOOD.replace("-3,5 +3,5 @@", "-3,5 +3,5 @@ def f(x):"),
        GOOD.replace("@@ -3,5 +3,5 @@", "@@ ... @@"),
        GOOD.replace("@@ -3,5 +3,5 @@", "@@"),
        without(0, 1),
        f"```diff\n{without(0, 1, 2)}```",
        f"```diff\n{without(0, 1, 2, 3, 4, 7, 8)}```",
        "```diff\n" + GOOD.replace("\n ", "\n") + "```",
        GOOD.replace("\n ", "\n  ").replace("\n-", "\n- ").replace("\n+ ", "\n+  "),
        GOOD.replace("# EVOLVE-BLOCK-START", "# what comes first"),
        GOOD.replace("return a + b * x", "return a+b*x"),
        GOOD.replace("\n", "\r\n"),
        GOOD + "\n\n\nThat was it.",
        f"*** Begin Patch\n*** Update File: f.py\n@@ def f(x):\n{without(0, 1, 2)}*** End Patch\n",
        f"<think>\n{GOOD.replace('1.5', '9.9')}</think>\n{GOOD}",
    ],
    ids=["good", "fence", "git", "no-prefix", "other-prefix", "wrong-place", "wrong-count",
         "section", "dots", "bare", "no-path", "no-header", "no-context", "unset-context",
         "one-space-more", "wrong-first-line", "wrong-last-line", "crlf", "prose", "patch-form",
         "thought"],
)  # fmt: skip
def test_a_diff_is_understood(answer: str) -> None:
    assert edited(answer, MARKED) == CHILD


def test_blank_lines_of_context_may_have_lost_their_space() -> None:
    source = "a = 1\n\nb = 2\n\nc = 3\n"
    answer = "@@ -1,5 +1,5 @@\n a = 1\n\n-b = 2\n+b = 4\n\n c = 3\n"
    assert edited(answer, source) == source.replace("2", "4")


def test_of_several_places_the_numbered_one_is_meant() -> None:
    source = "x = 0\n" * 9
    answer = "@@ -6,1 +6,1 @@\n-x = 0\n+x = 1\n"
    assert edited(answer, source) == "x = 0\n" * 5 + "x = 1\n" + "x = 0\n" * 3
    with pytest.raises(EditError, match="matches 9 places"):
        edited(answer.replace("-6,1 +6,1", "..."), source)


def test_a_line_without_its_context_is_not_looked_for_anywhere() -> None:
    source = "f() {\n    a;\n}\ng() {\n    b;\n}\n"
    answer = "@@ -2,2 +2,2 @@\n     nothing;\n-}\n+};\n"
    with pytest.raises(EditError, match="matches nothing"):
        edited(answer, source)


def test_removed_lines_that_look_like_headers() -> None:
    source = "-- a\n++ b\nc\n"
    child = "++ b\nd\n"
    assert edited("@@ -1,3 +1,2 @@\n--- a\n ++ b\n-c\n+d\n", source) == child


def test_lines_are_inserted_by_their_number_alone() -> None:
    assert edited("@@ -2,0 +3,1 @@\n+c = 3\n", "a = 1\nb = 2\nd = 4\n") == (
        "a = 1\nb = 2\nc = 3\nd = 4\n"
    )


def test_several_hunks_in_several_files() -> None:
    before = {"f.py": b"a = 1\n" + b"x\n" * 20 + b"b = 1\n", "src/g.py": b"c = 1\n"}
    after = {path: source.replace(b"1", b"2") for path, source in before.items()}
    answer = diffs.make_unified(before, after)
    assert answer.count("@@ -") == 3
    assert diffs.apply(diffs.parse(answer, before), before) == after


def test_a_wrong_indent_of_spaces_becomes_the_tabs_of_the_file() -> None:
    source = "def f(x):\n\tif x:\n\t\ty = 1\n\treturn y\n"
    answer = "@@ -2,2 +2,3 @@\n     if x:\n-        y = 1\n+        y = 2\n+        y += 1\n"
    assert edited(answer, source) == source.replace("\t\ty = 1\n", "\t\ty = 2\n\t\ty += 1\n")


def test_line_endings_of_the_file_stay() -> None:
    assert edited(GOOD, MARKED.replace("\n", "\r\n")) == CHILD.replace("\n", "\r\n")


def test_a_diff_inside_a_block_is_code() -> None:
    answer = dedent(
        """\
        <<<<<<< SEARCH
        @@ -1 +1 @@
        -a
        =======
        @@ -2 +2 @@
        -a
        >>>>>>> REPLACE
        """
    )
    assert edited(answer, "@@ -1 +1 @@\n-a\n+b\n") == "@@ -2 +2 @@\n-a\n+b\n"


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("@@ -1,2 +1,2 @@\n-import math\n+import cmath\n \n", "outside the editable regions"),
        ("@@ -8,1 +8,1 @@\n-# EVOLVE-BLOCK-END\n+# over\n-\n+x\n", "outside the editable regions"),
        ("@@ -1,1 +1,1 @@\n-nothing of the kind\n+x\n", "a SEARCH matches nothing"),
        ("```diff\n@@ -3,5 +3,5 @@\n def f(x):\n-    a = 1.0\n+    a", "it was cut off"),
        ("@@ -3,5 +3,5 @@\n def f(x):\n-    a = 1.0\n+    a", "it was cut off"),
        ("--- /dev/null\n+++ b/new.py\n@@ -0,0 +1,1 @@\n+x\n", "files cannot be made or deleted"),
        ("--- a/f.py\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-x\n", "files cannot be made or deleted"),
        ("--- a/lib.py\n+++ b/lib.py\n@@ -1,1 +1,1 @@\n-x\n+y\n", "lib.py is read-only"),
        ("--- a/f.py\n+++ b/f.py\n@@ -1,1 +1,1 @@\n import math\n", "holds no unified diff"),
    ],
    ids=["outside", "marker", "mismatch", "cut-in-fence", "cut", "new-file", "deleted-file",
         "read-only", "no-change"],
)  # fmt: skip
def test_a_diff_is_refused_with_the_reason(answer: str, sentence: str) -> None:
    with pytest.raises(EditError, match=re.escape(sentence)):
        edited(answer, MARKED, readonly=("lib.py",))


def test_a_near_miss_is_reported_with_the_closest_lines() -> None:
    answer = "@@ -5,2 +5,2 @@\n     a = 7.0\n-    b = 3.0\n+    b = 4.0\n     return a + b + x\n"
    with pytest.raises(EditError) as caught:
        edited(answer, MARKED)
    assert "The closest lines, f.py:5-7, are\n    a = 1.0" in caught.value.report


@given(st.text(alphabet="@ -+,12\\\n`abx", max_size=80))
def test_no_answer_breaks_the_parser(answer: str) -> None:
    with suppress(EditError):
        assert "EVOLVE-BLOCK-END" in edited(f"@@ -3,1 +3,1 @@\n{answer}", MARKED)


def test_unknown_files_are_refused_with_the_known_ones() -> None:
    with pytest.raises(EditError, match=r"no file h\.py; the editable files are f\.py, g\.py"):
        edited(GOOD.replace("f.py", "h.py"), MARKED, TWO_REGIONS)
