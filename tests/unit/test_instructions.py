"""A text as a program: the clerk who follows it, and what is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from evolver.bundled import bundled
from evolver.errors import CandidateOutputError
from evolver.tasks.plugins import load_module
from evolver.types import Files

MODULE = load_module(bundled("evaluators") / "instructions.py")
SEED = (bundled("examples") / "prompt-text" / "prompt.md").read_bytes()


@dataclass
class Text:
    """A candidate that is only looked at."""

    content: bytes
    rng: Random = field(default_factory=lambda: Random(5))

    @property
    def files(self) -> Files:
        return {"prompt.md": self.content}


def judge(content: bytes | str) -> Any:
    return MODULE.Evaluator().evaluate(
        Text(content if isinstance(content, bytes) else content.encode())
    )


BETTER = """
"charged", "invoice has", "on my invoice", "payment failed", "for my payment", "discount": billing.
"has not arrived", "neighbour", "tracking", "shipped", "address", "never rang": delivery.
"send it back", "refund me", "label", "changed my mind": returns.
All other messages: otherwise technical.
"""


def test_a_better_text_scores_better_on_messages_that_it_never_met() -> None:
    seed, better = judge(SEED), judge(BETTER)
    assert 30 < seed.metrics["right"] < 60
    assert better.metrics["right"] == better.private["held_out_right"] == 100.0
    assert better.metrics["characters"] == len(BETTER)
    assert better.feedback == ""


def test_the_feedback_tells_of_messages_that_went_wrong() -> None:
    lines = judge(SEED).feedback.splitlines()
    assert len(lines) == 3
    clerk = MODULE.Clerk.reading(SEED.decode())
    for line in lines:
        found = re.fullmatch(r'"(.*)" is for (\w+), went to (\w+)', line)
        assert found is not None
        assert clerk.desk_of(found[1]) == found[3] != found[2]


@pytest.mark.parametrize(
    ("text", "message", "desk"),
    [
        ('"parcel" is for delivery', "My PARCEL!", "delivery"),
        ('"parcel" is for delivery', "my parcels", ""),
        ('"Parcel,  is" is for delivery', "the parcel is late", "delivery"),
        ('"parcel": delivery\n"late": billing', "late parcel", "delivery"),
        ('"late": billing\n"parcel": delivery', "late parcel", "billing"),
        ('"parcel" or "late" go to delivery', "so late", "delivery"),
        ("Otherwise returns.", "anything", "returns"),
        ('otherwise returns\n"parcel": delivery', "parcel", "delivery"),
        ("returns", "anything", ""),
        ('"parcel": delivery or returns', "parcel", ""),
        ('"billing": delivery', "billing", "delivery"),
        ('"": delivery', "anything", ""),
        ('"!": delivery', "anything!", ""),
        ('"parcel', "parcel", ""),
        ("", "parcel", ""),
    ],
)
def test_the_clerk_follows_instructions_to_the_letter(text: str, message: str, desk: str) -> None:
    assert MODULE.Clerk.reading(text).desk_of(message) == desk


def test_an_empty_text_brings_nothing_anywhere() -> None:
    assert judge("").metrics["right"] == 0.0
    assert 15 < judge("otherwise billing").metrics["right"] < 35


def test_a_list_of_messages_is_too_long() -> None:
    lines = [f'"{one.text}": {one.desk}' for one in MODULE.Evaluator()._scored]
    with pytest.raises(CandidateOutputError, match="at most 900"):
        judge("\n".join(lines))
    learnt = judge("\n".join(lines)[:900])
    assert learnt.metrics["right"] < 10


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(CandidateOutputError, match="UTF-8"):
        judge(b"\xff")
