"""What went wrong with a request: one sentence, and whether it is worth another try."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from pydantic import ValidationError

from evolver.errors import ModelError, ModelRefused, ModelUnavailable
from evolver.types import Completion

_LITELLM = re.compile(r"^litellm\.\w+: (?:\w+: )?(?:\w+Exception - )?")
_MESSAGE_LENGTH = 300  # characters of the server's own words

NOTHING = Completion("", dollars=0.0)  # the bill of a request that was never served


class Asked(Protocol):
    """What a message names: a `ChatModel`."""

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
        is_passing: may the same request succeed later?
        is_refusal: no request with these settings will ever succeed.
        is_limit: it answers, but limits the rate of requests.
        retry_after: seconds that the server asks to wait; None: it does not say.
        bill: what it cost all the same; None: the server may have counted what nobody was told.
    """

    sentence: str
    is_passing: bool = True
    is_refusal: bool = False
    is_limit: bool = False
    retry_after: float | None = None
    bill: Completion | None = None

    @property
    def error(self) -> ModelError:
        """The error to raise."""
        if self.is_refusal:
            return ModelRefused(self.sentence, self.bill)
        if self.is_passing:
            return ModelUnavailable(
                self.sentence, self.bill, retry_after=self.retry_after, is_limit=self.is_limit
            )
        return ModelError(self.sentence, self.bill)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _causes(inner)
        error = error.__cause__ or error.__context__


def _retry_after(error: Exception) -> float | None:
    """Read the header: seconds, or a date (RFC 9110, section 10.2.3)."""
    response = getattr(error, "response", None)
    # litellm makes up a response of its own and keeps the real one's headers beside it.
    headers = getattr(error, "litellm_response_headers", None) or getattr(response, "headers", {})
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(
        0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    )


def _clip(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= _MESSAGE_LENGTH else line[:_MESSAGE_LENGTH] + "..."


def _said(error: Exception) -> str:
    """The server's own words, without what the clients wrap around them."""
    body = getattr(error, "body", None)
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return _clip(body["message"])
    return _clip(_LITELLM.sub("", getattr(error, "message", "") or str(error)))


def explain(error: Exception, model: Asked) -> Failure:
    """Return what a client's error means, in the words of someone who can mend it."""
    import httpx
    import openai

    where = model.endpoint
    causes = list(_causes(error))
    unsent = (httpx.ConnectError, httpx.ConnectTimeout, ConnectionRefusedError)
    bill = NOTHING if any(isinstance(cause, unsent) for cause in causes) else None
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = f"{place}: {first['msg']}" if place else first["msg"]
        return Failure(f"{where} sent an answer that is no chat completion ({_clip(reason)})")
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return Failure(f"no answer from {where} within {model.timeout:g} seconds", bill=bill)
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        sentence = f"no answer from {where}: connection refused; is the server running?"
        return Failure(sentence, bill=NOTHING)
    if _said(error) == "Connection error.":  # all that is left of the cause
        reason = _clip(str(causes[-1]))
        doubt = "is the server running?" if reason == "Connection error." else reason
        return Failure(f"no answer from {where}: connection failed; {doubt}", bill=bill)
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        # litellm says 500 of answers that it cannot read, too; those come without headers.
        is_made_up = status >= 500 and getattr(error, "litellm_response_headers", True) is None
        bill = None if is_made_up else NOTHING
        return replace(_explain_status(status, error, model), bill=bill)
    return Failure(f"the request to {where} failed: {_said(error)}", is_passing=False)


def _explain_status(status: int, error: Exception, model: Asked) -> Failure:
    where, said = model.endpoint, _said(error)
    if status in (401, 403):
        variable = model.key_env or "its provider's variable"
        reason = f"{where} refuses {f'the key in {variable}' if model.key else 'the request'}"
        mend = f"set {variable} to a key that it accepts"
        return Failure(f"{reason} ({status}: {said}); {mend}", is_passing=False, is_refusal=True)
    if status == 402 or (status == 429 and "insufficient_quota" in str(error)):
        sentence = f"{where}: the account has no credit left ({status}: {said})"
        return Failure(sentence, is_passing=False, is_refusal=True)
    if status == 404:
        sentence = (
            f"{where} knows no model {model.name!r} ({status}: {said}); check the name, and the "
            "address, which usually ends in /v1"
        )
        return Failure(sentence, is_passing=False, is_refusal=True)
    if status == 429:
        sentence = f"{where} limits the rate of requests ({said})"
        return Failure(sentence, is_limit=True, retry_after=_retry_after(error))
    if status in (408, 409) or status >= 500:
        return Failure(f"{where} failed ({status}: {said})", retry_after=_retry_after(error))
    return Failure(f"{where} refuses the request ({status}: {said})", is_passing=False)
