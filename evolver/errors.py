"""The errors of evolver, and whose fault each of them is.

    EvolverError
    ├── UsageError             the user can mend it: one line that says how, exit code 2
    ├── SandboxError           the host's fault: the sandbox could not be started or broke
    ├── ModelError             a model did not answer, after retries
    │   ├── ModelUnavailable   it may answer later: down, overloaded, a rate limit
    │   ├── ModelAdapted       it refuses how the request was written; the next is written otherwise
    │   ├── PromptTooLong      it refuses a prompt of this length
    │   ├── PromptRefused      it refuses what this prompt says; another may pass
    │   └── ModelRefused       it refuses the key, the account or the model's name
    ├── ProposalError          an operator found no child; what was paid for stays paid
    │   └── EditError          a model's answer holds no edit that can be applied
    ├── EvaluatorError         the evaluator raised, or returned what is no measurement
    └── CandidateError         the candidate's fault: a status and a sentence, the run goes on
        ├── CandidateCrashed
        ├── CandidateTimeout
        └── CandidateOutputError

A failing candidate is a value (an `Evaluation` with a status); a failing host is an exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolver.wording import with_output

if TYPE_CHECKING:
    from evolver.types import Completion


class EvolverError(Exception):
    """Root of every error that evolver raises on purpose."""


class UsageError(EvolverError):
    """The user can mend this; the message says how."""


class SandboxError(EvolverError):
    """The sandbox itself failed, which is no verdict on a candidate."""


class ModelError(EvolverError):
    """A model gave no usable answer.

    Attributes:
        bill: what the request cost all the same, as a completion without text; None: who knows?
    """

    def __init__(self, message: str, bill: Completion | None = None) -> None:
        super().__init__(message)
        self.bill = bill


class ModelUnavailable(ModelError):
    """The endpoint does not answer now; the same request may succeed later.

    Attributes:
        retry_after: seconds that it asks to wait; None: it does not say.
        is_limit: it answers, but limits the rate of requests.
    """

    def __init__(
        self,
        message: str,
        bill: Completion | None = None,
        *,
        retry_after: float | None = None,
        is_limit: bool = False,
    ) -> None:
        super().__init__(message, bill)
        self.retry_after = retry_after
        self.is_limit = is_limit


class ModelAdapted(ModelError):
    """The endpoint refuses how the request was written; sent again it is written otherwise.

    Attributes:
        lesson: what this request taught, in a sentence; "" where another one had.
    """

    def __init__(self, message: str, bill: Completion | None = None, *, lesson: str = "") -> None:
        super().__init__(message, bill)
        self.lesson = lesson


class PromptTooLong(ModelError):
    """The endpoint refuses a prompt of this length.

    Attributes:
        share: of the prompt that would fit, by what the endpoint says; above 0, below 1.
    """

    def __init__(self, message: str, bill: Completion | None = None, *, share: float = 0.5) -> None:
        super().__init__(message, bill)
        self.share = share


class PromptRefused(ModelError):
    """The endpoint refuses this prompt, as content filters do; another prompt may pass."""


class ModelRefused(ModelError):
    """The endpoint refuses the key, the account or the model's name: waiting mends nothing."""


class ProposalError(EvolverError):
    """An operator could not propose a child from its context."""


class EditError(ProposalError):
    """A model's answer holds no edit that can be applied.

    Attributes:
        report: what a repair prompt tells the model; the message is its one-sentence form.
    """

    def __init__(self, message: str, report: str = "") -> None:
        super().__init__(message)
        self.report = report or message


class EvaluatorError(EvolverError):
    """The evaluator raised, or returned something that is no measurement."""


class CandidateError(EvolverError):
    """The candidate failed; the message is feedback for whoever edits it next.

    Attributes:
        printed: the end of what the candidate printed before; "" where that is not known. `str` of
            the error ends with it.
    """

    printed = ""

    def __init__(self, *args: object, printed: str = "") -> None:
        super().__init__(*args)
        self.printed = printed

    @property
    def message(self) -> str:
        """What went wrong, without what was printed."""
        return super().__str__()

    def __str__(self) -> str:
        return with_output(self.message, self.printed)


class CandidateCrashed(CandidateError):
    """The candidate raised, exited, was killed by a signal or by a limit."""


class CandidateTimeout(CandidateError):
    """The candidate was killed at its deadline.

    Attributes:
        output: what it printed until then, as far as that was kept: of a call the end of it, of a
            command its stdout and then its stderr.
    """

    def __init__(self, message: str, output: bytes = b"", *, printed: str = "") -> None:
        super().__init__(message, printed=printed)
        self.output = output


class CandidateOutputError(CandidateError):
    """The candidate returned what is not allowed: wrong type, too large, malformed."""
