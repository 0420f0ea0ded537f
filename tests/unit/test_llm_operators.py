"""Diff and Rewrite, with a model that answers from a script."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

import pytest
from llm_server import LLMServer, in_turn

from evolver import diffs
from evolver.errors import EditError, ModelError, ProposalError, UsageError
from evolver.models import OpenAIModel, ScriptedModel
from evolver.models.scripted import Answer
from evolver.operators.llm import Diff, Rewrite
from evolver.plugins import configure
from evolver.types import Brief, Completion, Context, Elite, Evaluation, Model, Program, Proposal

SEED = b"# EVOLVE-BLOCK-START\ndef f(x):\n    return 1.0 + x\n# EVOLVE-BLOCK-END\nf(0)\n"
BETTER = SEED.replace(b"1.0 + x", b"1.0 + 0.7 * x")
GOOD_DIFF = "Scale x.\n\n" + diffs.make({"f.py": SEED}, {"f.py": BETTER})
GOOD_REWRITE = "Scale x.\n\n```python\ndef f(x):\n    return 1.0 + 0.7 * x\n```"
OUTSIDE = "<<<<<<< SEARCH\nf(0)\n=======\nf(1)\n>>>>>>> REPLACE"
NOWHERE = "<<<<<<< SEARCH\n    return 2.0 + x\n=======\n    return 3.0\n>>>>>>> REPLACE"


def context(model: Model | None, source: bytes = SEED) -> Context:
    return Context(
        brief=Brief("Approximate.", {"f.py": SEED}, objectives=(("digits", "maximize"),)),
        parent=Elite(
            Program(7, {"f.py": source}), Evaluation("ok", {"digits": 1.5}, objectives=(1.5,))
        ),
        inspirations=(),
        rng=Random(0),
        is_seen=lambda files: False,
        model=model,
    )


def propose(operator: Diff | Rewrite, model: Model | None, source: bytes = SEED) -> Proposal:
    return asyncio.run(operator.propose(context(model, source)))


@pytest.mark.parametrize(
    ("operator", "answer"),
    [(Diff(), GOOD_DIFF), (Rewrite(), GOOD_REWRITE)],
    ids=["diff", "rewrite"],
)
class TestBoth:
    def test_an_answer_becomes_a_child(self, operator: Diff | Rewrite, answer: str) -> None:
        model = ScriptedModel([answer])
        assert propose(operator, model) == Proposal({"f.py": BETTER}, "Scale x.")
        assert model.asked == [operator.prompt(context(None))]

    def test_a_useless_answer_is_repaired_once(self, operator: Diff | Rewrite, answer: str) -> None:
        model = ScriptedModel(["I would rather not.", answer])
        assert propose(operator, model).files == {"f.py": BETTER}
        first, second = model.asked
        assert second.system == first.system
        assert second.user.startswith(first.user)  # the provider's cache holds it
        assert "I would rather not." in second.user
        assert "the answer holds no" in second.user

    def test_after_the_repairs_the_attempt_fails(
        self, operator: Diff | Rewrite, answer: str
    ) -> None:
        model = ScriptedModel(["no", "no", answer])
        with pytest.raises(EditError, match="the answer holds no"):
            propose(operator, model)
        assert len(model.asked) == 2
        assert propose(replace(operator, repairs=2), ScriptedModel(["no", "no", answer])).files
        with pytest.raises(EditError):
            propose(replace(operator, repairs=0), ScriptedModel(["no", answer]))

    def test_without_a_model_it_says_how_to_give_one(
        self, operator: Diff | Rewrite, answer: str
    ) -> None:
        with pytest.raises(UsageError, match="--model NAME"):
            propose(operator, None)

    def test_an_answer_that_changes_nothing_is_not_sent_back(
        self, operator: Diff | Rewrite, answer: str
    ) -> None:
        same = answer.replace("0.7 * x", "x")
        model = ScriptedModel([same])
        with pytest.raises(ProposalError, match="leaves the program as it is"):
            propose(operator, model)

    def test_a_model_that_does_not_answer_is_its_own_error(
        self, operator: Diff | Rewrite, answer: str
    ) -> None:
        with pytest.raises(ModelError, match="down"):
            propose(operator, ScriptedModel([ModelError("down")]))

    def test_settings_come_from_a_table(self, operator: Diff | Rewrite, answer: str) -> None:
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
def test_the_repair_prompt_says_what_is_wrong(
    operator: Diff | Rewrite, answer: Answer, told: str
) -> None:
    model = ScriptedModel([answer, "give up"])
    with pytest.raises(EditError):
        propose(operator, model)
    assert told in model.asked[1].user


def test_either_format_is_understood() -> None:
    assert propose(Rewrite(), ScriptedModel([GOOD_DIFF])).files == {"f.py": BETTER}
    whole = f"```python\n{BETTER.decode()}```"
    assert propose(Diff(), ScriptedModel([whole])).files == {"f.py": BETTER}


def test_a_fragment_is_no_edit() -> None:
    with pytest.raises(EditError, match="no SEARCH/REPLACE block"):
        propose(Diff(repairs=0), ScriptedModel(["```python\n    return 2.0 + x\n```"]))


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
