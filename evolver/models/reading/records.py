"""What was read of an answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """One answer.

    Attributes:
        text: "" where there is none.
        reasoning: what a model thought before it, where that stands apart.
        finish_reason: "stop", "length" where it was cut off, "content_filter" where it was
            withheld, or what else the server says.
    """

    text: str
    reasoning: str = ""
    finish_reason: str = "stop"


@dataclass(frozen=True)
class Usage:
    """How many tokens were counted; `cached` are among those of the prompt."""

    prompt: int
    completion: int
    cached: int = 0


@dataclass(frozen=True)
class Complaint:
    """An error that came where an answer should be.

    Attributes:
        words: for people.
        names: its code and its type, for programs, in lower case.
        status: the HTTP status that it names; None: it names none.
        is_page: it is a web page.
    """

    words: str
    names: str = ""
    status: int | None = None
    is_page: bool = False


@dataclass(frozen=True)
class Answer:
    """What a body says. `complaint` is None where it is an answer, and `choices` is not empty."""

    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None  # None: unknown
    model: str = ""
    complaint: Complaint | None = None
