"""The operator that fits a parent's literals and changes nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest
from command_line import TASK_TOML, write_task

import evolver
from evolver.errors import ProposalError
from evolver.operators.genetic import Refit
from evolver.types import Brief, Context, Elite, Evaluation, Files, Program

FILES = {"curve.py": b"def curve(x):\n    return 1.0 + 0.7 * x\n"}


def context(files: Files, fits: int = 0) -> Context:
    parent = Elite(Program(0, files), Evaluation("ok", objectives=(0.0,)))
    return Context(
        Brief("", files), parent, (), Random(1), lambda _files: True, lambda _files: fits
    )


def test_the_parent_is_proposed_for_a_fit() -> None:
    proposal = asyncio.run(Refit(limit=7, starts=3).propose(context(FILES)))
    assert proposal.files == FILES
    assert proposal.tune is not None
    assert (proposal.tune.limit, proposal.tune.starts) == (7, 3)
    assert "2 literals" in proposal.summary


def test_a_structure_is_fitted_some_times_and_then_left_alone() -> None:
    asyncio.run(Refit(times=2).propose(context(FILES, fits=1)))
    with pytest.raises(ProposalError, match="often enough"):
        asyncio.run(Refit(times=2).propose(context(FILES, fits=2)))


def test_without_literals_there_is_nothing_to_fit() -> None:
    with pytest.raises(ProposalError, match="no float literals"):
        asyncio.run(Refit().propose(context({"curve.py": b"def curve(x):\n    return x\n"})))


@pytest.mark.slow
def test_a_run_with_it_alone_fits_the_seed(tmp_path: Path) -> None:
    refit = 'use = "refit"\nlimit = 60\ntimes = 2\nspreads = [0.2]'
    toml = TASK_TOML.replace('use = "mutate"', refit)
    folder = write_task(tmp_path / "curve", toml, "def curve(x):\n    return 0.5 + 0.5 * x\n")
    run = evolver.run(folder, evaluations=150, out=tmp_path / "run")
    assert run.evaluations <= 150
    fitted = [outcome for outcome in run.outcomes if outcome.attempt.operator == "refit"]
    assert [o.verdict for o in fitted[:2]] == ["evaluated"] * 2
    assert run.best is not None
    assert run.best.evaluation.metrics["error"] < 0.6  # of the seed: 1.8
