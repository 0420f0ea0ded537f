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
from evolver.diffs.answers import fences
from evolver.errors import EditError, UsageError
from evolver.types import Brief, Context, Elite, Evaluation, Files, Program, Prompt

GOLDEN = Path(__file__).parent.parent / "golden" / "prompts"
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
    )
    return Elite(Program(number, files, summary=more.get("summary", "")), evaluation)


def minimal() -> Context:
    files = {"exp2.py": b"def exp2(x):\n    return 1.0 + x\n"}
    brief = Brief("Approximate 2**x on [0, 1].", files, objectives=(("digits", "maximize"),))
    parent = elite(0, files, 1.1, 1)
    return Context(brief, parent, (), Random(0), lambda files: False)


def full() -> Context:
    brief = Brief(
        "Approximate 2**x on [0, 1]\nwith few operations.\n",
        {"exp2.py": EXP2},
        readonly={"check.py": b"import exp2\n\nassert exp2.exp2(0.0) == 1\n"},
        context={"notes.md": "Use `Horner`:\n\n```\na + x * b\n```\n", "formula.txt": "2**x"},
        objectives=(("digits", "maximize"), ("operations", "minimize")),
        require={"operations": "<= 12", "slowest": "< 1"},
    )
    parent = elite(
        5,
        {"exp2.py": EXP2.replace(b"0.7", b"0.6931")},
        2.5,
        2,
        summary="Use log(2).",
        feedback="worst at x = 1:\n```\nwanted 2, got 1.69\n```",
    )
    worse = elite(2, {"exp2.py": EXP2.replace(b"0.7", b"0.5")}, 1.25, 2)
    best = elite(
        4, {"exp2.py": EXP2.replace(b"0.7 * x", b"x * (0.656 + 0.344 * x)")}, 3.5, 4,
        summary="Add a quadratic term.",
    )  # fmt: skip
    return Context(brief, parent, (worse, best), Random(0), lambda files: False)


def several() -> Context:
    files = {
        "src/kernel.cu": b"int n;\n// EVOLVE-BLOCK-START tile\nint t = 32;\n// EVOLVE-BLOCK-END\n",
        "src/host.py": b"# EVOLVE-BLOCK-START\nblocks = 4\n# EVOLVE-BLOCK-END\n",
    }
    brief = Brief("Make it fast.", files, objectives=(("seconds", "minimize"),))
    faster = {**files, "src/host.py": files["src/host.py"].replace(b"4", b"8")}
    return Context(
        brief, elite(0, files, 1, 2), (elite(1, faster, 2, 2),), Random(0), lambda files: False
    )


CONTEXTS = {"minimal": minimal, "full": full, "several": several}


@pytest.mark.parametrize("name", ["diff", "rewrite"])
@pytest.mark.parametrize("case", CONTEXTS)
def test_golden(name: str, case: str) -> None:
    prompt = prompts.render(name, CONTEXTS[case]())
    compare(GOLDEN / f"{name}-{case}.md", prompt)


def test_golden_repair() -> None:
    prompt = prompts.render("diff", minimal())
    error = EditError("no match", "This SEARCH matches no lines.\nSEARCH\n    x = 1\n")
    answer = "I try.\n```python\nx = 1\n```"
    compare(GOLDEN / "repair.md", prompts.repair(prompt, answer, error))


def compare(path: Path, prompt: Prompt) -> None:
    text = f"{prompt.system}\n<!-- ---------- user ---------- -->\n\n{prompt.user}"
    if os.environ.get("EVOLVER_REGENERATE"):
        path.write_text(text)
    assert text == path.read_text()


def test_what_is_private_never_appears() -> None:
    for make in CONTEXTS.values():
        for name in ("diff", "rewrite"):
            prompt = prompts.render(name, make())
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
    ],
)
def test_a_tasks_own_template_cannot_reach_further(template: str, tmp_path: Path) -> None:
    (tmp_path / "diff.user.md.j2").write_text(template)
    with pytest.raises(UsageError, match=r"prompt template diff\.user\.md\.j2 is faulty"):
        prompts.render("diff", full(), [tmp_path])


def test_a_folder_overrides_one_template(tmp_path: Path) -> None:
    (tmp_path / "diff.user.md.j2").write_text(
        "{% for metric in parent.metrics %}{{ metric.name }}={{ metric.value }};{% endfor %}"
    )
    prompt = prompts.render("diff", full(), [tmp_path])
    assert prompt.user == "digits=2.5;operations=2;slowest=1.25e-05;\n"
    assert prompt.system == prompts.render("diff", full()).system


def test_a_missing_template_is_named() -> None:
    with pytest.raises(UsageError, match=r"there is no prompt template poem\.system\.md\.j2"):
        prompts.render("poem", full())


@pytest.mark.parametrize("name", ["diff", "rewrite"])
def test_the_system_part_is_the_same_for_every_parent(name: str) -> None:
    context = full()
    other = replace(context, parent=context.inspirations[0], inspirations=())
    assert prompts.render(name, context).system == prompts.render(name, other).system


def test_a_program_is_shown_to_the_letter() -> None:
    body = "\n\n\nx = 1\n\n\n\n\ny = '```'\n  \n\tz = '{{ 1 }}'"
    source = f"# EVOLVE-BLOCK-START\n{body}\n# EVOLVE-BLOCK-END"
    files = {"f.py": source.encode()}
    context = replace(minimal(), parent=elite(0, files, 1, 1))
    assert f"\n{source}\n```\n" in prompts.render("diff", context).user


def test_long_feedback_keeps_its_ends() -> None:
    context = replace(minimal(), parent=elite(0, {}, 1, 1, feedback="A" * 9000 + "Z" * 9000))
    user = prompts.render("diff", context).user
    assert "A" * 1000 + "\n[... 14000 characters left out ...]\n" + "Z" * 3000 in user


def test_the_same_context_gives_the_same_prompt() -> None:
    assert prompts.render("diff", full()) == prompts.render("diff", full())


@given(st.lists(st.sampled_from(["", "a", "```", "````python", "  `````", "~~~", "x ``` y"])))
def test_a_fence_holds_any_text(lines: Sequence[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    (fence,) = fences(prompts.fenced(text, "python").split("\n"))
    assert "".join(f"{line}\n" for line in fence.lines) == text
    assert fence.info == "python"
