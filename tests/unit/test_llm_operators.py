"""Operators that ask a model, with one that answers from a script."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
from llm_server import LLMServer, in_turn

from evolver import prompts
from evolver.errors import EditError, ModelError, ProposalError, UsageError
from evolver.models import OpenAIModel, ScriptedModel
from evolver.models.scripted import Answer
from evolver.operators.llm import (
    Diff,
    EvolutionOfThought,
    Persona,
    Plan,
    Recombine,
    Rewrite,
)
from evolver.operators.llm.asking import Asking, summary, thought
from evolver.ports import Repairing
from evolver.programs import diffs
from evolver.tasks.plugins import configure
from evolver.types import (
    Brief,
    Completion,
    Context,
    Elite,
    Evaluation,
    Model,
    Program,
    Prompt,
    PromptSettings,
    Proposal,
    Tune,
)

SEED = b"# EVOLVE-BLOCK-START\ndef f(x):\n    return 1.0 + x\n# EVOLVE-BLOCK-END\nf(0)\n"
BETTER = SEED.replace(b"1.0 + x", b"1.0 + 0.7 * x")
GOOD_DIFF = "Scale x.\n\n" + diffs.make({"f.py": SEED}, {"f.py": BETTER})
GOOD_REWRITE = "Scale x.\n\n```python\ndef f(x):\n    return 1.0 + 0.7 * x\n```"
OUTSIDE = "<<<<<<< SEARCH\nf(0)\n=======\nf(1)\n>>>>>>> REPLACE"
NOWHERE = "<<<<<<< SEARCH\n    return 2.0 + x\n=======\n    return 3.0\n>>>>>>> REPLACE"


def context(model: Model | None, source: bytes = SEED) -> Context:
    return Context(
        brief=Brief(
            "Approximate.",
            {"f.py": SEED},
            objectives=(("digits", "maximize"),),
            prompts=PromptSettings(vary=False),
        ),
        parent=Elite(
            Program(7, {"f.py": source}), Evaluation("ok", {"digits": 1.5}, objectives=(1.5,))
        ),
        inspirations=(),
        rng=Random(0),
        is_seen=lambda files: False,
        model=model,
    )


def propose(operator: Asking, model: Model | None, source: bytes = SEED) -> Proposal:
    return asyncio.run(operator.propose(context(model, source)))


@pytest.mark.parametrize(
    ("operator", "answer"),
    [(Diff(), GOOD_DIFF), (Rewrite(), GOOD_REWRITE)],
    ids=["diff", "rewrite"],
)
class TestBoth:
    def test_an_answer_becomes_a_child(self, operator: Asking, answer: str) -> None:
        model = ScriptedModel([answer])
        assert propose(operator, model) == Proposal({"f.py": BETTER}, "Scale x.")
        assert model.asked == [operator.prompt(context(None))]

    def test_a_useless_answer_is_repaired_once(self, operator: Asking, answer: str) -> None:
        model = ScriptedModel(["I would rather not.", answer])
        assert propose(operator, model).files == {"f.py": BETTER}
        first, second = model.asked
        assert second.system == first.system
        assert second.user.startswith(first.user)  # the provider's cache holds it
        assert "I would rather not." in second.user
        assert "the answer holds no" in second.user

    def test_after_the_repairs_the_attempt_fails(self, operator: Asking, answer: str) -> None:
        model = ScriptedModel(["no", "no", answer])
        with pytest.raises(EditError, match="the answer holds no"):
            propose(operator, model)
        assert len(model.asked) == 2
        assert propose(replace(operator, repairs=2), ScriptedModel(["no", "no", answer])).files
        with pytest.raises(EditError):
            propose(replace(operator, repairs=0), ScriptedModel(["no", answer]))

    def test_without_a_model_it_says_how_to_give_one(self, operator: Asking, answer: str) -> None:
        with pytest.raises(UsageError, match="--model NAME"):
            propose(operator, None)

    def test_an_answer_that_changes_nothing_is_not_sent_back(
        self, operator: Asking, answer: str
    ) -> None:
        same = answer.replace("0.7 * x", "x")
        model = ScriptedModel([same])
        with pytest.raises(ProposalError, match="leaves the program as it is"):
            propose(operator, model)

    def test_a_model_that_does_not_answer_is_its_own_error(
        self, operator: Asking, answer: str
    ) -> None:
        with pytest.raises(ModelError, match="down"):
            propose(operator, ScriptedModel([ModelError("down")]))

    def test_settings_come_from_a_table(self, operator: Asking, answer: str) -> None:
        made = configure(type(operator), {"repairs": 3}, "[[operator]]")
        assert made == type(operator)(3)
        with pytest.raises(UsageError, match="did you mean 'repairs'"):
            configure(type(operator), {"repair": 3}, "[[operator]]")


def cut(text: str) -> Completion:
    return Completion(text, completion_tokens=12, finish_reason="length")


@pytest.mark.parametrize(
    ("operator", "answer", "told"),
    [
        (Diff(), NOWHERE, "The closest lines, f.py:3-3, are\n    return 1.0 + x"),
        (Diff(), OUTSIDE, "outside the editable regions"),
        (Diff(), cut("<<<<<<< SEARCH\n    ret"), "cut off after 12 tokens"),
        (Rewrite(), cut("```python\ndef f(x):\n    ret"), "cut off after 12 tokens"),
        (
            Rewrite(),
            "```\n# EVOLVE-BLOCK-START\nx\n# EVOLVE-BLOCK-END\nf(2)\n```",
            "'f(2)' lies outside the editable regions",
        ),
    ],
)
def test_the_repair_prompt_says_what_is_wrong(operator: Asking, answer: Answer, told: str) -> None:
    model = ScriptedModel([answer, "give up"])
    with pytest.raises(EditError):
        propose(operator, model)
    assert told in model.asked[1].user


def test_either_format_is_understood() -> None:
    assert propose(Rewrite(), ScriptedModel([GOOD_DIFF])).files == {"f.py": BETTER}
    whole = f"```python\n{BETTER.decode()}```"
    assert propose(Diff(), ScriptedModel([whole])).files == {"f.py": BETTER}


@pytest.mark.parametrize("prose", ["", "Above EVOLVE-BLOCK-END put\n\n"])
def test_a_fragment_is_no_edit(prose: str) -> None:
    with pytest.raises(EditError, match="no SEARCH/REPLACE block"):
        propose(Diff(repairs=0), ScriptedModel([f"{prose}```python\n    return 2.0 + x\n```"]))


def test_what_is_whole_counts_though_the_answer_was_cut_off() -> None:
    model = ScriptedModel([cut(GOOD_DIFF + "\nThis also has the adv")])
    assert propose(Diff(), model).files == {"f.py": BETTER}


@pytest.mark.parametrize("parent", [SEED.replace(b"f(0)", b"f(9)"), b"x\n" + SEED])
def test_a_child_must_keep_the_seeds_frame(parent: bytes) -> None:
    answer = "<<<<<<< SEARCH\n    return 1.0 + x\n=======\n    return x\n>>>>>>> REPLACE"
    with pytest.raises(EditError, match="outside the editable regions changed"):
        propose(Diff(repairs=0), ScriptedModel([answer]), parent)


def test_over_http() -> None:
    with LLMServer(in_turn(["no", GOOD_DIFF])) as server:

        async def proposed() -> Proposal:
            model = OpenAIModel("any", server.address)
            try:
                return await Diff().propose(context(model))
            finally:
                await model.close()

        assert asyncio.run(proposed()).files == {"f.py": BETTER}
        assert [asked.user.count("Your last answer") for asked in server.asked] == [0, 1]


# --- what an answer says of itself ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Change: use a cubic.\n\n```\nx\n```", "use a cubic."),
        ("It is odd.\n\n**Change:** use *odd* powers\n\n```\nx\n```", "use *odd* powers"),
        ("1. It is slow.\n2. `Change:` cache it.\n3.\n<<<<<<< SEARCH", "cache it."),
        ("## Change: unroll the loop\n<<<<<<< SEARCH\nChange: no\n", "unroll the loop"),
        ("<think>Change: no</think>CHANGE: yes", "yes"),
        ("First words.\n\n```\nChange: no\n```", "First words."),
        ("Change: " + "x" * 400, "x" * 299 + "…"),
    ],
)  # fmt: skip
def test_the_summary_is_the_line_that_says_what_changes(answer: str, said: str) -> None:
    assert summary(answer) == said


def test_a_thought_is_what_stands_before_the_code() -> None:
    answer = "<think>hm</think>It is odd.\n\nChange: odd powers.\n\n```\ncode\n```\nafter"
    assert thought(answer) == "It is odd."
    assert thought("Change: odd powers.\n\nIt is odd.\n```\ncode\n```") == "It is odd."
    assert thought("```\ncode\n```") == ""


# --- the others -----------------------------------------------------------------------------------


def with_others(model: Model | None, *sources: bytes) -> Context:
    """A context with inspirations; the parent is the seed, so only they differ from it."""
    others = tuple(
        Elite(
            Program(20 + number, {"f.py": source}),
            Evaluation("ok", {"digits": 2.0 + number}, objectives=(2.0 + number,)),
        )
        for number, source in enumerate(sources)
    )
    return replace(context(model), inspirations=others)


CUBE = SEED.replace(b"1.0 + x", b"1.0 + x * x * x")
SQUARE = SEED.replace(b"1.0 + x", b"1.0 + x * x")
OTHERS = [Recombine(), Plan(), Persona(), EvolutionOfThought()]


@pytest.mark.parametrize("operator", [Diff(), Rewrite(), *OTHERS], ids=lambda o: type(o).__name__)
class TestAll:
    def test_literals_are_fitted_where_that_is_asked_for(self, operator: Asking) -> None:
        tuned = replace(operator, tune=True, limit=7)
        answers = lambda prompt: GOOD_DIFF  # noqa: E731
        proposal = asyncio.run(tuned.propose(with_others(ScriptedModel(answers), CUBE)))
        assert proposal.tune == Tune(7)
        assert propose(operator, ScriptedModel(answers)).tune is None

    def test_a_child_that_does_not_run_is_mended_by_one_request(self, operator: Asking) -> None:
        broken = SEED.replace(b"x\n", b"y\n")
        child = Proposal({"f.py": broken}, "Scale.", (7, 20), Tune(3), "because")
        mend = "Typo.\n\n" + diffs.make({"f.py": broken}, {"f.py": BETTER})
        model = ScriptedModel([mend])
        assert isinstance(operator, Repairing)
        mended = asyncio.run(operator.repair(context(model), child, "NameError: name 'y'"))
        assert mended == replace(child, files={"f.py": BETTER})
        (asked,) = model.asked
        assert "return 1.0 + y" in asked.user
        assert "NameError: name 'y'" in asked.user
        assert "digits" in asked.system

    @pytest.mark.parametrize(
        ("answer", "error"),
        [("no", "no SEARCH/REPLACE block"), (GOOD_REWRITE, "no SEARCH/REPLACE block"),
         (OUTSIDE, "outside the editable regions")],
    )  # fmt: skip
    def test_what_cannot_be_mended_is_given_up(
        self, operator: Asking, answer: str, error: str
    ) -> None:
        child = Proposal({"f.py": SEED.replace(b"x\n", b"y\n")})
        model = ScriptedModel([answer])
        with pytest.raises(EditError, match=error):
            asyncio.run(operator.repair(context(model), child, "NameError"))
        assert len(model.asked) == 1

    def test_a_repair_that_changes_nothing_is_none(self, operator: Asking) -> None:
        child = Proposal({"f.py": BETTER})
        line = "    return 1.0 + 0.7 * x\n"
        same = f"<<<<<<< SEARCH\n{line}=======\n{line}>>>>>>> REPLACE"
        with pytest.raises(ProposalError, match="repair leaves the program as it is"):
            asyncio.run(operator.repair(context(ScriptedModel([same])), child, "TypeError"))


@dataclass(frozen=True)
class Shorter(Asking):
    """An operator as a user would write one."""

    lines: int = 1

    def prompt(self, context: Context) -> Prompt:
        extra = {"lines": self.lines}
        return prompts.render("shorter", context, system=self.form, extra=extra)


def test_an_operator_of_a_users_own_needs_a_template_and_a_method(tmp_path: Path) -> None:
    words = (
        "{% for file in parent.files %}{{ file.text }}{% endfor %}{{ lines }} lines less, please."
    )
    (tmp_path / "shorter.user.md.j2").write_text(words)
    base = context(ScriptedModel(["no", GOOD_DIFF]))
    own = replace(base.brief, prompts=PromptSettings(folder=str(tmp_path)))
    made = asyncio.run(Shorter(lines=3).propose(replace(base, brief=own)))
    assert made == Proposal({"f.py": BETTER}, "Scale x.")
    assert isinstance(base.model, ScriptedModel)
    assert base.model.asked[0].user == f"{SEED.decode()}3 lines less, please.\n"


class TestRecombine:
    def test_the_best_others_are_shown_and_become_parents(self) -> None:
        model = ScriptedModel([GOOD_REWRITE] * 2)
        asked = with_others(model, SQUARE, CUBE)
        two = asyncio.run(Recombine().propose(asked))
        three = asyncio.run(Recombine(parents=3).propose(asked))
        assert (two.parents, three.parents) == ((7, 21), (7, 20, 21))
        first, second = (prompt.user for prompt in model.asked)
        assert first.index("# Other versions") < first.index("x * x\n")
        assert first.index("# A program to combine it with") < first.index("x * x * x")
        assert "# Other versions" not in second
        assert second.count("# A program to combine it with (") == 2

    def test_a_copy_of_the_parent_is_no_partner(self) -> None:
        model = ScriptedModel([GOOD_REWRITE])
        proposal = asyncio.run(Recombine().propose(with_others(model, SEED)))
        assert proposal.parents == (7,)
        assert "to combine" not in model.asked[0].user

    def test_there_are_at_least_two_parents(self) -> None:
        with pytest.raises(UsageError, match="must be at least 2, got 1"):
            configure(Recombine, {"parents": 1}, "[[operator]]")


class TestPlan:
    def test_the_plan_comes_first_and_stays_with_the_child(self) -> None:
        model = ScriptedModel(["<think>hm</think>1. Scale x by 0.7.", GOOD_DIFF])
        proposal = propose(Plan(), model)
        assert proposal == Proposal({"f.py": BETTER}, "Scale x.", thought="1. Scale x by 0.7.")
        plan, code = model.asked
        assert "SEARCH" not in plan.system + plan.user
        assert "SEARCH" in code.system
        assert "1. Scale x by 0.7." in code.user
        assert "hm" not in code.user

    def test_the_code_is_repaired_like_any_other(self) -> None:
        model = ScriptedModel(["Scale x.", NOWHERE, GOOD_DIFF])
        assert propose(Plan(), model).files == {"f.py": BETTER}
        assert model.asked[2].user.startswith(model.asked[1].user)

    def test_a_model_that_answers_with_an_edit_at_once_is_taken_at_its_word(self) -> None:
        model = ScriptedModel([GOOD_DIFF])
        assert propose(Plan(), model).files == {"f.py": BETTER}

    def test_a_plan_may_hold_code_that_is_no_edit(self) -> None:
        plan = "Use\n\n```python\nx * 0.7\n```\n\ninstead of x."
        assert propose(Plan(), ScriptedModel([plan, GOOD_DIFF])).thought == plan

    def test_no_plan_no_child(self) -> None:
        with pytest.raises(ProposalError, match="plan is empty"):
            propose(Plan(), ScriptedModel(["<think>hm</think>\n"]))


def several(model: Model | None = None) -> Context:
    files = {
        "a.py": b"# EVOLVE-BLOCK-START one\na = 1\n# EVOLVE-BLOCK-END\n",
        "b.py": b"# EVOLVE-BLOCK-START two\nb = 1\n# EVOLVE-BLOCK-END\n",
    }
    base = context(model)
    grown = {**files, "b.py": files["b.py"].replace(b"b = 1", b"b = 3")}
    other = Elite(Program(9, grown), Evaluation("ok", {"digits": 3.0}, objectives=(3.0,)))
    return replace(
        base,
        brief=replace(base.brief, seed=files),
        parent=Elite(Program(7, files), base.parent.evaluation),
        inspirations=(other,),
    )


class TestPersona:
    def test_every_role_and_change_has_words_of_its_own(self) -> None:
        drawn = Persona()
        words = {
            Persona(roles=(role,), changes=(change,)).prompt(context(None)).user
            for role in drawn.roles
            for change in drawn.changes
        }
        assert len(words) == 18
        chosen = {
            drawn.prompt(replace(context(None), rng=Random(seed))).user for seed in range(300)
        }
        assert chosen == words

    def test_with_several_regions_one_is_meant(self) -> None:
        targets = {
            Persona().prompt(replace(several(), rng=Random(seed))).user.rpartition("Change `")[2]
            for seed in range(30)
        }
        assert {target.partition("`")[0] for target in targets} == {"a.py:one", "b.py:two"}

    def test_an_unknown_role_is_told(self) -> None:
        with pytest.raises(UsageError, match="authority"):
            configure(Persona, {"roles": ["clown"]}, "[[operator]]")
        with pytest.raises(UsageError, match="must have at least 1 entry"):
            configure(Persona, {"changes": []}, "[[operator]]")


class TestEvolutionOfThought:
    def test_the_difference_to_the_seed_teaches_and_another_region_is_the_target(self) -> None:
        answer = (
            "Larger is better.\n\nChange: a larger a.\n\na.py\n"
            "<<<<<<< SEARCH\na = 1\n=======\na = 3\n>>>>>>> REPLACE"
        )
        model = ScriptedModel([answer])
        proposal = asyncio.run(EvolutionOfThought().propose(several(model)))
        assert proposal.files["a.py"] == b"# EVOLVE-BLOCK-START one\na = 3\n# EVOLVE-BLOCK-END\n"
        assert (proposal.summary, proposal.thought) == ("a larger a.", "Larger is better.")
        (asked,) = model.asked
        assert "how `b.py:two` changed:" in asked.user
        assert "-b = 1\n+b = 3\n" in asked.user
        assert "same principle to `a.py:one`." in asked.user

    def test_the_parents_own_change_teaches_too(self) -> None:
        asked = EvolutionOfThought().prompt(context(None, BETTER))
        assert "# What made this program better" in asked.user
        assert "-    return 1.0 + x\n+    return 1.0 + 0.7 * x\n" in asked.user
        assert "further than it is applied now" in asked.user

    def test_while_nothing_differs_from_the_seed_it_asks_for_an_edit(self) -> None:
        assert EvolutionOfThought().prompt(context(None)) == Diff().prompt(context(None))
