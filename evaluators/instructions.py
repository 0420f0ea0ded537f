"""Scores instructions by how a scripted clerk handles messages: the program is a prompt.

The clerk is the few rules below and no language model, so that the same text has the same score
everywhere, offline.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from evolver.errors import CandidateOutputError
from evolver.types import Candidate, Result

_WORD = re.compile(r"[a-z]+")
_QUOTED = re.compile(r'"([^"]*)"')
_SHOWN = 3  # misread messages in the feedback

# Sentences of customers, by the desk that handles them. A word may occur at several desks.
_DESKS: Mapping[str, Sequence[str]] = {
    "billing": (
        "the invoice has the wrong amount", "my card was charged twice",
        "please explain the fee on my invoice", "the payment failed but the money is gone",
        "I want a receipt for my payment", "the discount is missing from the amount",
    ),
    "delivery": (
        "the parcel has not arrived", "the courier left it with a neighbour",
        "tracking has shown nothing for a week", "it was shipped to my old address",
        "please change the address for my parcel", "the courier never rang",
    ),
    "returns": (
        "it is too small and I want to send it back", "please refund me, the colour is wrong",
        "how do I get a return label", "I changed my mind and want to exchange it",
        "it came broken, please refund me", "the label for sending it back is missing",
    ),
    "technical": (
        "the app crashes when I open it", "I cannot log in with my password",
        "the screen stays black after the update", "the password reset never comes",
        "it shows an error after the update", "the app will not connect",
    ),
}  # fmt: skip
_OPENINGS = ("hello", "good morning", "to whom it may concern", "hi there", "dear team")
_ASIDES: Mapping[str, Sequence[str]] = {  # by the desk, mentioned in messages for others
    "billing": ("the payment went fine", "I have the invoice here"),
    "delivery": ("the parcel came on time", "the courier was friendly"),
    "returns": ("I do not want a refund", "I will keep it"),
    "technical": ("I wrote from the app", "I found you through the app"),
}
_CLOSINGS = ("thank you", "please hurry", "kind regards", "this is the second time I write")
_FITTED, _PART = 20260502, 0.4  # seed of the scored messages; share with an aside


@dataclass(frozen=True)
class Message:
    """A customer's message.

    Attributes:
        text: what the customer wrote.
        desk: the desk that handles it.
    """

    text: str
    desk: str


@dataclass(frozen=True)
class Clerk:
    """Follows instructions to the letter.

    A line with words in quotation marks and the name of one desk is a rule: a message with one of
    these phrases goes to that desk, and the first rule that fits decides. A line with `otherwise`
    and the name of one desk sends the rest there. All other lines are ignored.

    Attributes:
        rules: phrases, as tuples of words, and the desk.
        rest: the desk for messages that no rule fits; "" if there is none.
    """

    rules: Sequence[tuple[Sequence[tuple[str, ...]], str]]
    rest: str = ""

    @classmethod
    def reading(cls, text: str) -> Clerk:
        """Return a clerk who follows these instructions."""
        rules, rest = [], ""
        for line in text.lower().splitlines():
            phrases = [tuple(_WORD.findall(quoted)) for quoted in _QUOTED.findall(line)]
            plain = set(_WORD.findall(_QUOTED.sub(" ", line)))
            desks = [desk for desk in _DESKS if desk in plain]
            if len(desks) != 1:
                continue
            if any(phrases):
                rules.append(([phrase for phrase in phrases if phrase], desks[0]))
            elif "otherwise" in plain:
                rest = desks[0]
        return cls(rules, rest)

    def desk_of(self, message: str) -> str:
        """Return the desk that a message goes to; "" for none."""
        words = f" {' '.join(_WORD.findall(message.lower()))} "
        for phrases, desk in self.rules:
            if any(f" {' '.join(phrase)} " in words for phrase in phrases):
                return desk
        return self.rest


@dataclass(frozen=True)
class Evaluator:
    """Measures how many messages a clerk sends to the right desk by the candidate's text.

    The scored messages are the same for each evaluation; others are drawn for the private metric.

    Attributes:
        messages: how many are scored, and how many are held out.
        longest: most characters of the text, so that it cannot list all messages.
    """

    messages: int = 300
    longest: int = 900

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `right`, the share of messages in percent, and the text's `characters`.

        Raises:
            CandidateError: the program is not one UTF-8 text, or is too long.
        """
        text = self._text(candidate)
        clerk = Clerk.reading(text)
        wrong = [one for one in self._scored if clerk.desk_of(one.text) != one.desk]
        others = self._draw(Random(candidate.rng.getrandbits(63)))
        held_out = sum(clerk.desk_of(one.text) == one.desk for one in others)
        shown = candidate.rng.sample(wrong, min(_SHOWN, len(wrong)))
        return Result(
            {
                "right": 100.0 * (1 - len(wrong) / self.messages),
                "characters": float(len(text)),
            },
            {"held_out_right": 100.0 * held_out / self.messages},
            feedback="\n".join(
                f'"{one.text}" is for {one.desk}, went to {clerk.desk_of(one.text) or "no desk"}'
                for one in shown
            ),
        )

    def _text(self, candidate: Candidate) -> str:
        if len(candidate.files) != 1:
            raise CandidateOutputError("the program must be one text")
        (content,) = candidate.files.values()
        try:
            text = bytes(content).decode()
        except UnicodeDecodeError:
            raise CandidateOutputError("the text must be UTF-8") from None
        if len(text) > self.longest:
            raise CandidateOutputError(
                f"the text has {len(text)} characters; at most {self.longest} are allowed"
            )
        return text

    @cached_property
    def _scored(self) -> Sequence[Message]:
        return self._draw(Random(_FITTED))

    def _draw(self, rng: Random) -> Sequence[Message]:
        return [_message(rng) for _ in range(self.messages)]


def _message(rng: Random) -> Message:
    desk = rng.choice(sorted(_DESKS))
    parts = [rng.choice(_OPENINGS), rng.choice(_DESKS[desk])]
    if rng.random() < _PART:
        other = rng.choice([one for one in sorted(_DESKS) if one != desk])
        parts.insert(rng.choice((1, 2)), rng.choice(_ASIDES[other]))
    return Message(f"{', '.join(parts)}. {rng.choice(_CLOSINGS)}", desk)
