"""The errors of evolver, and who is at fault.

    EvolverError
    ├── UsageError             the user can fix it: one line that says how, exit code 2
    ├── SandboxError           the host: the sandbox could not be started, or broke
    ├── ModelError             a model did not answer, after retries
    │   ├── ModelUnavailable   it may answer later: down, overloaded, a rate limit
    │   ├── ModelAdapted       it refuses the form of the request; the next one has another form
    │   ├── PromptTooLong      it refuses a prompt of this length
    │   ├── PromptRefused      it refuses the content of this prompt; another may pass
    │   └── ModelRefused       it refuses the key, the account or the model's name
    ├── ProposalError          an operator found no child; its requests stay paid
    │   └── EditError          a model's answer holds no edit that can be applied
    ├── EvaluatorError         the evaluator raised, or returned no valid measurement
    └── CandidateError         the candidate: its evaluation fails, the run continues
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
    """The user can fix this; the message says how."""


class SandboxError(EvolverError):
    """The sandbox itself failed; this says nothing about a candidate."""


class ModelError(EvolverError):
    """A model gave no usable answer.

    Attributes:
        bill: the cost of the request, as a completion without text; None: unknown.
    """

    def __init__(self, message: str, bill: Completion | None = None) -> None:
        super().__init__(message)
        self.bill = bill


class ModelUnavailable(ModelError):
    """The endpoint does not answer now; the same request may succeed later.

    Attributes:
        retry_after: seconds that it asks to wait; None: not given.
        is_limit: whether it limits the rate of requests.
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
    """The endpoint refuses the form of the request; a retry has another form.

    Attributes:
        lesson: the change of form, in a sentence; "" if another request made it before.
    """

    def __init__(self, message: str, bill: Completion | None = None, *, lesson: str = "") -> None:
        super().__init__(message, bill)
        self.lesson = lesson


class PromptTooLong(ModelError):
    """The endpoint refuses a prompt of this length.

    Attributes:
        share: of the prompt that would fit, by the endpoint's message; between 0 and 1.
    """

    def __init__(self, message: str, bill: Completion | None = None, *, share: float = 0.5) -> None:
        super().__init__(message, bill)
        self.share = share


class PromptRefused(ModelError):
    """The endpoint refuses this prompt, as content filters do; another prompt may pass."""


class ModelRefused(ModelError):
    """The endpoint refuses the key, the account or the model's name: retrying does not help."""


class ProposalError(EvolverError):
    """An operator could not propose a child from its context."""


class EditError(ProposalError):
    """A model's answer holds no edit that can be applied.

    Attributes:
        report: the text for a repair prompt; the message is its one-sentence form.
    """

    def __init__(self, message: str, report: str = "") -> None:
        super().__init__(message)
        self.report = report or message


class EvaluatorError(EvolverError):
    """The evaluator raised, or returned no valid measurement."""


class CandidateError(EvolverError):
    """The candidate failed; the message is feedback for the next edit.

    Attributes:
        printed: the end of the candidate's output; "" if unknown. `str(error)` includes it.
    """

    printed = ""

    def __init__(self, *args: object, printed: str = "") -> None:
        super().__init__(*args)
        self.printed = printed

    @property
    def message(self) -> str:
        """What went wrong, without the output."""
        return super().__str__()

    def __str__(self) -> str:
        return with_output(self.message, self.printed)


class CandidateCrashed(CandidateError):
    """The candidate raised, exited, or was killed by a signal or a limit."""


class CandidateTimeout(CandidateError):
    """The candidate was killed at its deadline.

    Attributes:
        output: what it printed until then, as far as it was kept: of a call the end of it, of a
            command its stdout, then its stderr.
    """

    def __init__(self, message: str, output: bytes = b"", *, printed: str = "") -> None:
        super().__init__(message, printed=printed)
        self.output = output


class CandidateOutputError(CandidateError):
    """The candidate returned a value of a wrong type, too large, or malformed."""
