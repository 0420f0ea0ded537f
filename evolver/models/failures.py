"""What went wrong with a request: one sentence, and whether it is worth another try.

An outage is a failure that may pass by itself: no connection, no answer in time, a status that says
so. For everything else the sentence says what to check.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, Protocol

from evolver.errors import (
    ModelError,
    ModelRefused,
    ModelUnavailable,
    PromptRefused,
    PromptTooLong,
)
from evolver.models.reading import Complaint, plain
from evolver.types import Completion

Kind = Literal["outage", "request", "prompt", "length", "model"]

_LITELLM = re.compile(r"^litellm\.\w+: (?:\w+: )?(?:\w+Exception - )?")
_UNREAD = re.compile(r"^litellm\..*(?:Unable to get json response|to valid response)", re.DOTALL)
_MESSAGE_LENGTH = 300  # characters of the server's own words
_PASSING = (408, 409, 425, 429)  # statuses below 500 that may pass by themselves
_LENGTH = re.compile(
    r"context[ _-]?length|context[ _-]?window|maximum context|context size|exceed_context"
    r"|(?:prompt|input|message)s? (?:is|are) too long|too many (?:input |prompt )?tokens"
    r"|input length|reduce (?:the length|your (?:message|prompt|input))|request too large"
    r"|string_above_max_length|prompt[ _]too[ _]long|token count.{0,40}exceed"
    r"|max_position_embeddings|tokens. must be <=|^too long: expected at most",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(
    "request too large", re.IGNORECASE
)  # too long for the limit of a minute, so waiting does not help
_FILTER = re.compile(
    r"content[ _-]?(?:filter|policy|management|moderation|safety)|flagged|moderat"
    r"|policy[ _]violation|usage polic|responsible ?ai|safety (?:system|filter|setting)"
    r"|prohibited (?:content|use)|harmful|content exists risk|inappropriate content",
    re.IGNORECASE,
)
# Names of errors in bodies -> the HTTP status that means the same.
_STATUSES = (
    (re.compile(r"insufficient_quota|billing|payment|credit"), 402),
    (re.compile(r"invalid_api_key|authenti|unauthorized|unauthenticated"), 401),
    (re.compile(r"permission|forbidden"), 403),
    (re.compile(r"model_not_found|not_found"), 404),
    (re.compile(r"rate.?limit|resource_exhausted|too.?many.?requests"), 429),
    (re.compile(r"overload|unavailable|capacity"), 503),
    (re.compile(r"time.?out|deadline"), 408),
    (re.compile(r"server.?error|internal|bad.?gateway|provider.?error|upstream"), 500),
)

NOTHING = Completion("", dollars=0.0)  # the bill of a request that was never served


class Asked(Protocol):
    """What a message says about a model: a `ChatModel`."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def key_env(self) -> str: ...  # noqa: D102
    @property
    def timeout(self) -> float: ...  # noqa: D102
    @property
    def endpoint(self) -> str: ...  # noqa: D102
    @property
    def key(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True)
class Failure:
    """One failed request.

    Attributes:
        sentence: what went wrong and what to do, without a full stop.
        kind: what is at fault: the endpoint for now ("outage"), this request ("request"), the
            content of its prompt ("prompt") or its length ("length"), or every request ("model").
        words: the server's own, by which later requests are adapted; "" for none.
        is_limit: does the endpoint limit the rate of requests?
        retry_after: seconds that the server asks to wait; None: it does not say.
        bill: what the failed request cost; None: unknown.
    """

    sentence: str
    kind: Kind = "request"
    words: str = ""
    is_limit: bool = False
    retry_after: float | None = None
    bill: Completion | None = None

    @property
    def error(self) -> ModelError:
        """The error to raise."""
        match self.kind:
            case "model":
                return ModelRefused(self.sentence, self.bill)
            case "prompt":
                return PromptRefused(self.sentence, self.bill)
            case "length":
                return PromptTooLong(self.sentence, self.bill, share=_share_that_fits(self.words))
            case "outage":
                return ModelUnavailable(
                    self.sentence, self.bill, retry_after=self.retry_after, is_limit=self.is_limit
                )
        return ModelError(self.sentence, self.bill)


def _share_that_fits(words: str) -> float:
    """Return the share of a too long prompt that would fit, by the numbers in the refusal."""
    limit = re.search(
        r"(?:max\w*|limit|window|context (?:length|size)|up to|at most|>)\D{0,40}?(\d[\d,]{2,})",
        words,
        re.IGNORECASE,
    )
    if limit is None:
        return 0.5
    most = _number(limit[1])
    answer = re.search(r"(\d[\d,]*) (?:tokens )?(?:in|for) the completion", words)
    prompt = re.search(r"(\d[\d,]*) (?:tokens )?(?:in|from|of) (?:the|your) (?:input )?messages",
                       words)  # fmt: skip
    room = most - (_number(answer[1]) if answer else 0)
    asked = _number(prompt[1]) if prompt else max(map(_number, re.findall(r"\d[\d,]*", words)))
    return min(0.9, max(0.05, 0.9 * room / asked)) if room < asked else 0.5


def _number(digits: str) -> int:
    return int(digits.replace(",", "")[:12] or 0)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _causes(inner)
        error = error.__cause__ or error.__context__


def _headers(error: Exception) -> dict[str, str]:
    response = getattr(error, "response", None)
    # litellm makes a response of its own and keeps the headers of the real one beside it.
    headers = getattr(error, "litellm_response_headers", None) or getattr(response, "headers", {})
    return {name.lower(): value for name, value in dict(headers).items()}


def _retry_after(error: Exception) -> float | None:
    """Read the header: seconds, or a date (RFC 9110, section 10.2.3); or milliseconds."""
    headers = _headers(error)
    value = headers.get("retry-after", "")
    for text, unit in ((headers.get("retry-after-ms", ""), 1e-3), (value, 1.0)):
        try:
            seconds = unit * float(text)
        except ValueError:
            continue
        if seconds < float("inf"):
            return max(0.0, seconds)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(
        0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    )


def _clip(message: str) -> str:
    line = " ".join(plain(message).split())
    return line if len(line) <= _MESSAGE_LENGTH else line[:_MESSAGE_LENGTH] + "..."


def _said(error: Exception) -> str:
    """Return the server's own words, without those of the client libraries."""
    body = getattr(error, "body", None)
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return _clip(body["message"])
    words = _LITELLM.sub("", getattr(error, "message", "") or str(error))
    return _clip(words.partition("Traceback (most recent call last)")[0])


def explain(error: Exception, model: Asked) -> Failure:
    """Return what a client's error means."""
    import httpx

    causes = list(_causes(error))
    unanswered = _without_answer(error, causes, model)
    if unanswered is not None:
        return unanswered
    status = getattr(error, "status_code", None)
    # litellm also says 500 where it cannot read an answer or send a request.
    is_made_up = getattr(error, "litellm_response_headers", True) is None or (
        _UNREAD.search(str(error)) is not None
    )
    if isinstance(status, int) and not (is_made_up and status >= 500):
        names = " ".join(str(getattr(error, key, "")) for key in ("code", "type", "body"))
        said = _headers(error).get("location") or _said(error)
        found = _of_status(status, said, f"{error} {names}", model)
        return replace(found, retry_after=_retry_after(error), bill=NOTHING)
    if any(isinstance(cause, httpx.TransportError | ConnectionError) for cause in causes):
        return Failure(f"no answer from {model.endpoint}: {_said(error)}", "outage")
    return Failure(f"the request to {model.endpoint} failed: {_said(error)}")


def _without_answer(
    error: Exception, causes: Sequence[BaseException], model: Asked
) -> Failure | None:
    """Return why there was no answer; None where there was one."""
    import httpx
    import openai

    where, reason = model.endpoint, _clip(str(causes[-1]))

    def is_due_to(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    unsent = (httpx.ConnectError, httpx.ConnectTimeout, ConnectionRefusedError)
    bill = NOTHING if is_due_to(*unsent) else None
    for kind, sentence in (
        (ssl.SSLCertVerificationError, f"the certificate of {where} is refused ({reason}); check "
         "the address, and SSL_CERT_FILE"),
        (httpx.TooManyRedirects, f"{where} redirects requests in a circle; check the address"),
        (httpx.InvalidURL, f"{where} is no address ({reason}); check it"),
        (httpx.UnsupportedProtocol, f"{where} is no address ({reason}); check it"),
        (httpx.LocalProtocolError, f"no request can be sent to {where} ({reason}); check the key"),
    ):  # fmt: skip
        if is_due_to(kind):
            return Failure(sentence, bill=NOTHING)
    if is_due_to(httpx.DecodingError):
        return Failure(
            f"{where} sent an answer whose compression is broken ({reason}); check what stands "
            "between, such as a proxy"
        )
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        sentence = f"no answer from {where} within {model.timeout:g} seconds"
        return Failure(sentence, "outage", bill=bill)
    if is_due_to(ConnectionRefusedError):
        sentence = f"no answer from {where}: connection refused; is the server running?"
        return Failure(sentence, "outage", bill=NOTHING)
    if _said(error) == "Connection error.":  # litellm keeps no more of the cause
        doubt = "is the server running?" if reason == "Connection error." else reason
        sentence = f"no answer from {where}: connection failed; {doubt}"
        return Failure(sentence, "outage", bill=bill)
    return None


def explain_complaint(complaint: Complaint, model: Asked) -> Failure:
    """Return what an error in a body means."""
    said = _clip(complaint.words)
    if complaint.is_page:
        sentence = f"{model.endpoint} sent a web page instead of an answer ({said})"
        return Failure(f"{sentence}; check the address, which usually ends in /v1")
    names = complaint.names
    status = complaint.status or next(
        (status for pattern, status in _STATUSES if pattern.search(names)), 400
    )
    return replace(_of_status(status, said, f"{said} {names}", model), bill=NOTHING)


def _of_status(status: int, said: str, words: str, model: Asked) -> Failure:
    """Return what a status means.

    Args:
        status: of HTTP.
        said: the server's words, for people.
        words: the server's words and the names of the error, to search for its cause.
        model: the one asked.
    """
    where = model.endpoint
    told = f"({status}: {said})"
    if 300 <= status < 400:
        return Failure(f"{where} redirects requests {told}; set api_base to where they belong")
    if status == 402 or (status == 429 and "insufficient_quota" in words):
        return Failure(f"{where}: the account has no credit left {told}", "model", words)
    if status != 401 and _LENGTH.search(words) and (status != 429 or _TOO_LARGE.search(words)):
        sentence = f"{where} refuses the request {told}; set [prompts] tokens to fewer"
        return Failure(sentence, "length", words)
    if status in (400, 403, 422, 451) and _FILTER.search(words):
        return Failure(f"{where} refuses the prompt {told}", "prompt", words)
    if status in (401, 403):
        variable = model.key_env or "its provider's variable"
        reason = f"{where} refuses {f'the key in {variable}' if model.key else 'the request'}"
        sentence = f"{reason} {told}; set {variable} to a key that it accepts"
        return Failure(sentence, "model" if status == 401 else "prompt", words)
    if status == 404:
        sentence = (
            f"{where} knows no model {model.name!r} {told}; check the name, and the "
            "address, which usually ends in /v1"
        )
        return Failure(sentence, "model", words)
    if status == 429:
        return Failure(f"{where} limits the rate of requests ({said})", "outage", is_limit=True)
    if status in _PASSING or status >= 500:
        return Failure(f"{where} failed {told}", "outage", words)
    address = "; check the address, which usually ends in /v1" if status == 405 else ""
    return Failure(f"{where} refuses the request {told}{address}", words=words)
