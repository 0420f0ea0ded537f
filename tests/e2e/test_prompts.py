"""What a run really sends: its operators' prompts, a task's own templates, the ablations."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from command_line import CURVE, TASK_TOML, CommandLine, MakeTask, wait_for_line
from llm_answers import Asked, nudge_a_constant
from llm_server import LLMServer

from evolver.runs.run import Run
from evolver.types import Prompt

pytestmark = pytest.mark.slow

NAMES = ("diff", "rewrite", "recombine", "plan", "persona", "evolution-of-thought")
ALL = TASK_TOML.replace(
    '[[operator]]\nuse = "mutate"\n', "".join(f'[[operator]]\nuse = "{name}"\n' for name in NAMES)
)
CANARY = "8675309"
PRIVATE_SCORE = f"""
HELD_OUT = "{CANARY}"


def score(candidate):
    from evolver.types import Result

    points = [candidate.call("curve", x) for x in (0.0, 0.3, 0.7, 1.0)]
    error = sum(abs(y - 2.0**x) for x, y in zip((0.0, 0.3, 0.7, 1.0), points))
    return Result({{"error": error}}, private={{"held_out": {CANARY}.0}}, feedback="worst at x = 1")
"""


def by_its_words(asked: Asked) -> str:
    """Answer by the prompt alone, whenever it is asked."""
    if "Write a plan in words" in asked.system:
        return "Move one constant by a little."
    reply = nudge_a_constant(Asked(0, *list(vars(asked).values())[1:]))
    return reply.texts[0]


def prompts_of(folder: Path) -> dict[int, list[Prompt]]:
    run = Run.open(folder)
    return {
        outcome.attempt.id: list(run.prompts(outcome.attempt.id).values())
        for outcome in run.outcomes
    }


def run(cli: CommandLine, task: Path, server: LLMServer, *words: Any) -> dict[str, Any]:
    model = ("--model", "any", "--api-base", server.address, "--deterministic")
    return cli.json("run", task, *model, *words)


def test_every_operator_asks_and_a_resumed_run_asks_the_same(
    cli: CommandLine, make_task: MakeTask
) -> None:
    task = make_task(toml=ALL, score=PRIVATE_SCORE)
    words = ("--evaluations", 20, "--out")
    with LLMServer(by_its_words, latency=0.02) as server:
        done = run(cli, task, server, *words, "whole")
        model = ("--model", "any", "--api-base", server.address, "--deterministic")
        asked = len(server.asked)
        process = cli.start("run", task, *model, *words, "killed")
        wait_for_line(process)
        while len(server.asked) < asked + 12:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        cli.json("resume", "killed")
        said = [each.system + each.user for each in server.asked]
    whole, killed = prompts_of(cli.folder / "whole"), prompts_of(cli.folder / "killed")
    assert whole == killed
    assert done["evaluations"] == 20
    shown = cli.json("show", "whole")
    assert set(shown["operators"]) == {"seed", *NAMES}
    # What is private or held out never leaves; what was tried and what was thought does.
    assert not any(CANARY in each or "held_out" in each for each in said)
    assert all("worst at x = 1" in each for each in said if "does not run" not in each)
    assert any("# What was tried on this program before" in each for each in said)
    assert any("Move one constant by a little." in each for each in said)
    programs = [outcome.program for outcome in Run.open(cli.folder / "whole").outcomes]
    planned = [program for program in programs if program and program.operator == "plan"]
    assert {program.thought for program in planned} == {"Move one constant by a little."}
    # The part that a provider caches: one for each form of answer, over the whole run.
    assert len({prompt.system for sent in whole.values() for prompt in sent}) == 3

    number = max(id_ for id_, sent in whole.items() if len(sent) == 2)
    printed = cli("prompt", "whole", "--attempt", number).stdout
    for prompt in whole[number]:
        assert prompt.user in printed
    assert "request 2 of 2" in printed
    assert "asked no model" in cli.refuses("prompt", "whole", "--attempt", 0)
    assert "has no attempt 4000" in cli.refuses("prompt", "whole", "--attempt", 4000)
    printed = cli("prompt", "whole", "--operator", "recombine").stdout
    assert printed.startswith("operator recombine, about ")
    assert "# A program to combine it with" in printed


def broken_then_mended(asked: Asked) -> str:
    """Answer with a program that cannot be imported, and mend it when told."""
    if "# A program that does not run" in asked.user:
        is_told = "NameError: name 'no_such_name' is not defined" in asked.user
        return "<<<<<<< SEARCH\n    no_such_name\n=======\n>>>>>>> REPLACE" if is_told else "No."
    return by_its_words(asked).replace("=======\n", "=======\n    no_such_name\n")


def test_a_child_that_does_not_import_is_mended_before_it_costs_an_evaluation(
    cli: CommandLine, make_task: MakeTask
) -> None:
    only_diffs = TASK_TOML.replace('use = "mutate"', 'use = "diff"')
    task = make_task(toml=only_diffs, program=CURVE + "\n\ncurve(1)\n")
    with LLMServer(broken_then_mended) as server:
        done = run(cli, task, server, "--evaluations", 5, "--out", "one")
        mended = [each for each in server.asked if "does not run" in each.user]
    evaluations = [o.evaluation for o in Run.open(cli.folder / "one").outcomes if o.evaluation]
    assert [evaluation.status for evaluation in evaluations] == ["ok"] * 5
    assert done["evaluations"] == 5
    assert len(mended) >= 4


def test_a_tasks_own_templates_are_used_and_kept_with_the_run(
    cli: CommandLine, make_task: MakeTask
) -> None:
    task = make_task(toml=ALL)
    (task / "prompts").mkdir()
    (task / "prompts" / "diff.user.md.j2").write_text(
        "My own words: {{ one_of('so', 'or so') }}.\n\n# The program to improve\n"
        "{% for file in parent.files %}{{ file.text | fenced('python') }}{% endfor %}"
    )
    printed = cli("prompt", task, "--operator", "diff").stdout
    assert "My own words: " in printed
    assert f"template {task / 'prompts' / 'diff.user.md.j2'}" in printed
    with LLMServer(by_its_words) as server:
        run(cli, task, server, "--evaluations", 12, "--out", "one")
        shutil.rmtree(task)  # a run has its own copy
        cli.json("resume", "one", "--evaluations", 20)
    sent = prompts_of(cli.folder / "one")
    diffs = [
        sent[outcome.attempt.id][0].user
        for outcome in Run.open(cli.folder / "one").outcomes
        if outcome.attempt.operator == "diff"
    ]
    assert len(diffs) >= 3
    assert all(user.startswith("My own words: ") for user in diffs)
    assert len({user.splitlines()[0] for user in diffs}) == 2


def test_a_folder_of_templates_that_is_not_there_is_told(
    cli: CommandLine, make_task: MakeTask
) -> None:
    task = make_task(toml=ALL + '\n[prompts]\nfolder = "words"\n')
    assert "has no folder 'words'" in cli.refuses("prompt", task)
    (task / "words").mkdir()
    (task / "words" / "diff.user.md.j2").write_text("{{ nothing }}")
    said = cli.refuses("prompt", task)
    assert "prompt template diff.user.md.j2 is faulty: 'nothing' is undefined" in said
    assert "did you mean 'persona'" in cli.refuses("prompt", task, "--operator", "personal")


TWO_REGIONS = '''"""A curve."""

# EVOLVE-BLOCK-START slope
slope = 0.5
# EVOLVE-BLOCK-END

# EVOLVE-BLOCK-START curve
def curve(x):
    return 1.0 + slope * x
# EVOLVE-BLOCK-END
'''


def test_each_part_of_the_method_can_be_left_out(cli: CommandLine, make_task: MakeTask) -> None:
    task = make_task(
        toml=ALL + '\n[[model]]\nname = "large"\n\n[[model]]\nname = "small"\n',
        program=TWO_REGIONS,
        score=PRIVATE_SCORE,
    )
    with LLMServer(by_its_words) as server:
        address = ("--api-base", server.address)

        def left_out(*parts: str) -> tuple[Run, list[str]]:
            words = [word for part in parts for word in ("--ablate", part)]
            out = "-".join(parts)
            server.play(by_its_words)
            cli.json("run", task, *address, *words, "--evaluations", 12, "--out", out)
            assert cli.json("show", out)["ablate"] == list(parts)
            assert f"left out: {', '.join(parts)}" in cli("show", out).stdout
            return Run.open(cli.folder / out), [each.user + each.system for each in server.asked]

        run, said = left_out("no-evolution")
        assert {o.attempt.parent for o in run.outcomes if o.attempt.id} == {0}
        assert not any("# Other versions" in each or "tried on this" in each for each in said)

        run, said = left_out("no-context", "one-region", "small-model")
        for word in ("Approximate", "worst at", "last change", "changed last"):
            assert not any(word in each for each in said)
        changed = [run.elites[id_].program.files["curve.py"].decode() for id_ in run.elites]
        assert len(set(changed)) > 3
        assert all("return 1.0 + slope * x" in source for source in changed)
        assert all("FIXED-BLOCK-START curve" in source for source in changed)
        assert {asked.model for asked in server.asked} == {"small"}
    (task / "task.toml").write_text(ALL + '\n[[model]]\nname = "large"\n')
    assert "at least two" in cli.refuses("run", task, *address, "--ablate", "small-model")
    assert "no-context" in cli.refuses("run", task, "--ablate", "everything")
