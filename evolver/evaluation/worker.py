"""An evaluator worker: a trusted process without keys that judges one program at a time.

It owns the evaluator and one warm sandbox. The controller starts it with an explicit environment,
sends a `Setup` and then `Job`s over a pipe, and kills it when it does not answer in time.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable
from typing import IO

from evolver.errors import EvolverError, UsageError
from evolver.evaluation.judge import Judge, traceback_of
from evolver.evaluation.messages import Judged, PreflightJob, receive, send
from evolver.sandboxes import die_with, gpus, protect_process
from evolver.types import Preflight


def serve(inbox: IO[bytes], outbox: IO[bytes], end_output: Callable[[], None]) -> None:
    """Answer requests until the controller is gone.

    Each answer is a `Ready`, a `Judged` after some `Begun`, a `Preflight`, or an EvolverError
    that the controller raises.

    Args:
        inbox: from the controller.
        outbox: to the controller.
        end_output: called before each answer, to mark where the output of its job ends.
    """

    def reply(answer: object) -> None:
        end_output()
        send(outbox, answer)

    setup = receive(inbox)
    if setup is None:
        return
    if setup.evaluator.pickled is None:  # its files are found wherever the run was started
        os.chdir(setup.evaluator.root)
        sys.path.append(str(setup.evaluator.root))
    if setup.sandbox.gpus:  # references run here, on the candidates' GPU
        os.environ.update(gpus.environment(setup.sandbox.gpus))
    try:
        judge = Judge(setup)
        reply(judge.ready())
    except EvolverError as error:
        reply(error)
        return
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything on import
        reply(UsageError(_import_failure(error)))
        return
    try:
        while (message := receive(inbox)) is not None:
            answer: Judged | Preflight | EvolverError
            try:
                if isinstance(message, PreflightJob):
                    answer = judge.preflight(message.job)
                else:
                    program, evaluation = judge.evaluate(message, lambda one: send(outbox, one))
                    is_as_it_was = program.files == message.program.files
                    answer = Judged(evaluation, None if is_as_it_was else program.files)
            except EvolverError as error:
                answer = error
            reply(answer)
    finally:
        judge.close()


def _import_failure(error: Exception) -> str:
    return "the evaluator fails to load:\n" + traceback_of(error)


def main(controller: int, end: bytes) -> None:
    """Serve on stdin and stdout; what the evaluator prints goes to stderr, line by line.

    Args:
        controller: pid of the process that started this one. This one dies with it, even while
            the evaluator loops.
        end: a secret word; after a zero byte, it marks the end of the output of a job.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the controller's
    die_with(controller)
    protect_process()
    sys.dont_write_bytecode = True  # the evaluator's folder is the user's
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # nor may processes that it starts
    inbox = os.fdopen(os.dup(0), "rb")
    outbox = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    printed = os.dup(2)  # stays open whatever an evaluator does to its stderr
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")

    def end_output() -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # it may have been closed
                stream.flush()
        os.write(printed, b"\0" + end + b"\n")

    serve(inbox, outbox, end_output)
