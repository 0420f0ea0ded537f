"""Runs with a model: the real command line against a real server on loopback."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import llm_server
import pytest
from command_line import TASK_TOML, CommandLine, MakeTask, wait_for_line
from llm_server import Asked, LLMServer, Reply, nudge_a_constant, with_faults

pytestmark = pytest.mark.slow

BOTH = TASK_TOML.replace('use = "mutate"', 'use = "diff"\n\n[[operator]]\nuse = "rewrite"')


def completions(run_dir: Path) -> list[dict[str, Any]]:
    """Every stored completion, with its attempt and call."""
    with closing(sqlite3.connect(run_dir / "evolver.db")) as database:
        rows = database.execute("SELECT attempt, call, answers FROM completions").fetchall()
    return [
        {"attempt": attempt, "call": call, **answer}
        for attempt, call, answers in rows
        for answer in json.loads(answers)
    ]


def test_a_model_improves_the_program_and_every_token_is_accounted_for(
    cli: CommandLine, make_task: MakeTask
) -> None:
    task = make_task(toml=BOTH)
    with LLMServer(nudge_a_constant) as server:
        words = ("--model", "any", "--api-base", server.address, "--evaluations", 30)
        done = cli.json("run", task, *words, "--deterministic", "--out", "one")
        asked = len(server.asked)
        spent = server.prompt_tokens, server.completion_tokens
    assert done["evaluations"] == 30
    seed = cli.json("show", "one", "0")["metrics"]["error"]
    assert done["best_metrics"]["error"] < seed
    stored = completions(cli.folder / "one")
    assert len(stored) == asked
    assert sum(completion["prompt_tokens"] for completion in stored) == spent[0]
    assert sum(completion["completion_tokens"] for completion in stored) == spent[1]
    assert all(completion["dollars"] is None for completion in stored)  # no price is known


def test_a_third_failed_and_a_third_malformed_answers_are_survived(
    cli: CommandLine, make_task: MakeTask
) -> None:
    model = '[[model]]\nname = "any"\nbackoff = 0.01\napi_base = "{}"\n'
    script = with_faults(nudge_a_constant, failed=0.3, malformed=0.3)
    with LLMServer(script) as server:
        task = make_task(toml=BOTH + model.format(server.address))
        done = cli.json("run", task, "--evaluations", 30, "--out", "one")
    assert done["evaluations"] == 30
    assert done["stopped"] == "evaluations"


def test_two_models_an_outage_and_the_ledger(cli: CommandLine, make_task: MakeTask) -> None:
    """Several models, several answers a request, a server that is gone for two seconds."""
    model = (
        '[[model]]\nname = "{}"\napi_base = "{}"\nsamples = {}\nretries = 1\nbackoff = 0.1\n'
        "prompt_price = 1.0\ncompletion_price = {}\n"
    )
    with LLMServer(nudge_a_constant, outage=(6, 2.0)) as server:
        tables = model.format("small", server.address, 1, 2.0)
        tables += model.format("large", server.address, 3, 20.0)
        task = make_task(toml=BOTH + tables + '[models]\nchoice = "bandit"\n')
        done = cli("run", task, "--evaluations", 40, "--out", "one")
        spent = server.prompt_tokens, server.completion_tokens
    assert "waits for" in done.stdout
    shown = cli.json("show", "one")
    assert shown["evaluations"] == 40
    bills = shown["models"]
    assert set(bills) == {"small", "large"}
    assert sum(bill["prompt_tokens"] for bill in bills.values()) == spent[0]
    assert sum(bill["completion_tokens"] for bill in bills.values()) == spent[1]
    assert shown["dollars"] == pytest.approx(
        1e-6
        * (
            spent[0]
            + 2.0 * bills["small"]["completion_tokens"]
            + 20.0 * bills["large"]["completion_tokens"]
        )
    )
    assert "small" in cli("show", "one").stdout


def test_a_limit_in_tokens_holds_by_the_servers_own_count(
    cli: CommandLine, make_task: MakeTask
) -> None:
    model = '[[model]]\nname = "any"\nmax_tokens = 100\napi_base = "{}"\n'
    with LLMServer(nudge_a_constant) as server:
        task = make_task(toml=BOTH + model.format(server.address))
        done = cli.json("run", task, "--tokens", 12000, "--out", "one")
        spent = server.prompt_tokens + server.completion_tokens
        assert done["stopped"] == "tokens"
        assert cli.json("show", "one")["tokens"] == spent <= 12000
        assert all(asked.body["max_tokens"] == 100 for asked in server.asked)


def test_a_model_that_dies_leaves_a_run_that_says_how_to_go_on(
    cli: CommandLine, make_task: MakeTask
) -> None:
    def until_revoked(asked: Asked) -> str | Reply:
        return Reply("no such key", status=401) if asked.number > 5 else nudge_a_constant(asked)

    with LLMServer(until_revoked) as server:
        task = make_task(toml=BOTH)
        words = ("--model", "any", "--api-base", server.address, "--evaluations", 30)
        said = cli.refuses("run", task, *words)
        (directory,) = (path.parent for path in (cli.folder / "runs").glob("*/evolver.db"))
        assert "no such key" in said
        assert f"evolver resume {directory}" in said
        server.play(nudge_a_constant)
        assert cli.json("resume")["evaluations"] == 30


def test_after_a_kill_no_stored_completion_is_bought_again(
    cli: CommandLine, make_task: MakeTask
) -> None:
    task = make_task(toml=BOTH)
    with LLMServer(nudge_a_constant, latency=0.05) as server:
        words = ("--model", "any", "--api-base", server.address, "--evaluations", 25)
        process = cli.start("run", task, *words, "--out", "one")
        wait_for_line(process)
        while len(server.asked) < 10:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        before = completions(cli.folder / "one")
        asked = len(server.asked)
        done = cli.json("resume", "one")
        bought = len(server.asked) - asked
    assert before
    assert done["evaluations"] == 25
    after = completions(cli.folder / "one")
    assert [completion for completion in after if completion in before] == before
    assert bought == len(after) - len(before)


@contextmanager
def server_process(*options: str) -> Iterator[str]:
    """Start the server as another process would; yield its address."""
    with subprocess.Popen(
        [sys.executable, llm_server.__file__, "--port", "0", *options],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def test_the_server_runs_by_itself(cli: CommandLine, make_task: MakeTask) -> None:
    task = make_task(toml=BOTH)
    with server_process("--latency", "0.01") as address:
        words = ("--model", "any", "--api-base", address, "--evaluations", 5)
        assert cli.json("run", task, *words, "--out", "one")["evaluations"] == 5
        with urllib.request.urlopen(address.replace("v1", "ledger"), timeout=10) as response:
            ledger = json.load(response)
    assert ledger["requests"] >= len(completions(cli.folder / "one")) >= 4
