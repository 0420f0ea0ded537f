"""Records of what a body holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """One answer.

    Attributes:
        text: "" for none.
        reasoning: the model's reasoning, where the server sends it separately.
        finish_reason: "stop", "length" where it was cut off, "content_filter" where it was
            withheld, or what else the server says.
    """

    text: str
    reasoning: str = ""
    finish_reason: str = "stop"


@dataclass(frozen=True)
class Usage:
    """Numbers of tokens; those of `prompt` include the `cached` ones."""

    prompt: int
    completion: int
    cached: int = 0


@dataclass(frozen=True)
class Complaint:
    """An error in a body that holds no answer.

    Attributes:
        words: its message.
        names: its code and its type, in lower case.
        status: the HTTP status in the error; None for none.
        is_page: is it a web page?
    """

    words: str
    names: str = ""
    status: int | None = None
    is_page: bool = False


@dataclass(frozen=True)
class Answer:
    """What a body holds: `choices`, at least one, or a `complaint`."""

    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None  # None: unknown
    model: str = ""
    complaint: Complaint | None = None
