"""SEARCH/REPLACE blocks and rewrites, as models write them well and badly."""

from __future__ import annotations

import re
from contextlib import suppress
from textwrap import dedent

import pytest
from edit_versions import LINES, MARKED, TWO_REGIONS, ends_alike, versions
from hypothesis import assume, given
from hypothesis import strategies as st

from evolver.errors import EditError
from evolver.programs import diffs
from evolver.programs.diffs.matching import nearest
from evolver.programs.edits import violation


def block(search: str, replace: str) -> str:
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


def edited(answer: str, *sources: str, readonly: tuple[str, ...] = ()) -> str:
    """Apply an answer to files f.py, g.py, ...; return them as one text."""
    files = {f"{name}.py": source.encode() for name, source in zip("fgh", sources, strict=False)}
    child = diffs.apply(diffs.parse(answer, {*files, *readonly}), files, readonly)
    assert violation(files, child) is None
    return "".join(source.decode() for source in child.values())


def rewritten(answer: str, *sources: str, readonly: tuple[str, ...] = ()) -> str:
    files = {f"{name}.py": source.encode() for name, source in zip("fgh", sources, strict=False)}
    child = diffs.rewrite(answer, files, readonly)
    assert violation(files, child) is None
    return "".join(source.decode() for source in child.values())


# --- the property: what is made is what is applied ------------------------------------------------


@given(versions())
def test_what_is_made_applies(pair: tuple[dict[str, bytes], dict[str, bytes]]) -> None:
    before, after = pair
    assume(ends_alike(before, after))
    answer = diffs.make(before, after)
    if before == after:
        assert answer == ""
        return
    assert diffs.apply(diffs.parse(answer, before), before) == after
    prose = f"I change this.\n\n{answer}\nThat should help."
    assert diffs.apply(diffs.parse(prose, before), before) == after
    assert diffs.apply(diffs.parse(answer.replace("\n", "\r\n"), before), before) == after


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
        child = diffs.apply(diffs.parse(diffs.make(before, after)), before)
        assert child == after
        assert violation(before, child) is None


@given(BODIES, BODIES)
def test_a_rewrite_puts_a_body_in_place(old: list[str], new: list[str]) -> None:
    body = "".join(f"{line}\n" for line in new)
    before = MARKED.replace("def f(x):\n", "".join(f"{line}\n" for line in [*old, "def f(x):"]))
    if any(new):
        answer = f"Better.\n```python\n{body}```\n"
        region = rewritten(answer, before).partition("START\n")[2].partition("# EVOLVE")[0]
        assert region == body


@given(st.text(alphabet="<=>SEARCHREPL\n `#ab", max_size=80))
def test_no_answer_breaks_the_parsers(answer: str) -> None:
    for read in (edited, rewritten):
        with suppress(EditError):
            assert "EVOLVE-BLOCK-END" in read(answer, MARKED)


# --- what surrounds the blocks --------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "Sure! Here it is.\n\n" + block("    a = 1.0", "    a = 1.5") + "\nHope it helps.",
        "```python\n" + block("    a = 1.0", "    a = 1.5") + "```",
        "f.py\n```\n" + block("    a = 1.0", "    a = 1.5") + "```",
        "**f.py**\n" + block("    a = 1.0", "    a = 1.5"),
        f"<think>{block('    a = 1.0', '    a = 9.9')}</think>" + block("a = 1.0", "a = 1.5"),
        block("```python\n    a = 1.0\n```", "```python\n    a = 1.5\n```"),
        block("    a = 1.0", "    a = 1.5").replace("\n", "\r\n"),
        "  <<<<<<< SEARCH  \n    a = 1.0\n  =======\n    a = 1.5\n  >>>>>>> REPLACE  ",
        "<<<<<< SEARCH\n    a = 1.0\n========\n    a = 1.5\n>>>>>>",
        "<<<<<<< SEARCH f.py\n    a = 1.0\n=======\n    a = 1.5\n>>>>>>> REPLACE",
    ],
    ids=["prose", "fence", "path-fence", "bold", "thought", "inner-fence", "crlf", "spaces",
         "sizes", "inline-path"],
)  # fmt: skip
def test_blocks_are_found_whatever_stands_around_them(answer: str) -> None:
    assert edited(answer, MARKED) == MARKED.replace("1.0", "1.5")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("I would rather discuss the weather.", "holds no SEARCH/REPLACE block"),
        ("", "holds no SEARCH/REPLACE block"),
        ("```python\ndef f(x): return x\n```", "holds no SEARCH/REPLACE block"),
        ("<<<<<<< SEARCH\n    a = 1.0\n", "block 1 is not finished"),
        ("<<<<<<< SEARCH\n    a = 1.0\n=======\n    a = 1.", "block 1 is not finished"),
        (block("    a = 1.0", "    a = 1.5") + "<<<<<<< SEARCH\n    b", "block 2 is not finished"),
        ("<<<<<<< SEARCH\na\n=======\nb\n<<<<<<< SEARCH\nc\n=======\nd\n>>>>>>> REPLACE",
         "block 1 is not finished"),
    ],
)  # fmt: skip
def test_answers_without_a_whole_block(answer: str, sentence: str) -> None:
    with pytest.raises(EditError, match=re.escape(sentence)):
        edited(answer, MARKED)


# --- matching -------------------------------------------------------------------------------------


def test_several_blocks_apply_one_after_the_other() -> None:
    answer = block("    a = 1.0", "    a = 3.0") + block(
        "    a = 3.0\n    b = 2.0", "    a = b = 4.0"
    )
    assert "    a = b = 4.0\n    return" in edited(answer, MARKED)


def test_white_space_at_line_ends_does_not_matter_and_stays() -> None:
    source = MARKED.replace("def f(x):\n", "def f(x):  \n")
    child = edited(block("def f(x):\n    a = 1.0", "def f(x):\n    a = 1.5"), source)
    assert child == source.replace("1.0", "1.5")


def test_blank_lines_around_the_search_do_not_matter() -> None:
    assert edited(block("\n    a = 1.0\n", "\n    a = 1.5\n"), MARKED) == MARKED.replace(
        "1.0", "1.5"
    )


@pytest.mark.parametrize("indent", ["", "  ", "        ", "\t"])
def test_a_shifted_indent_is_mended(indent: str) -> None:
    answer = block(
        f"{indent}a = 1.0\n{indent}b = 2.0", f"{indent}a = 1.5\n{indent}if a:\n{indent}    b = 2.5"
    )
    assert "    a = 1.5\n    if a:\n        b = 2.5\n    return" in edited(answer, MARKED)


def test_a_search_that_is_indented_too_deep_gives_a_shallower_replacement() -> None:
    answer = block("        a = 1.0\n        b = 2.0", "        a = 1.5\n    # half")
    assert "    a = 1.5\n# half\n    return" in edited(answer, MARKED)


def test_spaces_become_the_tabs_of_the_file() -> None:
    source = "def f(x):\n\tif x:\n\t\ty = 1\n\treturn y\n"
    answer = block("    if x:\n        y = 1", "    if x:\n        if x > 1:\n            y = 2")
    assert edited(answer, source) == "def f(x):\n\tif x:\n\t\tif x > 1:\n\t\t\ty = 2\n\treturn y\n"


def test_tabs_become_the_spaces_of_the_file() -> None:
    source = "def f(x):\n    if x:\n        y = 1\n    return y\n"
    answer = block("\tif x:\n\t\ty = 1", "\tif x:\n\t\tif x > 1:\n\t\t\ty = 2")
    expected = "def f(x):\n    if x:\n        if x > 1:\n            y = 2\n    return y\n"
    assert edited(answer, source) == expected


def test_an_indent_lost_by_the_first_line_only_is_mended() -> None:
    answer = block("a = 1.0\n    b = 2.0", "a = 1.5\n    b = 2.5")
    assert "    a = 1.5\n    b = 2.5\n    return" in edited(answer, MARKED)


def test_a_search_without_any_indent_cannot_be_placed() -> None:
    with pytest.raises(EditError, match="matches nothing"):
        edited(block("def f(x):\na = 1.0", "def f(x):\na = 1.5"), MARKED)


def test_line_endings_of_the_file_stay() -> None:
    source = MARKED.replace("\n", "\r\n")
    assert edited(block("    a = 1.0", "    a = 1.5\n    c = 3"), source) == source.replace(
        "    a = 1.0\r\n", "    a = 1.5\r\n    c = 3\r\n"
    )


def test_bytes_that_are_no_utf_8_stay() -> None:
    files = {"f.c": b"// caf\xe9\nint a = 1;\n"}
    edits = diffs.parse(block("int a = 1;", "int a = 2;"))
    assert diffs.apply(edits, files) == {"f.c": b"// caf\xe9\nint a = 2;\n"}


def test_a_character_without_utf_8_bytes_is_an_error() -> None:
    with pytest.raises(EditError, match="UTF-8 cannot encode"):
        edited(block("    a = 1.0", "    a = '\ud800'"), MARKED)


def test_a_search_that_matches_twice_is_refused_with_the_places() -> None:
    source = "x = 1\ny = 2\nx = 1\n"
    with pytest.raises(EditError, match=r"matches 2 places \(f\.py:1, f\.py:3\)") as caught:
        edited(block("x = 1", "x = 2"), source)
    assert "add lines around it" in caught.value.report


def test_of_two_places_the_editable_one_is_meant() -> None:
    source = "a = 1\n# EVOLVE-BLOCK-START\na = 1\n# EVOLVE-BLOCK-END\na = 1\n"
    assert edited(block("a = 1", "a = 2"), source) == source.replace("START\na = 1", "START\na = 2")


def test_a_near_miss_is_reported_with_the_closest_lines() -> None:
    with pytest.raises(EditError, match=re.escape("matches nothing: 'a = 1.0'")) as caught:
        edited(block("    a = 1.0\n    b = 3.0\n    return a + b * x", "    return 0"), MARKED)
    report = caught.value.report
    assert "The closest lines, f.py:5-7, are\n    a = 1.0\n    b = 2.0\n    return" in report
    assert "b = 3.0" in report


def test_all_failing_blocks_are_reported() -> None:
    answer = block("nowhere", "x") + block("    a = 1.0", "    a = 2.0") + block("nor here", "y")
    with pytest.raises(
        EditError, match="2 of 3 blocks: a SEARCH matches nothing: 'nowhere'"
    ) as caught:
        edited(answer, MARKED)
    assert "Block 1:" in caught.value.report
    assert "Block 3:" in caught.value.report


def test_nothing_alike_has_no_near_miss() -> None:
    assert nearest(["alpha", "beta"], ["$$$$$$$$"]) is None
    assert nearest([], ["a"]) is None


@given(LINES, LINES)
def test_near_misses_lie_in_the_text(lines: list[str], search: list[str]) -> None:
    place = nearest(lines, search)
    if place is not None:
        assert 0 <= place[0] < place[1] <= len(lines)


def test_an_empty_file_is_filled() -> None:
    assert edited("<<<<<<< SEARCH\n=======\nx = 1\n>>>>>>> REPLACE", "") == "x = 1\n"


# --- regions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["import math", "print(f(1))"])
def test_an_edit_outside_is_refused_with_the_reason(line: str) -> None:
    with pytest.raises(EditError, match="outside the editable regions") as caught:
        edited(block(line, "import os"), MARKED)
    assert "Only lines between EVOLVE-BLOCK-START and EVOLVE-BLOCK-END" in caught.value.report


def test_context_from_outside_is_no_edit_outside() -> None:
    search = "import math\n\n# EVOLVE-BLOCK-START\ndef f(x):\n    a = 1.0"
    assert edited(block(search, search.replace("1.0", "1.5")), MARKED) == MARKED.replace(
        "1.0", "1.5"
    )


@pytest.mark.parametrize(
    ("search", "replace"),
    [
        ("# EVOLVE-BLOCK-START\ndef f(x):", "# EVOLVE-BLOCK-START\ndef f(x, y=0):"),
        ("# EVOLVE-BLOCK-START\ndef f(x):", "def f(x, y=0):"),
        ("def f(x):", "# EVOLVE-BLOCK-START\ndef f(x, y=0):"),
        ("# EVOLVE-BLOCK-START\ndef f(x):", "# EVOLVE-BLOCK-START renamed\ndef f(x, y=0):"),
    ],
)
def test_markers_copied_into_a_block_stay_where_they_are(search: str, replace: str) -> None:
    assert edited(block(search, replace), MARKED) == MARKED.replace("f(x):", "f(x, y=0):")


def test_a_region_replaced_with_its_markers() -> None:
    body = MARKED[MARKED.index("# EVOLVE") : MARKED.index("\nprint")].rstrip()
    child = edited(block(body, "def f(x):\n    return x"), MARKED)
    assert "START\ndef f(x):\n    return x\n# EVOLVE-BLOCK-END" in child


def test_an_edit_across_a_boundary_is_refused() -> None:
    with pytest.raises(EditError, match="outside the editable regions"):
        edited(
            block("    return a + b * x\n# EVOLVE-BLOCK-END\n\nprint(f(1))", "    return a"), MARKED
        )


def test_lines_may_be_inserted_at_both_ends_of_a_region() -> None:
    first = edited(block("# EVOLVE-BLOCK-START", "# EVOLVE-BLOCK-START\nz = 0"), MARKED)
    assert "START\nz = 0\ndef" in first
    last = edited(block("# EVOLVE-BLOCK-END", "z = 0\n# EVOLVE-BLOCK-END"), MARKED)
    assert "x\nz = 0\n# EVOLVE-BLOCK-END" in last


# --- several files --------------------------------------------------------------------------------


def test_the_path_above_a_block_chooses_the_file() -> None:
    for path in ("g.py", "`g.py`:", "File: g.py", "./g.py", "### g.py"):
        answer = f"The change:\n\n{path}\n```python\n{block('a = 1', 'a = 2')}```"
        assert edited(answer, "a = 1\n", "a = 1\n") == "a = 1\na = 2\n"


def test_without_a_path_the_only_match_is_meant() -> None:
    answer = "I change the second file.\n" + block("b = 1", "b = 2")
    assert edited(answer, "a = 1\n", "b = 1\n") == "a = 1\nb = 2\n"


def test_a_path_by_its_ending() -> None:
    files = {"src/f.py": b"a = 1\n", "src/g.py": b"a = 1\n"}
    edits = diffs.parse("g.py\n" + block("a = 1", "a = 2"), files)
    assert diffs.apply(edits, files)["src/g.py"] == b"a = 2\n"


def test_a_wrong_path_with_one_file_does_no_harm() -> None:
    assert edited("main.py\n" + block("a = 1", "a = 2"), "a = 1\n") == "a = 2\n"


def test_unknown_and_read_only_paths_are_refused() -> None:
    with pytest.raises(
        EditError, match=r"there is no file h\.py; the editable files are f\.py, g\.py"
    ):
        edited("h.py\n" + block("a = 1", "a = 2"), "a = 1\n", "a = 1\n")
    with pytest.raises(EditError, match=r"lib\.py is read-only"):
        edited("lib.py\n" + block("a = 1", "a = 2"), "a = 1\n", readonly=("lib.py",))


def test_a_file_without_markers_beside_one_with_them_is_refused() -> None:
    with pytest.raises(EditError, match="outside the editable regions"):
        edited("g.py\n" + block("a = 1", "a = 2"), MARKED, "a = 1\n")


# --- rewrites -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "Simpler.\n\n```python\ndef f(x):\n    return x\n```\n\nDone.",
        "```\ndef f(x):\n    return x\n```",
        "~~~py\ndef f(x):\n    return x\n~~~",
        "f.py\n```python\ndef f(x):\n    return x\n```",
        "```python f.py\ndef f(x):\n    return x\n```",
        "As in `x`:\n```python\nx\n```\nall of it:\n```python\ndef f(x):\n    return x\n```",
        "```python\n# EVOLVE-BLOCK-START\ndef f(x):\n    return x\n# EVOLVE-BLOCK-END\n```",
        "```python\nimport math\n\n# EVOLVE-BLOCK-START\ndef f(x):\n    return x\n"
        "# EVOLVE-BLOCK-END\n\nprint(f(1))\n```",
        "```python\nimport math\n\ndef f(x):\n    return x\n\nprint(f(1))\n```",
        "<think>```python\nno\n</think>```python\r\ndef f(x):\r\n    return x\r\n```",
    ],
    ids=["prose", "bare", "tildes", "path", "info", "longest", "markers", "whole-file",
         "whole-file-without-markers", "thought-crlf"],
)  # fmt: skip
def test_a_region_is_written_anew(answer: str) -> None:
    child = rewritten(answer, MARKED)
    body = child.partition("START\n")[2].partition("# EVOLVE-BLOCK-END")[0]
    assert body.strip() == "def f(x):\n    return x"
    assert child.startswith("import math\n\n# EVOLVE-BLOCK-START\n")
    assert child.endswith("# EVOLVE-BLOCK-END\n\nprint(f(1))\n")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("I have no idea.", "holds no fenced code block"),
        ("def f(x):\n    return x", "holds no fenced code block"),
        ("```python\n\n```", "holds no fenced code block"),
        ("```python\ndef f(x):\n    ret", "cut off"),
        ("```python\nimport os\n# EVOLVE-BLOCK-START\nx\n# EVOLVE-BLOCK-END\n```",
         "'import os' lies outside the editable regions"),
        ("```python\n# EVOLVE-BLOCK-START\nx = 1\n```", "has 1 editable regions, the answer has 1"),
    ],
)  # fmt: skip
def test_answers_without_a_whole_rewrite(answer: str, sentence: str) -> None:
    with pytest.raises(EditError, match=re.escape(sentence)):
        rewritten(answer, MARKED)


def test_a_file_without_markers_is_written_anew() -> None:
    assert rewritten("```python\ny = 2\n```", "x = 1\n") == "y = 2\n"


def test_several_regions_are_named() -> None:
    answer = "f.py:second\n```python\nb = 3\n```\n"
    assert rewritten(answer, TWO_REGIONS) == TWO_REGIONS.replace("b = 2", "b = 3")
    answer = "`first`\n```python\na = 0\n```\n" + answer
    expected = TWO_REGIONS.replace("b = 2", "b = 3").replace("a = 1", "a = 0")
    assert rewritten(answer, TWO_REGIONS) == expected


def test_several_regions_at_once_by_their_markers() -> None:
    answer = f"```python\n{TWO_REGIONS.replace('a = 1', 'a = 5')}```"
    assert rewritten(answer, TWO_REGIONS) == TWO_REGIONS.replace("a = 1", "a = 5")


def test_a_block_that_fits_no_region_is_refused_with_their_names() -> None:
    with pytest.raises(EditError, match=re.escape("f.py:first, f.py:second")):
        rewritten("```python\nb = 3\n```", TWO_REGIONS)


def test_several_files_are_named() -> None:
    answer = "g.py\n```python\nb = 3\n```\n\nand\n\nf.py\n```python\na = 3\n```"
    assert rewritten(answer, "a = 1\n", "b = 1\n") == "a = 3\nb = 3\n"
    with pytest.raises(EditError, match="read-only"):
        rewritten("lib.py\n```python\nb = 3\n```", "a = 1\n", "b = 1\n", readonly=("lib.py",))


def test_a_fence_with_a_language_nests() -> None:
    source = "def f():\n    return 1\n"
    code = 'def f():\n    """Use it:\n\n    ```python\n    f()\n    ```\n    """\n    return 2\n'
    assert rewritten(f"```python\n{code}```", source) == code


def test_a_body_written_flat_gets_its_regions_indent() -> None:
    source = dedent(
        """\
        def f(x):
            # EVOLVE-BLOCK-START
            y = x
            # EVOLVE-BLOCK-END
            return y
        """
    )
    child = rewritten("```python\nif x:\n    y = 0\n```", source)
    assert child == source.replace("    y = x\n", "    if x:\n        y = 0\n")


def test_a_rewrite_keeps_line_endings() -> None:
    child = rewritten("```python\ny = 2\nz = 3\n```", "x = 1\r\ny = 1\r\n")
    assert child == "y = 2\r\nz = 3\r\n"


# --- summaries ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "summary"),
    [
        ("Use Horner's rule.\n\n" + block("a", "b"), "Use Horner's rule."),
        (
            "**Summary**: fewer\noperations\n\nAnd more words.\n```\nx\n```",
            "Summary**: fewer operations",
        ),
        ("<think>hmm</think>\n\nFaster.\n", "Faster."),
        ("f.py\n" + block("a", "b") + "\nThat was it.", ""),
        ("", ""),
        ("w" * 400, "w" * 299 + "…"),
        # What a command edited in place, with and without words of its own.
        ("\n\n--- a/src/tour.py\n+++ b/src/tour.py\n@@ -1 +1 @@\n-a\n+b\n", ""),
        ("Swap two.\n\n--- a/src/tour.py\n+++ b/src/tour.py\n@@ -1 +1 @@\n-a\n+b\n", "Swap two."),
    ],
)
def test_summaries(answer: str, summary: str) -> None:
    assert diffs.summary(answer) == summary
