"""What the tests' server answers: scripts, the faults of providers, the slips of models."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from textwrap import dedent
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request for completions, as it arrived."""

    number: int  # from 0, in order of arrival
    model: str
    system: str
    user: str
    n: int
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass(frozen=True)
class Reply:
    """One scripted answer.

    Attributes:
        text: the completion, the same for each of `n` choices.
        texts: a completion for each choice instead, from the first again where they run out.
        finish_reason: "length" for an answer that was cut off.
        status: an HTTP error instead, with `text` as its message.
        headers: such as {"retry-after": "1"}.
        latency: seconds before the answer begins.
        slow: seconds over which the body trickles in.
        drop: close the connection in the middle of the body.
        hang_up: close the connection before the first byte.
        body: these very bytes as the body, whatever they are.
        error: more of an HTTP error than its message, such as {"code": "content_filter"}.
        choices: fewer (or no) choices than were asked for; None: as many.
        usage: say how many tokens were used?
        fault: the name of what is wrong with it, for the ledger.
    """

    text: str = ""
    texts: Sequence[str] = ()
    finish_reason: str = "stop"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    latency: float = 0.0
    slow: float = 0.0
    drop: bool = False
    hang_up: bool = False
    body: bytes | None = None
    error: Mapping[str, Any] = field(default_factory=dict)
    choices: int | None = None
    usage: bool = True
    fault: str = ""

    def written(self, count: int) -> list[str]:
        """The texts of that many choices."""
        texts = self.texts or (self.text,)
        return [texts[index % len(texts)] for index in range(count)]


Script = Callable[[Asked], "str | Reply"]


def rate_limited(retry_after: str | None = None) -> Reply:
    """A 429, with or without the time to wait."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return Reply("slow down", status=429, headers=headers)


def broken() -> Reply:
    """A 500."""
    return Reply("out of order", status=500)


def malformed() -> Reply:
    """A body that is no JSON."""
    return Reply(body=b'{"choices": [{"message": {"content": "hel')


def in_turn(replies: Sequence[str | Reply]) -> Script:
    """Answer the first request with the first reply and so on; the last one from then on."""
    return lambda asked: replies[min(asked.number, len(replies) - 1)]


# --- a model that edits whatever it is shown ------------------------------------------------------

_FENCED_CODE = re.compile(r"^(`{3,})(\w+)\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
_FLOAT = re.compile(r"(?<![\w.])\d+\.\d+(?:[eE][-+]?\d+)?")


def nudge_a_constant(asked: Asked) -> Reply:
    """Answer evolver's diff and rewrite prompts with a small change of one float of the parent.

    The choice depends on the request's words and number only, so that runs can be compared.
    """
    rng = random.Random(f"{asked.number} {asked.user}")
    return Reply(texts=[_nudged(asked, rng) for _ in range(max(1, asked.n))])


def _nudged(asked: Asked, rng: random.Random) -> str:
    parent = asked.user.rpartition("# The program to improve")[2]
    blocks = [block[3] for block in _FENCED_CODE.finditer(parent)]
    choices = [
        (block, line)
        for block in blocks
        for line in block.splitlines()
        if _FLOAT.search(line) and not line.lstrip().startswith(("#", "//", '"'))
    ]
    if not choices:
        return "There is no constant that I could change."
    block, line = rng.choice(choices)
    chosen = rng.choice(list(_FLOAT.finditer(line)))
    value = float(chosen[0]) * rng.gauss(1.0, 0.05)
    changed = f"{line[: chosen.start()]}{value!r}{line[chosen.end() :]}"
    if "SEARCH/REPLACE" in (asked.system or asked.user):
        edit = f"<<<<<<< SEARCH\n{line}\n=======\n{changed}\n>>>>>>> REPLACE"
    else:
        edit = f"```\n{block.replace(line, changed, 1)}```"
    return f"Nudge one constant.\n\n{edit}\n"


# --- the slips of models --------------------------------------------------------------------------


def _lines(answer: str, change: Callable[[str], str]) -> str:
    """Change the lines of code of an answer, and leave fences, markers and prose as they are."""
    marks = ("<<<<<<<", "=======", ">>>>>>>", "```", "Nudge")
    return "".join(
        line if line.startswith(marks) else change(line)
        for line in answer.splitlines(keepends=True)
    )


# What models do to a good answer. Some of it can be mended, some only asked for again.
SLIPS: Mapping[str, Callable[[str], str]] = {
    "prose": lambda answer: "I would rather discuss the weather.",
    "nothing": lambda answer: "",
    "nowhere": lambda answer: dedent(
        """\
        <<<<<<< SEARCH
        this line is nowhere
        =======
        x
        >>>>>>> REPLACE
        """
    ),
    "cut off": lambda answer: answer[: 2 * len(answer) // 3],
    "no end": lambda answer: answer.replace(">>>>>>> REPLACE", "").rstrip().removesuffix("```"),
    "no divider": lambda answer: answer.replace("=======\n", "").replace("```\n", "", 1),
    "carriage returns": lambda answer: answer.replace("\n", "\r\n"),
    "lost indent": lambda answer: _lines(answer, str.lstrip),
    "tabs": lambda answer: _lines(answer, lambda line: line.replace("    ", "\t")),
    "one space more": lambda answer: _lines(answer, lambda line: " " + line),
    "line numbers": lambda answer: _lines(answer, lambda line: "12: " + line),
    "fenced twice": lambda answer: f"Here it is:\n\n````\n{answer}````\n\nHope it helps!\n",
    "several fences": lambda answer: (
        f"Of old it was\n\n```python\npass\n```\n\nand now\n\n{answer}"
    ),
    "escaped": lambda answer: answer.replace("<", "&lt;").replace(">", "&gt;"),
    "in JSON": lambda answer: '{"edit": ' + repr(answer).replace("'", '"') + "}",
    "placeholder": lambda answer: "```python\n# ... the rest stays as it is ...\n```\n",
    "unified diff": lambda answer: "--- a/program\n+++ b/program\n@@ -1,3 +1,3 @@\n-no\n+yes\n",
}


# --- the faults of providers ----------------------------------------------------------------------


@dataclass(frozen=True)
class Faults:
    """How often each thing goes wrong, 0 to 1; together at most 1.

    Attributes:
        limited: 429 with a Retry-After.
        limited_bare: 429 without one.
        error: 500.
        hang_up: the connection closes before the first byte.
        drop: it closes in the middle of the body.
        slow: the body trickles in over a second.
        invalid: the body is no JSON.
        empty: an answer without choices.
        truncated: half of the text, with finish_reason "length".
        no_usage: a good answer that does not say what it cost.
        malformed: a good answer with one of the `SLIPS` of models.
    """

    limited: float = 0.0
    limited_bare: float = 0.0
    error: float = 0.0
    hang_up: float = 0.0
    drop: float = 0.0
    slow: float = 0.0
    invalid: float = 0.0
    empty: float = 0.0
    truncated: float = 0.0
    no_usage: float = 0.0
    malformed: float = 0.0

    @classmethod
    def shares(cls, *, failed: float, malformed: float) -> Faults:
        """Spread `failed` evenly over all that leaves a client without an answer."""
        kinds = ("limited", "limited_bare", "error", "hang_up", "drop", "invalid", "empty")
        return cls(malformed=malformed, **dict.fromkeys(kinds, failed / len(kinds)))


def with_faults(
    script: Script,
    faults: Faults | None = None,
    *,
    failed: float = 0.0,
    malformed: float = 0.0,
    retry_after: str = "0",
    seed: int = 0,
) -> Script:
    """Let a share of a script's answers go wrong, drawn by the number of the request.

    Args:
        script: gives the good answers.
        faults: how often each thing goes wrong.
        failed: without `faults`: the share of answers that fail.
        malformed: without `faults`: the share that a model got wrong.
        retry_after: what the 429s with a Retry-After say.
        seed: of the draws.
    """
    shares = faults or Faults.shares(failed=failed, malformed=malformed)
    kinds = [f.name for f in fields(shares)]
    weights = [getattr(shares, kind) for kind in kinds]

    def answer(asked: Asked) -> str | Reply:
        rng = random.Random(f"{seed}/{asked.number}")
        (kind,) = rng.choices([*kinds, ""], [*weights, max(0.0, 1.0 - sum(weights))])
        good = script(asked)
        good = Reply(good) if isinstance(good, str) else good
        return good if not kind else _faulty(good, kind, retry_after, rng)

    return answer


def _faulty(good: Reply, kind: str, retry_after: str, rng: random.Random) -> Reply:
    if kind == "malformed":
        name = rng.choice(list(SLIPS))
        texts = [SLIPS[name](text) for text in good.texts or (good.text,)]
        return replace(good, texts=texts, fault=f"malformed: {name}")
    if kind == "truncated":
        texts = [text[: len(text) // 2] for text in good.texts or (good.text,)]
        return replace(good, texts=texts, finish_reason="length", fault=kind)
    reply = {
        "limited": rate_limited(retry_after),
        "limited_bare": rate_limited(),
        "error": broken(),
        "hang_up": Reply(hang_up=True),
        "drop": replace(good, drop=True),
        "slow": replace(good, slow=1.0),
        "invalid": malformed(),
        "empty": replace(good, choices=0),
        "no_usage": replace(good, usage=False),
    }[kind]
    return replace(reply, fault=kind)
