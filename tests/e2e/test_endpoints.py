"""What a user sees of endpoints that answer oddly, refuse, or answer with nothing."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from command_line import TASK_TOML, CommandLine, MakeTask
from llm_bodies import PAGE, message
from llm_server import Asked, LLMServer, Reply, Script, nudge_a_constant

DIFF = TASK_TOML.replace('"mutate"', '"diff"')
BOTH = DIFF + '\n[[operator]]\nuse = "mutate"\n'
MODEL = '\n[[model]]\nname = "{}"\napi_base = "{}"\nbackoff = 0.1\n'


def edit(asked: Asked) -> str:
    return nudge_a_constant(asked).written(1)[0]


def requests(run: Path) -> Counter[tuple[int, int]]:
    """Count the requests of a run by attempt and call."""
    with closing(sqlite3.connect(run / "evolver.db")) as database:
        return Counter(database.execute("SELECT attempt, call FROM requests").fetchall())


@pytest.mark.parametrize("model", ["openai/gpt-5", "mistral/large", "sambanova/any", "gpt-5"])
def test_a_model_without_a_key_is_refused_at_the_start(
    cli: CommandLine, make_task: MakeTask, model: str
) -> None:
    task = make_task(toml=DIFF)
    said = cli.refuses("run", task, "--model", model, "--evaluations", 100)
    provider = model.partition("/")[0] if "/" in model else "openai"
    is_off = model == "gpt-5"  # no request beyond this machine may go out in tests
    assert "switched off" in said if is_off else f"set {provider.upper()}_API_KEY" in said
    assert not (cli.folder / "runs").exists()


def test_an_empty_variable_is_no_key(
    cli: CommandLine, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**cli.environment, "OPENAI_API_KEY": ""}
    monkeypatch.setattr(CommandLine, "environment", environment)
    said = cli.refuses("run", make_task(toml=DIFF), "--model", "openai/gpt-5")
    assert "set OPENAI_API_KEY" in said


def test_answers_in_other_forms_are_used_and_paid_once(
    cli: CommandLine, make_task: MakeTask
) -> None:
    def oddly(asked: Asked) -> Reply:
        text = edit(asked)
        event = {"choices": [{"index": 0, "delta": {"content": text}}]}
        bodies = (
            message(content=[{"type": "text", "text": text}]),
            message(content=text, usage=None),
            f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode(),
            b"\xef\xbb\xbf" + message(content=text),
            message(content=text + "\ud800"),
            message(content=None, reasoning_content=text),
            text.encode(),
        )
        return Reply(body=bodies[asked.number % len(bodies)])

    with LLMServer(oddly) as server:
        task = make_task(toml=DIFF)
        words = ("--model", "any", "--api-base", server.address, "--evaluations", 15)
        done = cli.json("run", task, *words, "--out", "one")
    assert done["evaluations"] == 15
    sent = requests(cli.folder / "one")
    assert max(sent.values()) == 1
    assert len(server.asked) == sum(sent.values())
    assert cli.json("replay", "one")["differences"] == []


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (lambda asked: Reply(body=PAGE), "sent a web page instead of an answer (Sign in); check"),
        (lambda asked: Reply("bad key", status=403), "set OPENAI_API_KEY to a key that it accepts"),
        (lambda asked: Reply("no such argument", status=400), "(400: no such argument)"),
        (lambda asked: Reply("no", status=405), "check the address, which usually ends in /v1"),
        (lambda asked: Reply(status=302, headers={"location": "/login"}, body=b""), "redirects"),
    ],
)
def test_what_is_no_outage_ends_after_a_few_tries_with_what_to_check(
    cli: CommandLine, make_task: MakeTask, script: Script, sentence: str
) -> None:
    with LLMServer(script) as server:
        task = make_task(toml=BOTH)
        words = ("--model", "any", "--api-base", server.address, "--evaluations", 500)
        said = cli.refuses("run", task, *words, "--out", "one")
        assert len(server.asked) <= 30
    assert sentence in said
    assert "(5 times in a row)" in said
    assert "go on with: evolver resume" in said


def test_prompts_that_a_filter_refuses_fail_alone(cli: CommandLine, make_task: MakeTask) -> None:
    def filtered(asked: Asked) -> str | Reply:
        if asked.number % 8 == 0:
            return edit(asked)
        return Reply("flagged by our policy", status=403, error={"code": "content_filter"})

    with LLMServer(filtered) as server:
        task = make_task(toml=DIFF + MODEL.format("any", server.address) + "concurrency = 1\n")
        done = cli.json("run", task, "--evaluations", 4, "--out", "one")
    assert done["evaluations"] == 4
    assert "refuses the prompt (403: flagged by our policy)" in cli("show", "one").stdout


def test_twenty_requests_for_nothing_end_the_session(cli: CommandLine, make_task: MakeTask) -> None:
    with LLMServer(lambda asked: "I would rather discuss the weather.") as server:
        task = make_task(toml=BOTH + MODEL.format("any", server.address))
        done = cli("run", task, "--evaluations", 5000, "--out", "one")
        assert 20 <= len(server.asked) <= 20 + 2 * 8
        assert "twenty requests to models in a row gave nothing to evaluate" in done.stdout
        assert "the last time: the answer holds no SEARCH/REPLACE block" in done.stderr
        assert f"Go on with: evolver resume {cli.folder / 'one'}" in done.stderr
        server.play(nudge_a_constant)
        more = cli.json("show", "one")["evaluations"] + 20
        assert cli.json("resume", "one", "--evaluations", more)["evaluations"] == more


def test_empty_answers_are_told_with_the_key_to_change(
    cli: CommandLine, make_task: MakeTask
) -> None:
    with LLMServer(lambda asked: Reply("", finish_reason="length")) as server:
        task = make_task(toml=DIFF + MODEL.format("any", server.address))
        done = cli("run", task, "--evaluations", 50, "--out", "one")
        doctor = cli("doctor", task, code=2)
    mend = "raise max_tokens of the [[model]], or lower its reasoning_effort"
    for said in (done.stdout, cli("show", "one").stdout, (cli.folder / "one/run.log").read_text()):
        assert f"any gives empty answers: the model's reasoning uses up the tokens before the answer begins; {mend}" in " ".join(said.split())  # fmt: skip # noqa: E501
    assert mend in " ".join(doctor.stdout.split())
    models = cli.json("show", "one")["models"]["any"]
    assert models["empty"] == models["exhausted"] == models["calls"] >= 2


def test_what_an_endpoint_does_not_take_is_found_out_and_told_once(
    cli: CommandLine, make_task: MakeTask
) -> None:
    def strict(asked: Asked) -> str | Reply:
        if asked.system:
            return Reply("System role not supported", status=400)
        if "max_tokens" in asked.body:
            words = "'max_tokens' is not supported. Use 'max_completion_tokens' instead."
            return Reply(words, status=400, error={"code": "unsupported_parameter"})
        if "temperature" in asked.body:
            return Reply("temperature: only the default (1) is supported", status=400)
        return edit(asked)

    settings = "max_tokens = 900\ntemperature = 0.5\n"
    with LLMServer(strict) as server:
        task = make_task(toml=DIFF + MODEL.format("any", server.address) + settings)
        cli("run", task, "--evaluations", 12, "--out", "one")
        last = server.asked[-1].body
        doctor = cli("doctor", task).stdout
    assert last["max_completion_tokens"] == 900
    assert "temperature" not in last
    log = (cli.folder / "one" / "run.log").read_text()
    for lesson in ("no system role", "max_completion_tokens instead", "takes no temperature"):
        assert log.count(f"{lesson}") == 1
        assert lesson in " ".join(doctor.split())
    assert "its edit of the seed applies" in " ".join(doctor.split())


def test_a_time_to_wait_is_told_while_it_is_waited(cli: CommandLine, make_task: MakeTask) -> None:
    def busy(asked: Asked) -> str | Reply:
        if asked.number == 2:
            return Reply("slow down", status=429, headers={"retry-after": "4"})
        return edit(asked)

    with LLMServer(busy) as server:
        task = make_task(toml=DIFF + MODEL.format("any", server.address) + "concurrency = 1\n")
        said = cli("run", task, "--evaluations", 6, "--out", "one").stdout
    assert "limits the rate of requests (slow down); next try in" in said


def test_a_context_that_is_too_long_is_cut(cli: CommandLine, make_task: MakeTask) -> None:
    def narrow(asked: Asked) -> str | Reply:
        if len(asked.system + asked.user) < 5000:
            return edit(asked)
        words = "This model's maximum context length is 1000 tokens, and you asked for 3000"
        return Reply(words, status=400, error={"code": "context_length_exceeded"})

    with LLMServer(narrow) as server:
        toml = DIFF.replace("[evaluator]", 'context = ["notes.md"]\n[evaluator]')
        task = make_task(toml=toml + MODEL.format("any", server.address))
        (task / "notes.md").write_text("Approximate well. " * 600)
        said = cli("run", task, "--evaluations", 8, "--out", "one").stdout
        refused = [one for one in server.asked if len(one.system + one.user) >= 5000]
    assert "8 evaluations of" in said
    assert "set [prompts] tokens = " in " ".join(said.split())
    assert len(refused) <= 8  # those that were under way when it was found out


def test_a_command_that_always_fails_ends_the_run(cli: CommandLine, make_task: MakeTask) -> None:
    table = '\n[[model]]\nuse = "command"\nname = "agent"\ncommand = "./model.sh"\n'
    task = make_task(toml=BOTH + table)
    script = task / "model.sh"
    script.write_text("#!/bin/sh\necho out of order >&2\nexit 3\n")
    script.chmod(0o755)
    said = cli.refuses("run", task, "--evaluations", 5000, "--out", "one")
    assert "failed (exit code 3): out of order (5 times in a row)" in said


def test_a_command_of_the_tasks_folder_is_found(cli: CommandLine, make_task: MakeTask) -> None:
    table = '\n[[model]]\nuse = "command"\nname = "agent"\ncommand = "./model.sh"\n'
    task = make_task(toml=DIFF + table)
    script = task / "model.sh"
    script.write_text(
        "#!/bin/sh\nline=$(grep 'return' curve.py)\n"
        'printf "<<<<<<< SEARCH\\n%s\\n=======\\n" "$line"\n'
        'printf "%s * 1.01$$\\n>>>>>>> REPLACE\\n" "$line"\n'
    )
    script.chmod(0o755)
    assert cli.json("run", task, "--evaluations", 6, "--out", "one")["evaluations"] == 6


def test_an_outage_of_one_model_leaves_it_out(cli: CommandLine, make_task: MakeTask) -> None:
    with LLMServer(nudge_a_constant) as good, LLMServer(nudge_a_constant, outage=(3, 9999)) as bad:
        tables = MODEL.format("good", good.address) + MODEL.format("bad", bad.address)
        task = make_task(toml=DIFF + tables.replace("backoff = 0.1", "backoff = 1.0"))
        done = cli("run", task, "--evaluations", 60, "--seconds", 60, "--out", "one")
    assert "60 evaluations of" in done.stdout
    shown = cli.json("show", "one")
    assert shown["stopped"] == "evaluations"
    assert shown["models"]["good"]["calls"] > 50
    assert len(bad.asked) < 25
