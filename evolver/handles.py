"""What plug-ins work with: the candidate of an evaluator, the model of an operator.

Both are Protocols, with the records that their methods take and return. On the standard library
only, as `types` and `ports` are.
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
    """What a command of a candidate printed, and how it ended. As untrusted as the candidate."""

    code: int  # exit code; -N where signal N ended it
    stdout: bytes
    stderr: bytes
    is_cut: bool = False  # it printed more than was kept
    # Both are measured by the trusted side, and no part of what is compared:
    seconds: float = field(default=0.0, compare=False)  # by the wall clock
    cpu: float = field(default=0.0, compare=False)  # CPU seconds of all processes meanwhile


#: Says of the arguments and the result of a call what is wrong with them: nothing (None or True),
#: False, or a sentence.
Check = Callable[[tuple[Any, ...], Any], Any]


class Account(NamedTuple):
    """What the kernel has counted for a candidate's processes, in seconds."""

    cpu: float  # CPU time of all threads
    waited: float  # the time in which a thread was ready and other work had the processors
    processor: int = -1  # on which its first process was last; -1: unknown


@dataclass(frozen=True)
class Timing:
    """How long calls of a candidate took, in seconds a call, measured by the trusted side.

    Attributes:
        seconds: the median over the batches.
        low: lower end of a 95 % interval for that median.
        high: its upper end.
        least: of the batches; other work on the machine only ever adds to it.
        calls: of each batch.
        samples: arguments and results: of all calls of the quickest batch, which is the one that
            counts, and of one call of each other, chosen afterwards. A result is as untrusted as
            any: verify them all, or what was timed may have computed nothing.
        reference: the median of the reference, by the same rule; None without one.
        speedup: the least of the reference, which was called in turn, over `least`.
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
    """A program in its sandbox, as an evaluator is handed it.

    Calls are plain and synchronous. Values are None, bool, int, float, str, bytes, numpy arrays,
    and lists, tuples and string-keyed dicts of them: never pickled objects. NaN and infinities
    are allowed inside arrays and as floats; the evaluator checks what it gets.

    Threads may share a candidate, and so may tasks of asyncio by `asyncio.to_thread`: its methods
    take turns, so that two calls never overlap. A timeout begins when the call has its turn.
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
            timeout: seconds for this call; never more than what is left of the evaluation's. A
                call that overruns them is killed with its process, and the next call gets a fresh
                one, as after `restart`.
            **kwargs: keyword arguments.

        Raises:
            CandidateCrashed: it raised (the message ends with its traceback) or its process died.
            CandidateTimeout: it was killed at its deadline; `output` is the end of what it printed.
            CandidateOutputError: the value is of a type that is not allowed, or too large.
            SandboxError: the sandbox itself failed.
        """

    def restart(self) -> None:
        """Go on in a fresh process with a working directory as at the beginning.

        What it has computed, started, written or learnt is gone, but for what the evaluator holds
        and gives it again: so that what a program hands on from one step to the next is no more
        than passes through the evaluator's hands, where it can be looked at and counted. It takes
        some milliseconds; the evaluation's deadline stays.

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

        The calls are made in batches of some milliseconds, each on inputs of its own. What counts
        is the CPU time that all processes of the candidate took during a batch, or the wall time
        where they slept, less that of calling nothing. CPU time before and after counts too, but
        for what carrying the values takes: work done ahead, behind or aside is work, and so is that
        of other threads. A call counts for no less than a third of that CPU time, so functions
        that are lighter than carrying their values are not told apart.
        The first call is not timed: what a program does when it is imported or first called, such
        as compiling itself, is limited by the evaluation's time and no more.

        Args:
            function: as in `call`.
            inputs: positional arguments of one call after another, drawn from `rng` so that
                nobody can know them; an iterator without an end.
            repeats: batches that are timed.
            reference: a function of the evaluator's own that does the same work; it is called
                here, in turn with the candidate's batches, on copies of the same inputs, as often
                as its own time needs. All CPU time of this process counts meanwhile, so let no
                other thread of the evaluator work.
            check: says what is wrong with a call: it returns None or True for nothing, else False
                or a sentence, or raises. It is asked of the first call, before anything is timed,
                and of all `samples`.

        Raises:
            ValueError: the inputs ran out.
            TypeError: `inputs` or one of them is nothing that can be iterated over.
            CandidateOutputError: `check` found a result wrong.
            CandidateError: as `call` does.
            SandboxError: the sandbox itself failed.
        """

    def account(self) -> Account:
        """Return what the kernel has counted for all its processes so far, dead ones included.

        Raises:
            CandidateError: it died.
            SandboxError: the sandbox itself failed.
        """

    def run(
        self, command: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
    ) -> Output:
        """Run a command in the candidate's working directory, where its files lie.

        The directory is writable and lasts for the evaluation, so that one command may compile
        what the next one runs. Functions that are called stand there too. A command that fails is
        no exception: look at `Output.code`.

        Args:
            command: the program and its arguments; no shell reads it.
            stdin: its standard input.
            timeout: seconds for this command; never more than what is left of the evaluation's. A
                command that overruns them is killed with all that the candidate has running; then
                the next use of the candidate gets a fresh process and, as after `restart`, a
                directory with nothing but the program's files: compile again what was compiled.

        Returns:
            What it printed and how it ended, with its wall time and the CPU time that the kernel
            counted for all processes of the candidate meanwhile, to within some milliseconds.

        Raises:
            CandidateCrashed: there is no such command, or the candidate's process died.
            CandidateTimeout: it was killed at its deadline; `output` is what it printed until then.
            SandboxError: the sandbox itself failed.
        """

    def read(self, path: str) -> bytes:
        """Return a regular file of the working directory, read with the candidate's own rights.

        Raises:
            CandidateOutputError: there is none, it is no regular file, or it is larger than
                `result_bytes`.
            SandboxError: the sandbox itself failed.
        """

    def write(self, path: str, data: bytes) -> None:
        """Write a file into the working directory, its folders made where they are missing.

        Raises:
            CandidateOutputError: it cannot be written there.
            SandboxError: the sandbox itself failed.
        """


@runtime_checkable
class Printing(Protocol):
    """A candidate whose output is kept."""

    def printed(self) -> str:
        """Return the end of what it has printed so far; "" where it is dead."""


# --- a model --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prompt:
    """What a model is sent.

    Attributes:
        system: what is the same for a whole run.
        user: the programs, and what is asked.
        files: the program that is asked about, read-only files included, for models that look at
            files or edit them in place; `user` shows them too.
        request: names the request in its run, by attempt and call, such as "0012-0"; set when it
            is sent.
        shorter: makes the same prompt with about so many tokens; None: it cannot be cut.
    """

    system: str
    user: str
    # What is not part of the words follows from the attempt: prompts with the same words are equal.
    files: Files = field(default_factory=dict, compare=False, repr=False)
    request: str = field(default="", compare=False)
    shorter: Callable[[int], Prompt] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Completion:
    """What a model answered, with its bill."""

    text: str
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float | None = None  # None: the price is unknown
    seconds: float = 0.0
    finish_reason: str = "stop"

    @property
    def is_empty(self) -> bool:
        """Whether it was paid for, and says nothing."""
        return not self.text.strip()


class Model(Protocol):
    """One LLM endpoint."""

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Send one request; return its completions, `n` of them, fewer where `n` is ignored.

        Operators are handed a model that keeps every answer, tries again and returns exactly `n`.

        Raises:
            ModelUnavailable: no answer now; the same request may succeed later.
            ModelRefused: no request with these settings can succeed.
            ModelError: this request cannot succeed.
        """
