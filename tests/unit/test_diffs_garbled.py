"""Answers that can be read wrongly: read the one way that they can, or asked for again."""

# ruff: noqa: RUF001 - characters that look alike are what some of these tests are about

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolver import prompts
from evolver.errors import EditError
from evolver.operators.llm.asking import Form, applied
from evolver.programs.diffs.thoughts import without_thoughts
from evolver.programs.edits import violation
from evolver.types import Brief, Completion, Context, Elite, Evaluation, Program

PYTHON = {"p.py": "def f(x):\n    return x\n"}
TEXT = {"p.md": "# Old\n\nText.\n"}
HEADINGS = {"p.rst": "Title\n=======\n\nalpha\n\nbeta\n"}
MARKED = {"p.py": "# EVOLVE-BLOCK-START\ndef f(x):\n    return x\n# EVOLVE-BLOCK-END\n"}


def context(files: Mapping[str, str]) -> Context:
    seed = {path: text.encode() for path, text in files.items()}
    elite = Elite(Program(0, seed), Evaluation("ok", {"score": 1.0}, objectives=(1.0,)))
    brief = Brief("Do.", seed, objectives=(("score", "maximize"),))
    return Context(brief, elite, (), Random(0), lambda files: False)


def read(answer: str, files: Mapping[str, str], form: Form = "rewrite") -> str:
    """Read an answer as an operator does; return the child, or the reason to ask again."""
    asked = context(files)
    child = applied(Completion(answer), form, asked.brief.seed, asked)
    assert violation(asked.brief.seed, child) is None
    return "".join(content.decode() for content in child.values())


def code(text: str, fence: str = "```python", above: str = "") -> str:
    return f"{above}\n{fence}\n{text}{fence[0] * (fence.count(fence[0]))}\n"


def block(search: str, replace: str, size: int = 7) -> str:
    return f"{'<' * size} SEARCH\n{search}\n{'=' * size}\n{replace}\n{'>' * size} REPLACE\n"


DRAFT = code("def f(x):\n    return 1\n    # and much more of it\n")
FINAL = code("def f(x):\n    return 2\n")
BETTER = "def f(x):\n    return 2\n"

# --- fences ---------------------------------------------------------------------------------------

SAMPLE = "# New\n\n```python\nprint(1)\n```\n\nEnd.\n"
BARE = SAMPLE.replace("```python", "```")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (code(SAMPLE, "````markdown"), SAMPLE),
        (code(SAMPLE, "````"), SAMPLE),
        (code(SAMPLE, "`````md", "p.md"), SAMPLE),
        (code(SAMPLE, "~~~markdown"), SAMPLE),
        (code(SAMPLE, "~~~"), SAMPLE),
        (code(SAMPLE, "```markdown"), SAMPLE),
        (code(BARE, "````markdown"), BARE),
        (code(BARE, "~~~~ {.markdown}"), BARE),
        (code(SAMPLE, "````markdown").replace("\n", "\r\n"), SAMPLE),
        (code(SAMPLE.replace("python", "markdown"), "````markdown"),
         SAMPLE.replace("python", "markdown")),
        (code("# T\n~~~\nx\n~~~\n", "```markdown"), "# T\n~~~\nx\n~~~\n"),
        ("1. So:\n\n   ```markdown\n   # T\n\n     x\n   ```\n", "# T\n\n  x\n"),
    ],
)  # fmt: skip
def test_the_outer_fence_counts(answer: str, text: str) -> None:
    assert read(answer, TEXT) == text


@pytest.mark.parametrize(
    "answer",
    [
        code(BARE, "```markdown"),
        code(BARE, "```markdown", "p.md"),
        code("# A\n", "```markdown") + "or\n" + code("# B\n\nLonger.\n", "```markdown"),
        code("# A\n", "```markdown") + code("ls\n", "```sh"),
        "```markdown\n# T\n\n```python\nprint(1)\n```\n",
        "````markdown\n# T\n```python\nprint(1)\n```\n",
    ],
)
def test_a_text_whose_fences_can_be_read_in_two_ways_is_asked_for_again(answer: str) -> None:
    with pytest.raises(EditError, match="fence"):
        read(answer, TEXT)


@pytest.mark.parametrize(
    "answer",
    [
        code(BETTER, '```{.python .numberLines startFrom="1"}'),
        code(BETTER, "~~~ {.python}"),
        code(BETTER, '```python title="p.py"'),
        code(BETTER, "```python:p.py"),
        code(BETTER, "```python {linenos=true}"),
        f"```python\n{BETTER}`````  \n",
        code("return x\n", above="It was") + FINAL,
        code("def f(x):\n    return x\n", above="It was") + FINAL,
        FINAL + FINAL,
        FINAL + code("a\nb\nc\nd\ne\nf\n", "```sh"),
        FINAL + code("a\nb\nc\nd\ne\nf\n", "```"),
        FINAL + code("{\n1\n2\n3\n4\n}\n", "```json"),
        f"p.py\n```python\n{BETTER}```\n" + code("import p\n" + "p.f(1)\n" * 9),
        code(f"So:\n{FINAL}", "````"),
    ],
)
def test_the_block_that_is_the_program_is_found(answer: str) -> None:
    assert read(answer, PYTHON) == BETTER


def test_a_docstring_may_hold_fences() -> None:
    for indent, fence in (("    ", "```"), ("", "````"), ("    ", "~~~")):
        body = f'def f(x):\n    """So:\n\n{indent}```python\n{indent}f(1)\n{indent}```\n    """\n'
        assert read(code(body, fence + "python"), PYTHON) == body


@pytest.mark.parametrize(
    "answer",
    [
        DRAFT + "Better:\n" + FINAL,
        FINAL + "or\n" + code("def f(x):\n    return 3\n"),
        code("x = 1\ny = 1\n") + code("x = 2\ny = 2\n"),
        code("def f(x):\n<<<<<<< HEAD\n    return x\n=======\n    return 2\n>>>>>>> new\n"),
        code("<<<<<<< SEARCH\n    return x\n=======\n    return 2\n"),
        code("def f(x):\n    return 2\n>>>>>>> REPLACE\n"),
        code("def f(x):\n    return 2\n=======\n<<<<<<< SEARCH\n"),
        "```\ndef f(x):\n    return 1\n```python\ndef f(x):\n    return 2\n```\n",
    ],
)
def test_code_that_could_be_meant_in_two_ways_is_asked_for_again(answer: str) -> None:
    with pytest.raises(EditError):
        read(answer, PYTHON)


def test_a_program_about_edits_is_written_anew() -> None:
    old = f"# Prompt\n\nAnswer so:\n\n{block('old lines', 'new lines')}\nBye.\n"
    new = old.replace("Answer", "Always answer")
    assert read(code(new, "```markdown"), {"p.md": old}) == new
    with pytest.raises(EditError):
        read(code(new, "```markdown"), TEXT)


# --- SEARCH/REPLACE -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "new"),
    [
        (block("alpha", "Part\n=======\n\nalpha"), "Part\n=======\n\nalpha"),
        (block("alpha", "Part\n    =======\nalpha"), "Part\n    =======\nalpha"),
        (block("alpha", "Part\n=========\nalpha"), "Part\n=========\nalpha"),
        (block("alpha", "Part\n=====\nalpha"), "Part\n=====\nalpha"),
        (block("=======\n\nalpha", "=======\n\ngamma"), "gamma"),
        (block("Title\n=======\n\nalpha", "Title\n=======\n\ngamma", 9), "gamma"),
        (block("Title\n=======\n\nalpha", "Title\n=======\n\ngamma"), "gamma"),
        (block("Title\n=======\n\nalpha", "Title\n=======\n\nPart\n======="), "Part\n======="),
        (block("=======\n\nalpha\n\nbeta", "=======\n\nalpha\n=======\n\nbeta"), "alpha\n======="),
    ],
)  # fmt: skip
def test_the_divider_is_the_one_whose_search_stands_in_the_program(answer: str, new: str) -> None:
    child = HEADINGS["p.rst"].replace("alpha", new)
    assert read(answer, HEADINGS, "diff") == child
    assert read(answer.replace("\n", "\r\n"), HEADINGS, "diff") == child


def test_a_heading_and_its_underline_are_replaced_together() -> None:
    for new in ("Caption\n=======", "Caption", "Caption\n---------"):
        child = HEADINGS["p.rst"].replace("Title\n=======", new)
        assert read(block("Title\n=======", new), HEADINGS, "diff") == child


def test_a_search_between_two_underlines_does_not_say_which_line_divides_it() -> None:
    files = {"p.rst": "Title\n=======\nalpha\nPart\n=======\nbeta\n"}
    with pytest.raises(EditError, match="more than one could divide it"):
        read(block("=======\nalpha\nPart", "=======\ngamma\nPart"), files, "diff")
    with_title = block(
        "Title\n=======\nalpha\nPart\n=======", "Title\n=======\ngamma\nPart\n======="
    )
    assert read(with_title, files, "diff") == files["p.rst"].replace("alpha", "gamma")


@pytest.mark.parametrize(
    "answer",
    [
        block("nowhere\n=======\n\nalpha", "gamma"),
        block("alpha", "gamma") + "and\n>>>>>>> REPLACE\n",
        block("alpha", block("beta", "gamma")),
        block("alpha", "gamma").replace(">>>>>>> REPLACE", ">>>>>> REPLACE")
        + block("beta", "delta").replace("<<<<<<<", "<<<<<<"),
        block("alpha", "gamma").replace("=======\n", ""),
        block("alpha", "gamma").replace("REPLACE", "UPDATED"),
        block("alpha", "gamma").replace("SEARCH", "HEAD"),
        block("alpha\n||||||| base", "gamma"),
        block("alpha", "gamma").replace("<<<<<<< SEARCH\n", ""),
    ],
)
def test_marks_that_can_be_read_in_two_ways_are_asked_for_again(answer: str) -> None:
    with pytest.raises(EditError):
        read(answer, HEADINGS, "diff")


def test_prompts_ask_for_longer_marks_and_fences_where_the_program_has_such_lines() -> None:
    assert "=======\n" in prompts.render("diff", context(PYTHON)).system
    asked = prompts.render("diff", context(HEADINGS)).system
    assert f"\n{'<' * 8} SEARCH\n" in asked
    assert "with 8 characters" in asked
    assert "longer ones" not in prompts.render("rewrite", context(PYTHON)).system
    assert "longer ones: ````\n" in prompts.render("rewrite", context({"p.md": SAMPLE})).system


def test_regions_without_names_are_shown_as_they_are_to_be_called() -> None:
    files = {"p.py": MARKED["p.py"] * 2}
    asked = prompts.render("rewrite", context(files)).system
    assert "- p.py block 1\n- p.py block 2\n" in asked
    first, second = MARKED["p.py"], MARKED["p.py"].replace("return x", "return 2")
    for label in ("p.py block 2", "**p.py block 2**", "`p.py` block 2:", "### p.py, block 2",
                  "Block 2", "block 2 of p.py", "p.py (block 2)", "p.py:block 2"):  # fmt: skip
        assert read(label + FINAL, files) == first + second
    assert read(code(BETTER, "```python p.py block 2"), files) == first + second
    with pytest.raises(EditError, match=r"p\.py block 1, p\.py block 2"):
        read(code(BETTER, above="p.py block 3"), files)


# --- thoughts -------------------------------------------------------------------------------------

TAGS = [
    ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<THINK>", "</THINK>"),
    ("[THINK]", "[/THINK]"), ("<thought>", "</thought>"), ("<thoughts>", "</thoughts>"),
    ("<seed:think>", "</seed:think>"), ("<reasoning>", "</reasoning>"),
    ("◁think▷", "◁/think▷"), ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"), ("<|think|>", "<|/think|>"),
    ("[think]", "[/think]"),
    ("<unused94>thought", "<unused95>"), ("<|channel>thought", "<channel|>"),
    ("<inner_thoughts>", "</inner_thoughts>"), ("<longcat_think>", "</longcat_think>"),
    ("<chain_of_thought>", "</chain_of_thought>"), ("<think_fast>", "</think_fast>"),
    ("<plan>", "</plan>"), ("<draft>", "</draft>"), ("&lt;think&gt;", "&lt;/think&gt;"),
]  # fmt: skip


@pytest.mark.parametrize(("opening", "closing"), TAGS)
def test_drafts_in_thoughts_are_no_part_of_the_answer(opening: str, closing: str) -> None:
    for answer in (
        f"{opening}\n{DRAFT}\n{closing}\n{FINAL}",
        f"  {opening}Hm. {DRAFT}So be it.{closing}{FINAL}",
        f"Hm.\n{DRAFT}\n{closing}\n\n{FINAL}",
        f"Hm.\n{DRAFT}So be it.{closing}\n{FINAL}",
        f"{opening}a{closing}\nFirst this.\n{opening}\n{DRAFT}{closing}\n{FINAL}",
        f'{opening}\nx = "{closing}"\n{DRAFT}\n{closing}\n{FINAL}',
        f"{opening}\nI end with `{closing}`.\n{DRAFT}\n{closing}\n{FINAL}",
        f"{opening}\n```python\ndef f(x):\n    return 1\n{closing}\n{FINAL}",
        f"I drop what is between {opening} and {closing} now.\n{FINAL}",
        f"{FINAL}\nIt drops what stands before {closing} in a text.\n",
        f"{FINAL}\nIt drops `{closing}`\n",
        f"{FINAL}\nA {opening} is no more.\n",
    ):
        assert read(answer, PYTHON) == BETTER, answer
        assert read(answer.replace("\n", "\r\n"), PYTHON) == BETTER, answer
    edit, draft = block("    return x", "    return 2"), block("    return x", "    return 1")
    assert read(f"{opening}{draft}\n{closing}\n{edit}", PYTHON, "diff") == BETTER
    assert read(f"{opening}{draft[:30]}\n{closing}\n{edit}", PYTHON, "diff") == BETTER
    assert read(f"{draft}\n{closing}\n{edit}", PYTHON, "diff") == BETTER
    assert read(f"{draft[:30]}\n{closing}\n{edit}", PYTHON, "diff") == BETTER


@pytest.mark.parametrize(("opening", "closing"), TAGS)
def test_a_tag_in_code_is_code(opening: str, closing: str) -> None:
    for body in (
        f'def f(x):\n    return x.split("{closing}")[-1]\n',
        f'def f(x):\n    return """\n{opening}\nHm.\n{closing}\n""" + x\n',
        f"def f(x):\n    return x  # {closing}\n",
        f"def f(x):\n    # {opening}\n    return x\n",
    ):
        assert read(f"Do.\n{code(body)}", PYTHON) == body
        assert read(f"{opening}Hm.{closing}\n{code(body)}", PYTHON) == body
        lines = body.removeprefix("def f(x):\n").removesuffix("\n")
        assert read("Do.\n" + block("    return x", lines), PYTHON, "diff") == body
    text = f"# Prompt\n\n{opening}\nHm.\n{closing}\n\nGo on.\n"
    assert read(code(text, "```markdown"), TEXT) == text


@pytest.mark.parametrize(("opening", "closing"), TAGS)
def test_an_answer_that_may_be_a_thought_is_asked_for_again(opening: str, closing: str) -> None:
    for answer in (
        f"{opening}\n{DRAFT}",
        f"{opening}\n{DRAFT}{closing}\n",
        f"{DRAFT}\n{closing}\n",
        f"Well.\n{opening}\n{DRAFT}",
        f"```python\ndef f(x):\n    return 1\n{closing}\n{FINAL}",
        f"{opening}\nHm.\n{closing}\n{DRAFT}\n{closing}\n{FINAL}",
    ):
        with pytest.raises(EditError):
            read(answer, PYTHON)


@pytest.mark.parametrize(
    "answer",
    [
        f"<|channel|>analysis<|message|>Hm.\n{DRAFT}<|end|><|start|>assistant"
        f"<|channel|>final<|message|>{FINAL}<|return|>",
        f"<|start|>assistant<|channel|>analysis<|message|>\n{DRAFT}<|end|>"
        f"<|channel|>commentary<|message|>\n{DRAFT}<|end|><|channel|>final<|message|>{FINAL}",
        f"Hm.\n{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{FINAL}",
        f"analysisWe need to think.\n{DRAFT}assistantfinal{FINAL}",
    ],
)
def test_of_channels_the_final_one_is_the_answer(answer: str) -> None:
    assert read(answer, PYTHON) == BETTER


def test_channels_without_a_final_one_are_asked_for_again() -> None:
    with pytest.raises(EditError, match="final"):
        read(f"<|channel|>analysis<|message|>Hm.\n{DRAFT}", PYTHON)
    body = 'def f(x):\n    return x.split("<|channel|>final<|message|>")\n'
    assert read(code(body), PYTHON) == body


PIECES = [
    *("<think>", "</think>", "[THINK]", "[/THINK]", "\n", "```", "```py\n", "x", "`", '"', " "),
    *("<<<<<<< SEARCH\n", "\n=======\n", "\n>>>>>>> REPLACE\n", "<|channel|>final<|message|>"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_no_answer_breaks_the_reading_of_thoughts(answer: str) -> None:
    try:
        kept = without_thoughts(answer)
    except EditError:
        return
    assert len(kept) <= len(answer)
    if "think" not in answer.lower() and "channel" not in answer:
        assert kept == answer


# --- markers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    ['s = "EVOLVE-BLOCK-START"', 's = """\n# EVOLVE-BLOCK-START\n"""',
     's = """\n# EVOLVE-BLOCK-END\n# EVOLVE-BLOCK-START\n"""'],
)  # fmt: skip
def test_code_that_mentions_a_marker_is_not_dropped(line: str) -> None:
    child = MARKED["p.py"].replace("def f", f"{line}\ndef f")
    assert read(block("def f(x):", f"{line}\ndef f(x):"), MARKED, "diff") == child
    assert read(code(f"{line}\ndef f(x):\n    return x\n"), MARKED) == child
    assert read(code(child), MARKED) == child
    diff = child.splitlines()[1:-2]
    hunk = "".join(f"{' ' if 'def' in text else '+'}{text}\n" for text in diff)
    assert read(f"```diff\n@@ -1 +1 @@\n{hunk}```\n", MARKED, "diff") == child


@pytest.mark.parametrize("line", ["# evolve-block-start", "x = 1  # EVOLVE-BLOCK-END"])
def test_code_with_a_marker_that_is_none_is_asked_for_again(line: str) -> None:
    for answer, form in ((code(f"def f(x):\n    return x\n{line}\n"), "rewrite"),
                         (block("    return x", f"    return x\n{line}"), "diff")):  # fmt: skip
        with pytest.raises(EditError):
            read(answer, MARKED, form)


# --- characters that look alike -------------------------------------------------------------------

QUOTED = {"p.py": 'def f(x):\n    return "a" - x\n'}
CURLY = {"p.py": 'def f(x):\n    s = "it’s — fine…"\n    return s\n'}
BOM = {"p.py": "\ufeff" + QUOTED["p.py"]}


@pytest.mark.parametrize(
    ("files", "search", "replace", "old", "new"),
    [
        (QUOTED, "    return “a” – x", "    return “b” – 2 * x", '"a" - x', '"b" - 2 * x'),
        (QUOTED, "return “a” – x", "return “b” – x", '"a"', '"b"'),
        (QUOTED, "    return\u00a0\"a\" - x", "    return\u00a0\"b\" - x", '"a"', '"b"'),
        (QUOTED, "\u00a0\u00a0\u00a0\u00a0return 'a' - x".replace("'", '"'), "    return 1",
         'return "a" - x', "return 1"),
        (QUOTED, "    return\u200b \"a\" − x", "    return \"a\" − x ** 2", "- x", "- x ** 2"),
        (QUOTED, "\ufeffdef f(x):", "\ufeffdef f(y):", "f(x)", "f(y)"),
        (CURLY, "    s = \"it's - fine...\"\n    return s",
         "    s = \"it's - fine...\"\n    return 1",
         "return s", "return 1"),
        (CURLY, "    s = \"it's - fine...\"", "    s = \"it's - good\"", "it’s — fine…",
         "it's - good"),
        (BOM, "def f(x):", "def f(y):", "f(x)", "f(y)"),
        (BOM, "\ufeffdef f(x):", "\ufeffdef f(y):", "f(x)", "f(y)"),
        (QUOTED, "    return \"a\" - x", "    return “b” - x", '"a"', "“b”"),
    ],
)  # fmt: skip
def test_characters_that_look_alike_are_a_near_miss(
    files: Mapping[str, str], search: str, replace: str, old: str, new: str
) -> None:
    child = files["p.py"].replace(old, new)
    assert read(block(search, replace), files, "diff") == child
    assert read(block(search, replace).replace("\n", "\r\n"), files, "diff") == child


def test_what_stands_to_the_letter_goes_first_and_two_near_misses_are_refused() -> None:
    files = {"p.py": 'a = "x-y"\nb = 1\na = "x–y"\n'}
    assert read(block('a = "x–y"', "a = 2"), files, "diff") == 'a = "x-y"\nb = 1\na = 2\n'
    with pytest.raises(EditError, match="2 places"):
        read(block('a = "x—y"', "a = 2"), files, "diff")


def test_a_rewrite_keeps_a_byte_order_mark() -> None:
    assert read(FINAL, BOM) == "\ufeff" + BETTER


@pytest.mark.parametrize(
    "heads",
    [("Option A:", "Option B:"), ("### Alternative 1", "### Alternative 2"), ("", "Alternatively:"),
     ("**Approach one**", "**Approach two**"), ("**First attempt**", "**Final answer**"),
     ("", "**Revised version:**"), ("Draft", "## 2. Final solution"), ("Attempt 1", "Attempt 2"),
     ("**Initial idea \u2013 too slow**", "__Corrected version__ (this one counts)"),
     ("<summary>Rough draft</summary>", "<b>Final version</b>"),
     ("<details><summary>What I tried</summary>", "</details>"), ("", "<details>")],
)  # fmt: skip
def test_edits_of_several_proposals_are_asked_for_again(heads: tuple[str, str]) -> None:
    files = {"p.py": "a = 1\nb = 2\n"}
    first, second = block("a = 1", "a = 3"), block("b = 2", "b = 4")
    with pytest.raises(EditError, match="several proposals"):
        read(f"{heads[0]}\n{first}\n{heads[1]}\n{second}", files, "diff")
    hunks = ["```diff\n@@ @@\n-a = 1\n+a = 3\n```", "```diff\n@@ @@\n-b = 2\n+b = 4\n```"]
    with pytest.raises(EditError, match="several proposals"):
        read(f"{heads[0]}\n{hunks[0]}\n{heads[1]}\n{hunks[1]}", files, "diff")
    assert read(f"{heads[0]}\n{heads[1]}\nBoth.\n{first}\n{second}", files, "diff") == (
        "a = 3\nb = 4\n"
    )


@pytest.mark.parametrize(
    ("above", "between", "below"),
    [
        ("<details><summary>The edit</summary>", "", "</details>"),
        ("<details>", "</details>\n<details>", "</details>"),
        ("**Final answer**", "", ""),
        ("**Change 1: raise a**", "**Change 2: raise b**", ""),
        ("First version of `a`", "**New version of `b`**", ""),
        ("", "Attempt a larger b as well:", "**Final answer**: see above."),
        ("", "The first attempt at b was too small.", ""),
    ],
)
def test_headings_of_one_proposals_edits_are_no_drafts(
    above: str, between: str, below: str
) -> None:
    first, second = block("a = 1", "a = 3"), block("b = 2", "b = 4")
    answer = f"{above}\n{first}\n{between}\n{second}\n{below}"
    assert read(answer, {"p.py": "a = 1\nb = 2\n"}, "diff") == "a = 3\nb = 4\n"


def test_code_in_another_language_is_not_the_text_that_it_illustrates() -> None:
    with pytest.raises(EditError, match="is python code"):
        read("# New\n\n```python\nx\n```\n\nEnd.\n", TEXT)
    assert read("````markdown\n# New\n````\n", TEXT) == "# New\n"


def test_carriage_returns_alone_end_the_lines_of_an_answer() -> None:
    assert read(FINAL.replace("\n", "\r"), PYTHON) == BETTER
    edit = block("    return x", "    return 2").replace("\n", "\r")
    assert read(edit, PYTHON, "diff") == BETTER
