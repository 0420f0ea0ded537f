"""Scores approximations of a function by float32 arithmetic: speed, at an error below one ULP.

The evaluator compares a candidate's values with exact ones: on all floats of one binade for each
candidate, and on the whole interval before a program is announced. The timed calls return a
checksum of the bits of the verified values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evolver import extras
from evolver.errors import CandidateOutputError, UsageError
from evolver.scoring import bench, compiling, devices
from evolver.scoring.straightline import GUEST, count_operations, trace, trace_parameters
from evolver.tasks.plugins import nearest
from evolver.types import Candidate, Result

from . import folding
from .fitting import FloatResiduals, float_residuals, rough_error
from .functions import BINADE, FUNCTIONS, Function, float_of
from .trusted import HARNESS, Error, Reference, Values, in_harness, in_library, yardstick
from .writing import in_c, in_triton, line_in_triton

_INSTEAD = (
    'to run it on the processor, set [evaluator] with = { device = "cpu", rounds = 64 } and '
    '[sandbox] preload = ["numpy"] without gpus'
)
NAME = "approximate"  # the candidate's function
GUESTS = ("compiled.py", "graphics.py")
_CODE = 2**15  # bytes; a vectorised polynomial of degree 14 takes 5,400
_CHUNK = 2**21  # floats in one answer, 8 MiB: below `result_bytes`
_STRETCH = 4096  # floats of each stretch outside the binade
_STRETCHES = 30  # number of them, at secret places
_CALLED = BINADE  # values of a timed call, which takes about one to some milliseconds
_FEWER = 16  # times fewer values are timed of the C library's scalar function
_BARE = ("-fno-asynchronous-unwind-tables",)  # so that all tables are the program's
_QUICK = 30.0  # seconds for steps that usually take far less than one


@dataclass(frozen=True)
class Evaluator:
    """Measures a float32 approximation of a function on an interval.

    In Python the candidate's `approximate(x)` is a straight line of + - * / on x and constants. The
    evaluator traces it on a symbol and writes it in C: operations are on floats, constants are
    rounded to floats, and a product that is used once, in a sum, is fused with it. In C it is
    `float approximate(float x)`, which must compile without calls of other functions. Either is
    compiled into a loop over many values, which gcc may vectorise.

    The error is in ULP: relative to the distance of neighbouring floats in the binade of the exact
    value (Muller 2005, https://inria.hal.science/inria-00070503). Real (2023), AutoNumerics-Zero,
    https://arxiv.org/abs/2312.08472, asks for an error below one, and speed.

    Attributes:
        function: name of the function to approximate: see `functions.FUNCTIONS`.
        language: "python" or "c".
        timed_below: error below which a program is timed: the limit in `require`.
        repeats: timed batches.
        tables: bytes of constants that a program in C may have.
        fit_up_to: largest number of operations for which literals are fitted.
        device: "cpu", or "cuda" for a GPU that `[sandbox] gpus` names.
        rounds: values that are computed in registers for each loaded one, timed as on a GPU, by
            `evolver.scoring.bench`; 0 for a loop that loads nothing, on the processor only.
        flags: of gcc.
    """

    function: str = "exp2"
    language: Literal["python", "c"] = "python"
    timed_below: float = 1.0
    repeats: int = 5
    tables: int = 4096
    fit_up_to: int = 40
    device: devices.Device = "cpu"
    rounds: int = 0
    flags: tuple[str, ...] = (
        "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math",
    )  # fmt: skip

    guest = {  # noqa: RUF012 - no field, and never changed
        "guest.py": GUEST.read_bytes(),
        **{name: Path(__file__).with_name(name).read_bytes() for name in GUESTS},
        **bench.GUEST,
    }

    def __post_init__(self) -> None:
        if self.function not in FUNCTIONS:
            raise UsageError(
                f"there is no function '{self.function}'; {nearest(self.function, FUNCTIONS)}"
            )
        if self.rounds < 0:
            raise UsageError(f"rounds is {self.rounds}; it must be 0 or more, for instance 64")
        if self.device == "cuda" and (self.rounds < 1 or self.language == "c"):
            raise UsageError(
                'a GPU can only time straight lines in registers: set language = "python" and '
                "rounds = 64"
            )

    def check_host(self, gpus: Sequence[int]) -> None:
        """Raise UsageError if there is no compiler or no device."""
        devices.require(self.device, gpus, _INSTEAD)
        if self.device == "cuda":
            extras.require_modules("torch", "triton")
        devices.require_compiler()

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `ulp`, the largest error, and the speed of the program if that is small enough.

        `against_vectorised` is the speed relative to the C library's function in the same loop,
        vectorised by the compiler (-ffast-math) if the library allows it; `against_libm` is
        relative to the same function, one value at a time; `ns` is nanoseconds for a value. With
        `rounds` there is `against_library` instead, relative to the device's own function, and 1 if
        the difference is within noise. `operations` is for straight lines only. Outside the binade
        it measures a few stretches of floats.

        Raises:
            CandidateError: the program does not compile or is malformed, is not finite somewhere,
                or returns another checksum than that of its values.
        """
        return self._judge(candidate, self._stretches(candidate))

    def confirm(self, candidate: Candidate) -> Result:
        """Return the same, with the error of every float of the interval.

        The 1,065,353,217 floats in [0, 1] take some seconds of one core, or a minute if the
        candidate's process sends their values: for programs in C, and on a GPU.
        """
        first, end = self._of.first, self._of.first + self._of.count
        return self._judge(
            candidate,
            [(start, min(_CHUNK, end - start)) for start in range(first, end, _CHUNK)],
        )

    def residuals(self, candidate: Candidate) -> FloatResiduals | None:
        """Return the error in ULP, in exact arithmetic, as a function of the literals.

        None if the program takes more than `fit_up_to` operations.

        Raises:
            CandidateError: the program is no straight line in its argument and its literals.
        """
        if self.language == "c":
            return None
        own = np.array(candidate.parameters, dtype=np.float64)
        line = trace_parameters(candidate, NAME)
        if count_operations(line.with_parameters(own.tolist())) > self.fit_up_to:
            return None
        return float_residuals(self._of, line, own)

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the speeds of the libraries, 1 by definition."""
        return {
            "the C library, vectorised": [{"against_vectorised": 1.0}],
            "the C library": [{"against_libm": 1.0}],
            "the device's library": [{"against_library": 1.0}],
        }

    @property
    def _of(self) -> Function:
        return FUNCTIONS[self.function]

    def _judge(self, candidate: Candidate, rest: Sequence[tuple[int, int]]) -> Result:
        """Measure a candidate on the binade and on further stretches of floats, and time it."""
        if self.language == "c":
            compiling.compile_program(
                candidate,
                "approximate",
                (*self.flags, *_BARE),
                before=HARNESS,
                tables=self.tables,
                code=_CODE,
                timeout=_QUICK,
            )
            self._prepare(candidate)
            return self._measured(candidate, partial(_returned, candidate, "compiled"), rest)
        line = trace(candidate, NAME, self._of.low, self._of.high)
        operations = {"operations": float(count_operations(line))}
        rough = rough_error(self._of, line)
        if rough > 2 * self.timed_below:  # rounding cannot make up for that
            return Result(
                {"ulp": rough, **operations},
                feedback=f"exact arithmetic with float32 constants already has an error of "
                f"{rough:.4g} ULP, so the program was not compiled",
            )
        if self.device == "cuda":
            candidate.write("kernel.py", in_triton(line_in_triton(line)).encode())
            self._prepare(candidate)
            result = self._measured(candidate, partial(_returned, candidate, "graphics"), rest)
        else:
            # The evaluator wrote this source itself, from a checked list, so it can measure it in
            # its own process; to confirm it in the candidate's would transfer gigabytes. The timed
            # calls are in the candidate's process.
            with in_harness(in_c(line), self.flags) as (values_at, content):
                candidate.write("approximate.so", content)
                self._prepare(candidate)
                result = self._measured(candidate, values_at, rest)
        return replace(result, metrics={**result.metrics, **operations})

    def _measured(
        self,
        candidate: Candidate,
        values_at: Callable[[int, int], Values],
        rest: Sequence[tuple[int, int]],
    ) -> Result:
        """Measure values on the binade and on further stretches; time the compiled program."""
        of = yardstick(self._of)
        start = self._of.binade_start
        values = np.concatenate(
            [values_at(first, _CHUNK) for first in range(start, start + BINADE, _CHUNK)]
        )
        error = _finite(of.error(start, values, _exact(self._of)))
        share = 100.0 * error.nearest / error.count
        for first, count in rest:
            error = error.and_(_finite(of.error(first, values_at(first, count))))
        metrics = {"ulp": error.ulp}
        feedback = (
            f"largest error {error.ulp:.4g} ULP, at x = {float_of(error.where)!r}; of the values "
            f"for x in [{self._of.binade:g}, {2 * self._of.binade:g}), {share:.1f} % are the "
            "nearest float"
        )
        about: Sequence[str] = ()
        if error.ulp >= self.timed_below:
            timed: Mapping[str, float] = {}
        elif not self.rounds:
            timed = self._time(candidate, values)
        else:
            timed, about = folding.compare(
                candidate, self._of, values, self.device, self.rounds, self.flags, self.repeats
            )
        return Result({**metrics, **timed}, feedback="\n".join([feedback, *about]))

    def _prepare(self, candidate: Candidate) -> None:
        """Prepare a compiled candidate for timing in registers, if `rounds` asks for it."""
        if self.rounds:
            folding.prepare(candidate, self._of, self.device, self.rounds)

    def _stretches(self, candidate: Candidate) -> list[tuple[int, int]]:
        """Draw the measured stretches outside the binade: at the ends, and at secret places."""
        first, last = self._of.first, self._of.first + self._of.count - 1
        starts = [first, last - _STRETCH + 1]
        starts += [candidate.rng.randint(*starts) for _ in range(_STRETCHES)]
        return [(start, _STRETCH) for start in starts]

    def _time(self, candidate: Candidate, values: Values) -> Mapping[str, float]:
        """Time the sum of the bits of secretly drawn values, and check it by the known values."""
        vectorised = in_library(self._of, self.flags, "-ffast-math")
        scalar = in_library(self._of, self.flags, share=_FEWER)
        took = min(
            self._timed(candidate, values, vectorised, self.repeats),
            self._timed(candidate, values, scalar, max(2, self.repeats // 2)),
        )
        return {
            "ns": 1e9 * took,
            "against_libm": scalar.least / took,
            "against_vectorised": vectorised.least / took,
        }

    def _timed(
        self,
        candidate: Candidate,
        values: Values,
        reference: Reference,
        repeats: int,
    ) -> float:
        """Return the least seconds for a value, timed in turn with a reference."""
        timing = candidate.time(
            "compiled:checksum",
            self._inputs(candidate.rng),
            repeats=repeats,
            reference=reference,
            check=partial(self._check, values),
        )
        return timing.least / _CALLED

    def _inputs(self, rng: Random) -> Iterator[tuple[int, int, int, int]]:
        """Draw the floats of the binade that are summed over."""
        while True:
            start, stride = rng.getrandbits(32), rng.getrandbits(32) | 1
            yield self._of.binade_start, start, stride, _CALLED

    def _check(self, values: Values, arguments: Sequence[int], returned: object) -> None:
        _, start, stride, count = arguments
        wanted = yardstick(self._of).checksum(values, start, stride, count)
        if type(returned) is not int or returned != wanted:
            raise CandidateOutputError(
                "the timed calls computed other values than those that were verified"
            )


def _returned(candidate: Candidate, guest: str, first: int, count: int) -> Values:
    """Return the values of a compiled candidate, from its own process."""
    returned = candidate.call(f"{guest}:values", first, count, timeout=_QUICK)
    if type(returned) is not bytes or len(returned) != 4 * count:
        raise CandidateOutputError("the guest returned no value for each float")
    return np.frombuffer(returned, np.float32)


def _finite(error: Error) -> Error:
    if not np.isfinite(error.ulp):
        raise CandidateOutputError(f"it has no finite value at x = {float_of(error.where)!r}")
    return error


@lru_cache(maxsize=1)
def _exact(function: Function) -> NDArray[np.float64]:
    """Return the exact values on the binade: 64 MiB, computed once."""
    return yardstick(function).exact(function.binade_start, BINADE)
