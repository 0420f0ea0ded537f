"""What `doctor` finds out of a machine and of a task, before anything is spent."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import TASK_TOML, CommandLine, MakeTask
from llm_server import LLMServer, nudge_a_constant

NOISY = """
import time


def score(candidate):
    noise = 1e-3 * (time.perf_counter_ns() % 997 / 997)
    return {"error": abs(candidate.call("curve", 1.0) - 2.0) + noise}
"""
SECRET = """
def score(candidate):
    x = candidate.rng.random()
    return {"error": abs(candidate.call("curve", x) - 2.0**x)}
"""
TIMED = """
def reference(x):
    return sum(range(1000)) * 0.0 + 2.0**x


def score(candidate):
    def inputs():
        while True:
            yield (candidate.rng.random(),)

    timing = candidate.time("curve", inputs(), repeats=6, reference=reference)
    return {"error": abs(candidate.call("curve", 1.0) - 2.0), "speedup": timing.speedup}
"""


def test_a_machine(cli: CommandLine) -> None:
    said = cli("doctor").stdout
    for line in ("sandbox", "docker", "GPUs", "git", "keys"):
        assert f"\n{line} " in said
    found = cli.json("doctor")
    assert found["tiers"][found["tier"]] == ""
    assert found["cores"] >= 1
    assert bool(found["docker"]["engine"]) is not bool(found["docker"]["reason"])


def test_keys_are_told_by_name_only(cli: CommandLine, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(
        CommandLine,
        "environment",
        {**cli.environment, "SOME_API_KEY": "a secret value", "EMPTY_API_KEY": ""},
    )
    said = cli("doctor", "--json").stdout
    assert json.loads(said)["keys"] == ["SOME_API_KEY"]
    assert "a secret value" not in said


def test_a_task(cli: CommandLine, task: Path) -> None:
    said = cli("doctor", task).stdout
    assert "seed         ok: error 1.8" in said
    assert "noise        none" in said
    assert "gate         none of 6 bad programs scored above the seed" in said
    found = cli.json("doctor", task, "--workers", 3)
    assert found["status"] == "ok"
    assert found["noise"] == found["variation"] == {"error": 0.0}
    assert found["workers"] == 3
    assert found["timing"] is None
    assert found["evaluations_per_hour"] == round(3600 * 3 / found["seconds"])
    assert 2**20 < found["memory"] < 2**30
    assert found["operators"] == ["mutate"]
    assert found["problems"] == []
    assert not (cli.folder / "runs").exists()


def test_noise_is_told_apart_from_other_inputs(cli: CommandLine, make_task: MakeTask) -> None:
    noisy = cli.json("doctor", make_task(score=NOISY))
    assert 0 < noisy["noise"]["error"] < 0.01
    (cli.folder / "curve").rename(cli.folder / "noisy")
    secret = cli.json("doctor", make_task(score=SECRET))
    assert secret["noise"] == {"error": 0.0}
    assert secret["variation"]["error"] > 0.001


def test_a_reference_is_timed_against_itself(cli: CommandLine, make_task: MakeTask) -> None:
    done = cli("doctor", make_task(score=TIMED), "--json")
    timing = json.loads(done.stdout)["timing"]
    assert timing["low"] <= timing["speedup"] <= timing["high"]
    assert 0.7 < timing["speedup"] < 1.4  # other work on this machine may spoil some
    assert "the reference against itself " in done.stderr


def test_what_is_wrong_is_told_with_exit_code_2(cli: CommandLine, make_task: MakeTask) -> None:
    task = make_task(program="def curve(x):\n    return y\n")
    said = cli.refuses("doctor", task)
    assert "correct the program or the evaluator first" in said
    assert "NameError" in said
    told = cli("doctor", task, "--json", code=2).stdout.splitlines()[-1]
    assert "NameError" in json.loads(told)["problems"][0]
    (task / "curve.py").write_text("def curve(x):\n    return 2.0 * x\n")
    (task / "score.py").write_text("def score(candidate):\n    return {'error': 9 if "
                                   "candidate.call('curve', 1.0) else 0}\n")  # fmt: skip
    done = cli("doctor", task, code=2)
    assert "FAILS: no-op, constant scored above the seed" in done.stdout
    assert "--skip-gate" in done.stderr


def test_another_language_without_a_model(cli: CommandLine, make_task: MakeTask) -> None:
    score = "def score(candidate):\n    text = candidate.files['curve.sh']\n"
    task = make_task(
        toml=TASK_TOML.replace("curve.py", "curve.sh"),
        score=score + "    return {'error': 9.0 - len(text) if b'echo' in text else 9.0}\n",
    )
    (task / "curve.sh").write_text("echo 1\n")
    done = cli("doctor", task, code=2)
    assert "gate         none of 2 bad programs" in done.stdout
    assert "name one with --model" in done.stderr


def test_an_agent_that_edits_in_place_finds_the_program(
    cli: CommandLine, make_task: MakeTask
) -> None:
    model = "[[model]]\nuse = 'command'\nname = 'agent'\nedits_in_place = true\n"
    toml = TASK_TOML.replace('"mutate"', '"diff"')
    task = make_task(toml=f"{toml}\n{model}command = 'sed -i s/x/x/ curve.py && echo done'\n")
    said = " ".join(cli("doctor", task).stdout.split())
    assert "model agent answers" in said
    assert "BUT the answer" in said  # its edit changes nothing, so it is none


def test_models_are_asked_once(cli: CommandLine, make_task: MakeTask) -> None:
    prices = "prompt_price = 2.0\ncompletion_price = 4.0\n"
    with LLMServer(nudge_a_constant) as server:
        model = f'\n[[model]]\nname = "any"\napi_base = "{server.address}"\n{prices}'
        operators = '"mutate"\n\n[[operator]]\nuse = "diff"\n\n[budget]\nevaluations = 200\n'
        toml = TASK_TOML.replace('"mutate"', operators) + model
        task = make_task(toml=toml)
        found = cli.json("doctor", task)
        assert len(server.asked) == 1
        said = " ".join(cli("doctor", task).stdout.split())
    (answer,) = found["models"]
    assert answer["problem"] == ""
    assert answer["dollars"] > 0
    assert found["prompt_tokens"] > 100
    assert answer["prompt_dollars"] == found["prompt_tokens"] * 2e-6
    assert found["requests"] == 140  # 70 % are the model's
    assert "the budget takes about 140 of them, $0.0" in said
    assert "any answers in" in said
    assert "and its edit of the seed applies" in said
    assert "a prompt has about" in said
    told = cli("doctor", task, code=2)  # the server is gone
    assert "any GIVES NO ANSWER" in told.stdout
    assert "any gives no answer" in told.stderr
