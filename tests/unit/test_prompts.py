"""What models are sent: golden files, and what must never be in them.

After a wanted change: ``EVOLVER_REGENERATE=1 pytest tests/unit/test_prompts.py``, then read the
difference.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolver import prompts
from evolver.errors import EditError, UsageError
from evolver.operators.llm import (
    Diff,
    EvolutionOfThought,
    Persona,
    Plan,
    Recombine,
    Rewrite,
)
from evolver.operators.llm.asking import Asking
from evolver.programs.diffs.fences import fences
from evolver.types import (
    Brief,
    Context,
    Elite,
    Evaluation,
    Files,
    Program,
    Prompt,
    PromptSettings,
    Trial,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "prompts"
PLAIN = PromptSettings(vary=False)
EXP2 = b'''"""2**x on [0, 1]."""


# EVOLVE-BLOCK-START
def exp2(x):
    return 1.0 + 0.7 * x


# EVOLVE-BLOCK-END


def main():
    print(exp2(0.5))
'''


def elite(number: int, files: Files, digits: float, operations: float, **more: str) -> Elite:
    evaluation = Evaluation(
        "ok",
        metrics={"operations": operations, "digits": digits, "slowest": 1.25e-05},
        private={"secret_digits": 77.125},
        objectives=(digits, -operations),
        feedback=more.get("feedback", ""),
        artifacts={"trace": b"secret trace"},
        seconds=0.2134,
    )
    program = Program(
        number, files, summary=more.get("summary", ""), thought=more.get("thought", "")
    )
    return Elite(program, evaluation)


OBJECTIVES = (("digits", "maximize"), ("operations", "minimize"))


def minimal() -> Context:
    files = {"exp2.py": b"def exp2(x):\n    return 1.0 + x\n"}
    brief = Brief("Approximate 2**x on [0, 1].", files, objectives=OBJECTIVES, prompts=PLAIN)
    parent = elite(0, files, 1.1, 1)
    return Context(brief, parent, (), Random(0), lambda files: False)


def full() -> Context:
    brief = Brief(
        "Approximate 2**x on [0, 1]\nwith few operations.\n",
        {"exp2.py": EXP2},
        readonly={"check.py": b"import exp2\n\nassert exp2.exp2(0.0) == 1\n"},
        context={"notes.md": "Use `Horner`:\n\n```\na + x * b\n```\n", "formula.txt": "2**x"},
        objectives=OBJECTIVES,
        require={"operations": "<= 12", "slowest": "< 1"},
        units={"slowest": "s", "digits": "decimal digits"},
        prompts=PLAIN,
    )
    parent = elite(
        5,
        {"exp2.py": EXP2.replace(b"0.7", b"0.6931")},
        2.5,
        2,
        summary="Use log(2).",
        feedback="worst at x = 1:\n```\nwanted 2, got 1.69\n```",
    )
    tried = (
        Trial("Use a cubic.", "ok", (3.0, -6.0)),
        Trial("Divide by 1 - x.", "crashed", None, "ZeroDivisionError: float division by zero"),
        Trial("Try it at 0.", "filtered", None, "it computes the same as program 3"),
        Trial("Drop the constant.", "ok", (0.5, -2.0)),
    )
    worse = elite(2, {"exp2.py": EXP2.replace(b"0.7", b"0.5")}, 1.25, 2)
    best = elite(
        4, {"exp2.py": EXP2.replace(b"0.7 * x", b"x * (0.656 + 0.344 * x)")}, 3.5, 4,
        summary="Add a quadratic term.", thought="The error is a parabola, so add one.",
    )  # fmt: skip
    return Context(
        brief, parent, (worse, best), Random(0), lambda files: False, tried=tried, limit=4.2
    )


def several() -> Context:
    files = {
        "src/kernel.cu": b"int n;\n// EVOLVE-BLOCK-START tile\nint t = 32;\n// EVOLVE-BLOCK-END\n",
        "src/host.py": b"# EVOLVE-BLOCK-START\nblocks = 4\n# EVOLVE-BLOCK-END\n",
    }
    brief = Brief("Make it fast.", files, objectives=OBJECTIVES, timeout=10.0, prompts=PLAIN)
    faster = {**files, "src/host.py": files["src/host.py"].replace(b"4", b"8")}
    return Context(
        brief, elite(0, files, 1, 2), (elite(1, faster, 2, 2),), Random(0), lambda files: False
    )


CONTEXTS = {"minimal": minimal, "full": full, "several": several}


OPERATORS: dict[str, Asking] = {
    "diff": Diff(),
    "rewrite": Rewrite(),
    "recombine": Recombine(),
    "plan": Plan(),
    "persona": Persona(),
    "evolution-of-thought": EvolutionOfThought(),
}


@pytest.mark.parametrize("name", ["diff", "rewrite"])
@pytest.mark.parametrize("case", CONTEXTS)
def test_golden(name: str, case: str) -> None:
    compare(GOLDEN / f"{name}-{case}.md", OPERATORS[name].prompt(CONTEXTS[case]()))


@pytest.mark.parametrize("case", ["full", "several"])
@pytest.mark.parametrize("name", ["recombine", "plan", "persona", "evolution-of-thought"])
def test_golden_of_the_other_operators(name: str, case: str) -> None:
    compare(GOLDEN / f"{name}-{case}.md", OPERATORS[name].prompt(CONTEXTS[case]()))


def test_golden_follow() -> None:
    plan = "1. Fit the quadratic on [0, 1].\n2. Use `Horner`."
    prompt = prompts.render("follow", full(), system="diff", extra={"plan": plan})
    compare(GOLDEN / "follow.md", prompt)


def test_golden_again() -> None:
    context = minimal()
    prompt = prompts.render("diff", context)
    error = EditError("no match", "This SEARCH matches no lines.\nSEARCH\n    x = 1\n")
    answer = "I try.\n```python\nx = 1\n```"
    compare(GOLDEN / "again.md", prompts.again(prompt, answer, error, context.brief))


def test_golden_repair() -> None:
    complaint = "Traceback (most recent call last):\nNameError: name 'y' is not defined"
    child = {"exp2.py": EXP2.replace(b"0.7 * x", b"0.7 * y")}
    compare(GOLDEN / "repair.md", prompts.repair(full(), child, complaint, system="diff"))


def compare(path: Path, prompt: Prompt) -> None:
    text = f"{prompt.system}\n<!-- ---------- user ---------- -->\n\n{prompt.user}"
    if os.environ.get("EVOLVER_REGENERATE"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("case", CONTEXTS)
def test_what_is_private_never_appears(name: str, case: str) -> None:
    prompt = OPERATORS[name].prompt(CONTEXTS[case]())
    for secret in ("secret", "77.125"):
        assert secret not in prompt.system + prompt.user


@pytest.mark.parametrize(
    "template",
    [
        "{{ parent.private }}",
        "{{ parent.evaluation.private }}",
        "{{ brief }}",
        "{{ parent.__class__.__init__.__globals__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ nothing }}",
        "{% if %}",
        "{{ one_of() }}",
        "{{ 1 + 'a' }}",
    ],
)
def test_a_tasks_own_template_cannot_reach_further(template: str, tmp_path: Path) -> None:
    (tmp_path / "diff.user.md.j2").write_text(template)
    with pytest.raises(UsageError, match=r"prompt template diff\.user\.md\.j2 is faulty"):
        prompts.render("diff", with_settings(full(), folder=str(tmp_path)))


def with_settings(context: Context, **settings: object) -> Context:
    changed = replace(context.brief.prompts, **settings)  # type: ignore[arg-type]
    return replace(context, brief=replace(context.brief, prompts=changed))


def test_a_folder_overrides_one_template(tmp_path: Path) -> None:
    (tmp_path / "diff.user.md.j2").write_text(
        "{% for metric in parent.metrics %}{{ metric.name }}={{ metric.value }};{% endfor %}"
    )
    prompt = prompts.render("diff", with_settings(full(), folder=str(tmp_path)))
    assert prompt.user == "digits=2.5 decimal digits;operations=2;slowest=1.25e-05 s;\n"
    assert prompt.system == prompts.render("diff", full()).system
    assert prompts.path("diff.user", str(tmp_path)) == tmp_path / "diff.user.md.j2"
    assert prompts.path("diff.system", str(tmp_path)) == prompts.path("diff.system", "")


def test_a_missing_template_is_named() -> None:
    with pytest.raises(UsageError, match=r"there is no prompt template poem\.system\.md\.j2"):
        prompts.render("poem", full())
    with pytest.raises(UsageError, match=r"there is no prompt template poem\.user\.md\.j2"):
        prompts.path("poem.user", "")


@pytest.mark.parametrize("name", ["diff.system", "plan.system"])
def test_the_system_part_cannot_see_what_changes(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.md.j2").write_text("{{ parent.summary }}")
    with pytest.raises(UsageError, match="'parent' is undefined"):
        prompts.render(name.partition(".")[0], with_settings(full(), folder=str(tmp_path)))


@pytest.mark.parametrize("name", OPERATORS)
def test_the_system_part_is_the_same_for_every_attempt(name: str) -> None:
    context = with_settings(full(), vary=True)
    others = [
        replace(context, parent=context.inspirations[0], inspirations=(), rng=Random(1)),
        replace(context, parent=elite(9, {"exp2.py": EXP2 + b"# more\n" * 500}, 1, 1), tried=()),
    ]
    first = OPERATORS[name].prompt(context).system
    # Recombining one program alone is rewriting, which is asked for in the same form.
    assert {OPERATORS[name].prompt(other).system for other in others} == {first}


def test_instructions_come_in_several_phrasings() -> None:
    seen = {
        prompts.render("diff", replace(with_settings(full(), vary=True), rng=Random(seed))).user
        for seed in range(40)
    }
    assert len(seen) > 10
    for user in seen:  # however it is put, the same is said
        assert "def exp2(x):\n    return 1.0 + 0.6931 * x" in user
        assert user.count("\n# The program to improve\n") == 1
        assert "Use a cubic. Result: a trade-off" in user


def test_a_program_is_shown_to_the_letter() -> None:
    body = "\n\n\nx = 1\n\n\n\n\ny = '```'\n  \n\tz = '{{ 1 }}'"
    source = f"# EVOLVE-BLOCK-START\n{body}\n# EVOLVE-BLOCK-END"
    files = {"f.py": source.encode()}
    context = replace(minimal(), parent=elite(0, files, 1, 1))
    assert f"\n{source}\n```\n" in prompts.render("diff", context).user


def test_what_is_no_character_is_replaced_as_in_the_store() -> None:
    context = replace(minimal(), parent=elite(0, {}, 1, 1, feedback="a \ud800 b"))
    assert "a ? b" in prompts.render("diff", context).user


@given(
    st.lists(st.text("ab`{}%# \t\r\n\u00e9", max_size=60), min_size=1, max_size=3),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_every_operator_shows_any_program_whole(
    bodies: list[str], has_markers: bool, seed: int
) -> None:
    def source(body: str) -> bytes:
        inside = f"// EVOLVE-BLOCK-START\n{body}\n// EVOLVE-BLOCK-END\n" if has_markers else body
        return inside.encode()

    files = {f"f{number}.c": source(body) for number, body in enumerate(bodies)}
    changed = {path: content.replace(b"a", b"b") for path, content in files.items()}
    brief = Brief("Do.", files, objectives=OBJECTIVES)
    context = Context(
        brief, elite(3, changed, 1, 1), (elite(1, files, 1, 2),), Random(seed), lambda files: False
    )
    for operator in OPERATORS.values():
        user = operator.prompt(context).user
        for content in changed.values():
            assert content.decode().replace("\r\n", "\n") in user


def _words_on_time(context: Context) -> list[str]:
    lines = prompts.render("diff", context).user.split("\n")
    return [line for line in lines if "evaluation" in line]


def test_how_long_an_evaluation_may_take_is_said_beside_what_the_parents_took() -> None:
    stopped = "An evaluation that takes longer than {} s is stopped, and its version is rejected."
    context = full()
    assert _words_on_time(context) == [f"Its evaluation took 0.21 s. {stopped.format('4.2')}"]
    assert _words_on_time(replace(context, limit=1234.5)) == [
        f"Its evaluation took 0.21 s. {stopped.format('1230')}"
    ]
    # What a fit of many evaluations took says nothing about one.
    parent = replace(context.parent, evaluation=replace(context.parent.evaluation, evaluations=9))
    assert _words_on_time(replace(context, parent=parent)) == [stopped.format("4.2")]
    # No clock has a say in a deterministic run, which has the task's own limit.
    timed = replace(context, limit=None, brief=replace(context.brief, timeout=10.0))
    assert _words_on_time(timed) == [stopped.format("10")]
    assert _words_on_time(replace(context, limit=None)) == []


def test_long_feedback_keeps_its_ends() -> None:
    context = replace(minimal(), parent=elite(0, {}, 1, 1, feedback="A" * 9000 + "Z" * 9000))
    user = prompts.render("diff", context).user
    assert "A" * 1000 + "\n[... 14000 characters left out ...]\n" + "Z" * 3000 in user


def test_the_same_context_gives_the_same_prompt() -> None:
    for operator in OPERATORS.values():
        varied = [with_settings(make(), vary=True) for make in (full, full)]
        assert operator.prompt(varied[0]) == operator.prompt(varied[1])


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ((3.0, -2.0), "better (digits 2.5 -> 3 decimal digits, operations 2 -> 2)"),
        ((2.5, -3.0), "worse (digits 2.5 -> 2.5 decimal digits, operations 2 -> 3)"),
        ((3.0, -3.0), "a trade-off"),
        ((2.5, -2.0), "no difference"),
    ],
)
def test_what_was_tried_is_told_with_what_it_did(after: tuple[float, ...], told: str) -> None:
    context = replace(full(), tried=(Trial("Try\nthis.", "ok", after),))
    assert f"\n- Try this. Result: {told}" in prompts.render("diff", context).user


def test_without_explanations_only_the_code_its_measurements_and_the_format_are_left() -> None:
    context = with_settings(full(), explain=False)
    prompt = prompts.render("diff", context)
    said = prompt.system + prompt.user
    for gone in ("Approximate", "notes.md", "check.py", "worst at", "log(2)", "quadratic", "cubic"):
        assert gone not in said
    for kept in ("`digits`, in decimal digits: higher", "0.6931", "= 2.5", "SEARCH"):
        assert kept in said


def test_files_that_are_no_text_are_counted_not_shown() -> None:
    brief = replace(full().brief, readonly={"a.png": b"\x89PNG\0", "b.py": b"b = 1\n"})
    system = prompts.render("diff", replace(full(), brief=brief)).system
    assert "PNG" not in system
    assert "b = 1" in system
    assert "(1 more file is not shown.)" in system


# --- the budget -----------------------------------------------------------------------------------

sizes = st.integers(0, 6000)


@given(
    limit=st.integers(500, 6000),
    context=st.lists(sizes, max_size=3),
    readonly=st.lists(sizes, max_size=3),
    inspirations=st.lists(sizes, max_size=3),
    tried=st.lists(st.integers(1, 300), max_size=8),
    code=sizes,
    feedback=sizes,
    thought=sizes,
    vary=st.booleans(),
)
def test_no_prompt_is_longer_than_its_budget_unless_nothing_is_left_to_cut(
    limit: int,
    context: Sequence[int],
    readonly: Sequence[int],
    inspirations: Sequence[int],
    tried: Sequence[int],
    code: int,
    feedback: int,
    thought: int,
    vary: bool,
) -> None:
    def programs(size: int, number: int, **more: str) -> Elite:
        files = {"exp2.py": EXP2.replace(b"0.7 * x", b"0.7 * x" + b" + 0" * (size // 4))}
        return elite(number, files, 1, 1, **more)

    settings = PromptSettings(tokens=limit, vary=vary)
    base = full()
    brief = replace(
        base.brief,
        context={f"c{i}.md": "c" * size for i, size in enumerate(context)},
        readonly={f"r{i}.md": b"r" * size for i, size in enumerate(readonly)},
        prompts=settings,
    )
    whole = replace(
        base,
        brief=brief,
        parent=programs(code, 1, feedback="f" * feedback, thought="t" * thought),
        inspirations=tuple(
            programs(size, 2 + i, thought="u" * size) for i, size in enumerate(inspirations)
        ),
        tried=tuple(Trial("s" * size, "ok", (1.0, -1.0)) for size in tried),
        rng=Random(0),
    )
    bare = replace(
        whole,
        brief=replace(brief, context={}, readonly={}),
        parent=programs(code, 1),
        inspirations=(),
        tried=(),
        rng=Random(0),
    )
    prompt, least = (prompts.render("diff", each) for each in (whole, bare))
    phrasing = 40  # tokens: other draws, and the line that says how much is not shown
    assert size_of(prompt) <= max(limit, size_of(least) + phrasing)
    # The parent and the task are whole, whatever the budget.
    assert whole.parent.program.files["exp2.py"].decode() in prompt.user
    assert "Approximate 2**x" in prompt.system
    assert "`operations` <= 12" in prompt.system


def size_of(prompt: Prompt) -> int:
    return prompts.tokens(prompt.system) + prompts.tokens(prompt.user)


def test_what_is_cut_first() -> None:
    base = full()
    brief = replace(
        base.brief,
        readonly={"beside.md": b"READONLY " * 300},
        context={"first.md": "FIRST " * 400, "second.md": "SECOND " * 400},
    )
    words = {
        "READONLY": "readonly", "SECOND": "second", "FIRST": "first", "THOUGHT": "thoughts",
        "0.5 * x": "worse", "cubic": "oldest", "0.656": "best", "wanted 2": "feedback",
        "Drop the constant": "latest",
    }  # fmt: skip
    best = elite(4, base.inspirations[1].program.files, 3.5, 4, thought="THOUGHT " * 60)
    feedback = "begin " + "f" * 700 + "wanted 2" + "f" * 700 + " end"
    parent = elite(5, base.parent.program.files, 2.5, 2, feedback=feedback)
    whole = replace(base, brief=brief, parent=parent, inspirations=(base.inspirations[0], best))
    gone: list[str] = []
    for limit in range(4500, 500, -20):
        context = with_settings(replace(whole, rng=Random(0)), tokens=limit)
        prompt = prompts.render("diff", context)
        said = prompt.system + prompt.user
        missing = [name for word, name in words.items() if word not in said]
        assert set(gone) <= set(missing), "what was cut comes back with less room"
        gone += [name for name in missing if name not in gone]
    expected = [
        "readonly", "second", "first", "thoughts", "worse", "oldest", "best", "feedback", "latest",
    ]  # fmt: skip
    assert gone == expected


def test_a_context_file_that_is_too_long_keeps_its_beginning() -> None:
    brief = replace(full().brief, readonly={}, context={"long.md": "begin " + "x" * 9000})
    context = with_settings(replace(full(), brief=brief), tokens=2000)
    system = prompts.render("diff", context).system
    assert "begin x" in system
    assert "[... 7006 characters left out ...]" in system
    assert "not shown" not in system


@given(st.integers(0, 60_000), st.integers(0, 2000))
def test_an_answer_that_is_repeated_fits_too(answer: int, report: int) -> None:
    context = with_settings(minimal(), tokens=3000)
    prompt = prompts.render("diff", context)
    error = EditError("no match", "r" * report)
    asked = prompts.again(prompt, "a" * answer, error, context.brief)
    assert size_of(asked) <= 3000 + 60  # tokens of its own words
    assert asked.user.startswith(prompt.user)


@given(st.lists(st.sampled_from(["", "a", "```", "````python", "  `````", "~~~", "x ``` y"])))
def test_a_fence_holds_any_text(lines: Sequence[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    (fence,) = fences(prompts.fenced(text, "python").split("\n"))
    assert "".join(f"{line}\n" for line in fence.lines) == text
    assert fence.info == "python"
