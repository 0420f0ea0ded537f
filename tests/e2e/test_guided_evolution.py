"""Guided evolution of a network by a scripted model: named regions, two objectives, no network."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from command_line import CommandLine
from llm_server import Asked, LLMServer

from evolver.bundled import bundled
from evolver.programs.edits import Region, find_regions
from evolver.runs.run import Run
from evolver.types import Files

TASK = bundled("examples") / "network-digits"
#: As the task, but for what training takes.
QUICK = 'with = { data = "digits", images = [200, 100, 100], epochs = 3, batch = 20, runs = 1 }'
OPERATORS = """
[[operator]]
use = "rewrite"

[[operator]]
use = "persona"

[[operator]]
use = "recombine"

[[operator]]
use = "evolution-of-thought"
weight = 2
"""
#: What the model would have a region be: fewer numbers, more of them, or what does not run.
EDITS = [
    ("network", "narrow = 16", "narrow = 8"),
    ("network", "wide = 32", "wide = 24"),
    ("attention", "hidden = channels // 4", "hidden = channels // 8"),
    ("network", "blocks.append(Depthwise(wide))", "blocks.append(nn.Identity())"),
    ("depthwise", "kernel = 3", "kernel = 0"),
    ("optimiser", "rate = 0.01", "rate = 0.03"),
    ("expand", "functional.hardswish(x)", "functional.relu(x)"),
    ("network", "wide = 24", "wide = 48"),
]


def answer(asked: Asked) -> str:
    """Give one region anew, or an edit of it, by the first edit that fits the program shown."""
    parent = asked.user.rpartition("# The program to improve")[2]
    turns = EDITS[asked.number % len(EDITS) :] + EDITS[: asked.number % len(EDITS)]
    for name, old, new in turns:
        if old not in parent:
            continue
        if "SEARCH/REPLACE" in asked.system:
            return f"Change: {new}\n\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"
        region = re.search(rf"(?s)# EVOLVE-BLOCK-START {name}\n(.*?)# EVOLVE-BLOCK-END", parent)
        if region is not None:
            code = region[1].rstrip().replace(old, new)
            return f"Change: another {name}.\n\nnetwork.py:{name}\n```python\n{code}\n```\n"
    return "There is nothing that I would change."


def test_a_scripted_model_moves_the_front_by_edits_of_regions(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed here")
    pytest.importorskip("sklearn", reason="scikit-learn is not installed here")
    task = tmp_path / "network"
    shutil.copytree(TASK, task, ignore=shutil.ignore_patterns("best", "measured.json"))
    toml = (task / "task.toml").read_text()
    toml = re.sub(r"(?m)^with = .*$", QUICK, toml, count=1)
    toml = re.sub(r"(?ms)^\[\[operator\]\].*?(?=^\[budget\])", OPERATORS + "\n", toml)
    cli = CommandLine(tmp_path)
    with LLMServer(answer) as server:
        # One request at a time: what few programs there are shall have seen each other.
        toml += f'\n[[model]]\nname = "any"\nconcurrency = 1\napi_base = "{server.address}"\n'
        (task / "task.toml").write_text(toml.replace(">= 50", ">= 5").replace("= 50,", "= 0,"))
        words = ("--evaluations", 9, "--workers", 1, "--seed", 1, "--deterministic", "--skip-gate")
        cli("run", task, *words, "--out", "run")
        asked = list(server.asked)
    run = Run.open(tmp_path / "run")
    assert run.evaluations == 9
    seed = run.elites[0]
    children = [elite for elite in run.elites.values() if elite is not seed]
    assert seed.evaluation.metrics["parameters"] == 5290
    assert min(elite.evaluation.metrics["parameters"] for elite in run.front) < 4000
    assert run.score is not None
    assert run.score > run.objective.score([seed.objectives])

    # Each child is the seed, to the byte, but for what is inside its regions.
    before = seed.program.files
    outside = without_regions(before["network.py"])
    changed: Counter[str] = Counter()
    for elite in children:
        assert without_regions(elite.program.files["network.py"]) == outside
        pairs = zip(find_regions(before), find_regions(elite.program.files), strict=True)
        changed.update(
            old.name
            for old, new in pairs
            if text_of(old, before) != text_of(new, elite.program.files)
        )
    assert len(changed) >= 3
    assert {"persona", "recombine", "evolution-of-thought"} & {
        elite.program.operator for elite in children
    }
    # Evolution of thought was shown what became of a region, and another one to go on with.
    thoughts = [one.user for one in asked if "better than the first one" in one.user]
    assert thoughts
    assert all("```diff" in prompt and "# The program to improve" in prompt for prompt in thoughts)


def text_of(region: Region, files: Files) -> bytes:
    return files[region.path][region.start : region.end]


def without_regions(content: bytes) -> bytes:
    """Cut out what stands between the markers."""
    return re.sub(
        rb"(?ms)(# EVOLVE-BLOCK-START [^\n]*\n).*?(# EVOLVE-BLOCK-END)", rb"\1\2", content
    )
