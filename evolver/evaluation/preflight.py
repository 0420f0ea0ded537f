"""Pre-flight: what a few milliseconds in a sandbox tell before an evaluation is spent.

Nothing is concluded from what takes long or from an evaluator that fails: the evaluation decides.
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

# A call of what every module has: it imports the program's first file and nothing more.
_IMPORT = "__dict__.__len__"

Open = Callable[[float], AbstractContextManager[Candidate]]  # seconds -> a fresh candidate


def run_preflight(evaluator: Evaluator, start: Open, *, imports: bool, probes: bool) -> Preflight:
    """Import a program, give it a smoke run, probe it: as far as the evaluator offers them.

    Args:
        evaluator: may be `SmokeTesting`, and `Probing`.
        start: starts the program in a fresh process.
        imports: is its first file one that Python can import?
        probes: is its fingerprint wanted?

    Raises:
        SandboxError: the sandbox itself failed.
        Exception: whatever `smoke` or `probe` raise that is not the candidate's fault.
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
        if probe is not None:  # in a process that no smoke run has touched
            with start(LIMIT) as candidate:
                fingerprint = _digest(probe(candidate))
    except CandidateTimeout:
        fault = "timeout"
    except CandidateError as error:
        complaint = str(error) or "it failed without a word"
    return Preflight(complaint, fingerprint, time.monotonic() - began, fault)


def _digest(value: object) -> str:
    """Hash any value that could have come out of a sandbox, to the bit."""
    tree, buffers = wire.encode(value)
    return hashlib.sha256(b"".join(wire.frame({"value": tree}, *buffers))).hexdigest()
