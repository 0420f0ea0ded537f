"""The handles that plug-ins get: the candidate of an evaluator, the model of an operator.

Both are Protocols, here with the records that their methods take and return. Like `types` and
`ports`, this module imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple, Protocol, runtime_checkable

Files = Mapping[str, bytes]  # POSIX paths relative to the program's root -> contents


# --- a candidate ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Output:
    """The output of a candidate's command, and how it ended. As untrusted as the candidate."""

    code: int  # exit code; -N if signal N ended it
    stdout: bytes
    stderr: bytes
    is_cut: bool = False  # it printed more than is kept
    # The trusted side measures both; comparisons ignore them:
    seconds: float = field(default=0.0, compare=False)  # by the wall clock
    cpu: float = field(default=0.0, compare=False)  # CPU seconds of all processes meanwhile


#: Checks the arguments and the result of a call. Returns None or True if they are right, else False
#: or a sentence.
Check = Callable[[tuple[Any, ...], Any], Any]


class Account(NamedTuple):
    """The kernel's account of a candidate's processes, in seconds."""

    cpu: float  # CPU time of all threads
    waited: float  # time in which a thread was ready but other work had the processors
    processor: int = -1  # the last one of its first process; -1: unknown


@dataclass(frozen=True)
class Timing:
    """How long calls of a candidate took, in seconds a call, measured by the trusted side.

    Attributes:
        seconds: the median over the batches.
        low: lower end of a 95 % interval for that median.
        high: its upper end.
        least: of the quickest batch; other work on the machine only adds to it.
        calls: in each batch.
        samples: arguments and results of all calls of the quickest batch, and of one call of each
            other batch, chosen afterwards. Results are untrusted: verify them all, or the timed
            calls may have computed nothing.
        reference: the median of the reference, measured likewise; None without one.
        speedup: the least time of the reference, whose batches alternate, over `least`.
    """

    seconds: float
    low: float
    high: float
    least: float
    calls: int
    samples: tuple[tuple[tuple[Any, ...], Any], ...]
    reference: float | None = None
    speedup: float | None = None


class Candidate(Protocol):
    """A program in its sandbox, as an evaluator gets it.

    Calls are plain and synchronous. Values are None, bool, int, float, str, bytes, numpy arrays,
    and lists, tuples and string-keyed dicts of them: never pickled objects. NaN and infinities
    are allowed inside arrays and as floats; the evaluator has to check them.

    Threads may share a candidate, and so may asyncio tasks by `asyncio.to_thread`: calls take turns
    and never overlap. A timeout starts when the call has its turn.
    """

    files: Files
    rng: Random  # host side, from (run seed, attempt): draw secret inputs from it

    @property
    def parameters(self) -> Sequence[float]:
        """The float literals of the editable regions, in the order of `literals.find`."""

    def at(self, parameters: Sequence[float]) -> Candidate:
        """Return the same candidate with other values for its float literals, in the same process.

        The program's modules are executed afresh with the new values at the next call.
        """

    def call(self, function: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a function of the candidate and return its value.

        Args:
            function: "name" in the first program file, "module:name" in another,
                "guest:name" in the evaluator's guest code.
            *args: positional arguments.
            timeout: seconds for this call, at most the rest of the evaluation's. A call that
                exceeds it is killed with its process; the next call gets a fresh process, as after
                `restart`.
            **kwargs: keyword arguments.

        Raises:
            CandidateCrashed: it raised (the message ends with its traceback) or its process died.
            CandidateTimeout: it was killed at its deadline; `output` is the end of what it printed.
            CandidateOutputError: the value is of a type that is not allowed, or too large.
            SandboxError: the sandbox itself failed.
        """

    def restart(self) -> None:
        """Continue in a fresh process with a fresh working directory.

        Everything that the program has computed, started or written is gone. So the only way for it
        to pass something from one step to the next is through the evaluator, which can check and
        count it. This takes some milliseconds; the evaluation's deadline stays.

        Raises:
            CandidateError: it was dead already, or its time is over.
            SandboxError: the sandbox itself failed.
        """

    def time(
        self,
        function: str,
        inputs: Iterable[Sequence[Any]],
        *,
        repeats: int,
        reference: Callable[..., Any] | None = None,
        check: Check | None = None,
    ) -> Timing:
        """Time calls of a function on one core, by clocks that the candidate cannot reach.

        The calls are made in batches of some milliseconds, each on its own inputs. A batch counts
        the CPU time of all processes of the candidate, or the wall time if they slept, less the
        time of calling nothing. CPU time before and after a batch counts too, except for the
        transfer of values, so work ahead, behind or in other threads is counted. A call counts for
        at least a third of that CPU time, so functions that take less than the transfer of their
        values cannot be told apart.
        The first call is not timed: only the evaluation's timeout limits what a program does when
        it is imported or first called, such as compiling itself.

        Args:
            function: as in `call`.
            inputs: positional arguments of one call after another, without an end; draw them from
                `rng`, so that they cannot be known in advance.
            repeats: the number of timed batches.
            reference: a function of the evaluator that does the same work. It is called here,
                alternating with the candidate's batches, on copies of the same inputs, as often as
                its own time needs. All CPU time of this process counts meanwhile, so no other
                thread of the evaluator may work.
            check: called with the first call, before anything is timed, and with all `samples`. It
                returns None or True if the call is right; else it returns False or a sentence, or
                raises.

        Raises:
            ValueError: the inputs ran out.
            TypeError: `inputs` or one of them is not iterable.
            CandidateOutputError: a result fails `check`.
            CandidateError: as `call` does.
            SandboxError: the sandbox itself failed.
        """

    def account(self) -> Account:
        """Return the kernel's account of all its processes so far, including dead ones.

        Raises:
            CandidateError: it died.
            SandboxError: the sandbox itself failed.
        """

    def run(
        self, command: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
    ) -> Output:
        """Run a command in the candidate's working directory, where its files lie.

        The directory is writable and lasts for the evaluation, so one command may compile what the
        next one runs. It is the working directory of called functions too. A command that fails
        raises nothing: see `Output.code`.

        Args:
            command: the program and its arguments; no shell reads it.
            stdin: its standard input.
            timeout: seconds for this command, at most the rest of the evaluation's. A command that
                exceeds it is killed with everything that the candidate runs. The next use of the
                candidate gets a fresh process and, as after `restart`, a directory with the
                program's files only: compile again what was compiled.

        Returns:
            Its output and exit code, its wall time, and the CPU time of all processes of the
            candidate meanwhile, to within some milliseconds.

        Raises:
            CandidateCrashed: there is no such command, or the candidate's process died.
            CandidateTimeout: it was killed at its deadline; `output` is what it printed until then.
            SandboxError: the sandbox itself failed.
        """

    def read(self, path: str) -> bytes:
        """Return a regular file of the working directory, read with the candidate's own rights.

        Raises:
            CandidateOutputError: the file is missing, not regular, or larger than `result_bytes`.
            SandboxError: the sandbox itself failed.
        """

    def write(self, path: str, data: bytes) -> None:
        """Write a file into the working directory; missing folders are made.

        Raises:
            CandidateOutputError: it cannot be written there.
            SandboxError: the sandbox itself failed.
        """


@runtime_checkable
class Printing(Protocol):
    """A candidate whose output is kept."""

    def printed(self) -> str:
        """Return the end of its output so far; "" if it is dead."""


# --- a model --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prompt:
    """A request to a model.

    Attributes:
        system: the part that is the same for a whole run.
        user: the programs and the question.
        files: the program in question with its read-only files, for models that read files or edit
            them in place; `user` shows them too.
        request: names the request in its run, by attempt and call, such as "0012-0"; set when it
            is sent.
        shorter: makes the same prompt with about so many tokens; None: it cannot be shortened.
    """

    system: str
    user: str
    # These follow from the attempt: prompts with the same texts are equal.
    files: Files = field(default_factory=dict, compare=False, repr=False)
    request: str = field(default="", compare=False)
    shorter: Callable[[int], Prompt] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Completion:
    """A model's answer, with its cost."""

    text: str
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float | None = None  # None: the price is unknown
    seconds: float = 0.0
    finish_reason: str = "stop"

    @property
    def is_empty(self) -> bool:
        """Whether it was paid for but has no text."""
        return not self.text.strip()


class Model(Protocol):
    """One LLM endpoint."""

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Send one request; return `n` completions, or fewer if the endpoint ignores `n`.

        The model that operators get stores every answer, retries, and returns exactly `n`.

        Raises:
            ModelUnavailable: no answer now; the same request may succeed later.
            ModelRefused: no request with these settings can succeed.
            ModelError: this request cannot succeed.
        """
