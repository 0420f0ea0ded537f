"""Pre-flight: a few milliseconds in a sandbox, before an evaluation is spent.

A timeout or a failure of the evaluator proves nothing about the program: the evaluation decides.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal

from evolver.errors import CandidateError, CandidateTimeout
from evolver.ports import Evaluator, Probing, SmokeTesting
from evolver.sandboxes import wire
from evolver.types import Candidate, Preflight

LIMIT = 2.0  # seconds for the import with the smoke run, and again for the probe

# Every module has this function; the call only imports the program's first file.
_IMPORT = "__dict__.__len__"

Open = Callable[[float], AbstractContextManager[Candidate]]  # seconds -> a fresh candidate


def run_preflight(evaluator: Evaluator, start: Open, *, imports: bool, probes: bool) -> Preflight:
    """Import a program, then smoke-run and probe it if the evaluator offers that.

    Args:
        evaluator: may be `SmokeTesting`, and `Probing`.
        start: starts the program in a fresh process.
        imports: whether its first file is Python.
        probes: whether to compute its fingerprint.

    Raises:
        SandboxError: the sandbox itself failed.
        Exception: any other error of `smoke` or `probe`.
    """
    smoke = evaluator.smoke if isinstance(evaluator, SmokeTesting) else None
    probe = evaluator.probe if probes and isinstance(evaluator, Probing) else None
    began = time.monotonic()
    fingerprint = complaint = ""
    fault: Literal["", "timeout"] = ""
    try:
        if imports or smoke is not None:
            with start(LIMIT) as candidate:
                if imports:
                    candidate.call(_IMPORT)
                if smoke is not None:
                    smoke(candidate)
        if probe is not None:  # in a fresh process, without the state of a smoke run
            with start(LIMIT) as candidate:
                fingerprint = _digest(probe(candidate))
    except CandidateTimeout:
        fault = "timeout"
    except CandidateError as error:
        complaint = str(error) or "it failed without a message"
    return Preflight(complaint, fingerprint, time.monotonic() - began, fault)


def _digest(value: object) -> str:
    """Hash a value that came out of a sandbox, to the bit."""
    tree, buffers = wire.encode(value)
    return hashlib.sha256(b"".join(wire.frame({"value": tree}, *buffers))).hexdigest()
