"""Evaluators of the form `evaluate(program_path)`, run beside the candidate in a real sandbox."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evolver.errors import CandidateCrashed, EvaluatorError, UsageError
from evolver.evaluation.evaluator import EvaluatorSource, guest_files, pickle_evaluator
from evolver.evaluation.inside import InsideEvaluator, find_inside, inside_of, sources
from evolver.evaluation.judge import Judge
from evolver.evaluation.messages import Setup, Stage
from evolver.sandboxes import SandboxSettings
from evolver.sandboxes.local import LocalSandbox
from evolver.tasks.objective import Objective
from evolver.types import Candidate, Files, Job, Program, Result, Tune
from evolver.wording import with_output

PROGRAM = b"def height(x):\n    return x + 0.5\n"


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def judged(
    folder: Path,
    evaluator: str,
    *,
    program: Files | None = None,
    base: Files | None = None,
    settings: Mapping[str, Any] | None = None,
    parameters: tuple[float, ...] | None = None,
) -> Result:
    """Write an evaluator's source as score.py and have it judge a program."""
    write(folder, {"score.py": evaluator})
    inside = find_inside("score.py:evaluate", folder)
    assert inside is not None
    inside = inside.at_stage("", settings or {})
    files = program or {"program.py": PROGRAM}
    with (
        contextlib.closing(
            LocalSandbox(SandboxSettings(), guest=guest_files(inside), base=base)
        ) as sandbox,
        sandbox.open(Program(1, files), seed=1, timeout=20.0) as candidate,
    ):
        return inside.evaluate(candidate if parameters is None else candidate.at(parameters))


LOADING = """
import importlib.util


def load(path):
    spec = importlib.util.spec_from_file_location("program", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
"""


# --- what is of this form -------------------------------------------------------------------------


def by_name(program_path, **_):  # type: ignore[no-untyped-def]
    ...


def by_type(path: str) -> None: ...


def other(candidate: Candidate) -> None: ...


def test_the_first_parameter_tells() -> None:
    found = inside_of(by_name)
    assert found is not None
    assert (found.path, found.function) == (Path(__file__), "by_name")
    assert inside_of(by_type) is not None
    travelled = EvaluatorSource("by_name", Path(), pickle_evaluator(by_name)).load({"more": 1})
    assert isinstance(travelled, InsideEvaluator)
    assert travelled.settings == {"more": 1}
    assert inside_of(other) is None
    assert inside_of(dict) is None


def test_a_closure_cannot_travel_inside() -> None:
    target = 3

    def evaluate(program_path: str) -> dict[str, float]:
        return {"score": target}

    with pytest.raises(UsageError, match="must be defined in a module"):
        inside_of(evaluate)


def test_the_file_is_read_and_not_imported(tmp_path: Path) -> None:
    source = "import no_such_module\n\n\ndef evaluate(path: str):\n    return {}\n"
    write(tmp_path, {"score.py": source, "broken.py": "def evaluate(:\n"})
    assert isinstance(EvaluatorSource("score.py:evaluate", tmp_path).load({}), InsideEvaluator)
    assert find_inside("score.py:other", tmp_path) is None
    assert find_inside("package.module:evaluate", tmp_path) is None
    with pytest.raises(UsageError, match=r"broken.py:1: .*fix it first"):
        find_inside("broken.py:evaluate", tmp_path)


def test_what_it_imports_travels_and_nothing_else(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "score.py": "import first, json\n\n\ndef f():\n    from package import inner\n",
            "first.py": "from second import x\n",
            "second.py": "import first\n\nx = 1\n",
            "package/__init__.py": "",
            "package/table.csv": "1,2\n",
            "answers.py": "",
            "task.toml": "",
        },
    )
    found = {name for name, _ in sources(tmp_path / "score.py")}
    assert found == {
        "score.py", "first.py", "second.py", "package/__init__.py", "package/table.csv"
    }  # fmt: skip


def test_settings_are_its_keywords(tmp_path: Path) -> None:
    write(tmp_path, {"score.py": "def evaluate(program_path, points=3, *, slow=False): ...\n"})
    source = EvaluatorSource("score.py:evaluate", tmp_path)
    source.load({"points": 4, "slow": True})
    with pytest.raises(UsageError, match="unknown key 'point'; did you mean 'points'"):
        source.load({"point": 4})


# --- what it says ---------------------------------------------------------------------------------


def test_it_finds_the_program_and_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, {"known.py": "BEST = 3.0\n"})
    evaluator = LOADING + (
        "from pathlib import Path\nfrom known import BEST\n\n\n"
        "def evaluate(program_path, at):\n"
        "    Path('written').write_text('here')\n"
        "    data = Path(__file__).with_name('table.csv').read_text()\n"
        "    return {'gap': BEST - load(program_path).height(at), 'data': float(data)}\n"
    )
    found = judged(tmp_path, evaluator, base={"table.csv": b"7"}, settings={"at": 1.0})
    assert found.metrics == {"gap": 1.5, "data": 7.0}


def test_it_starts_processes_that_find_what_it_finds(tmp_path: Path) -> None:
    evaluator = (
        "import subprocess, sys\n\n\n"
        "def evaluate(program_path):\n"
        "    code = 'import numpy, program; print(program.height(1))'\n"
        "    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)\n"
        "    return {'height': float(done.stdout or 0), 'stderr': done.stderr}\n"
    )
    assert judged(tmp_path, evaluator).metrics == {"height": 1.5}


def test_a_subprocess_sees_fitted_literals(tmp_path: Path) -> None:
    evaluator = LOADING + (
        "\n\ndef evaluate(program_path):\n"
        "    import program\n"
        "    return {'file': load(program_path).height(0), 'module': program.height(0)}\n"
    )
    found = judged(tmp_path, evaluator, parameters=(0.75,))
    assert found.metrics == {"file": 0.75, "module": 0.75}


def test_what_other_systems_return(tmp_path: Path) -> None:
    evaluator = (
        "import numpy\nfrom openevolve.evaluation_result import EvaluationResult\n\n\n"
        "def evaluate(program_path):\n"
        "    metrics = {'score': numpy.float32(0.5), 'valid': True, 'cases': {'a': 1, 'b': 'no'},\n"
        "               'error': float('inf'), 'note': 'fine', 'nothing': None, 'list': [1, 2]}\n"
        "    return EvaluationResult(metrics=metrics, artifacts={'stderr': 'oh', 'raw': b'\\0'})\n"
    )
    found = judged(tmp_path, evaluator)
    assert found.metrics == {"score": 0.5, "valid": 1.0, "cases.a": 1.0}
    assert found.feedback.splitlines() == [
        "cases.b: no", "error: inf", "note: fine", "list: [1, 2]", "stderr: oh"
    ]  # fmt: skip
    assert found.artifacts == {"stderr": b"oh", "raw": b"\0"}


@pytest.mark.parametrize(
    ("returned", "metrics"),
    [("2", {"score": 2.0}), ("{'metrics': {'a': 1}, 'artifacts': {}}", {"a": 1.0}), ("None", {})],
)
def test_other_forms_of_results(tmp_path: Path, returned: str, metrics: dict[str, float]) -> None:
    found = judged(tmp_path, f"def evaluate(program_path):\n    return {returned}\n")
    assert found.metrics == metrics


def test_it_may_be_a_coroutine(tmp_path: Path) -> None:
    evaluator = (
        "import asyncio\n\n\nasync def evaluate(program_path):\n    await asyncio.sleep(0)\n"
    )
    assert judged(tmp_path, evaluator + "    return {'score': 1}\n").metrics == {"score": 1.0}


def test_it_fails_as_the_candidate_does(tmp_path: Path) -> None:
    with pytest.raises(CandidateCrashed, match="ZeroDivisionError"):
        judged(tmp_path, "def evaluate(program_path):\n    return 1 / 0\n")
    with pytest.raises(EvaluatorError, match=r"both called score.py"):
        judged(tmp_path, "def evaluate(program_path): ...\n", program={"score.py": b""})


# --- in a worker ----------------------------------------------------------------------------------


def setup_of(folder: Path, *stages: Stage) -> Setup:
    return Setup(
        EvaluatorSource("score.py:evaluate", folder),
        Objective(maximize=("height",)),
        stages or (Stage(),),
        20.0,
        SandboxSettings(),
        "evolver.sandboxes.local:LocalSandbox",
    )


def test_its_evaluations_are_untrusted_and_stages_name_functions(tmp_path: Path) -> None:
    evaluator = LOADING + (
        "\n\ndef evaluate_stage1(program_path):\n    return {'runs': 1}\n\n\n"
        "def evaluate(program_path):\n    return {'height': load(program_path).height(1)}\n"
    )
    write(tmp_path, {"score.py": evaluator})
    stages = (Stage(name="evaluate_stage1"), Stage(name="full"))
    with contextlib.closing(Judge(setup_of(tmp_path, *stages))) as judge:
        _, good = judge.evaluate(Job(Program(1, {"program.py": PROGRAM}), 1))
        assert (good.status, good.objectives, good.stage) == ("ok", (1.5,), 1)
        assert not good.trusted
        program, tuned = judge.evaluate(Job(Program(1, {"program.py": PROGRAM}), 1, Tune(limit=12)))
        assert tuned.objectives is not None
        assert tuned.objectives > (1.5,)
        assert program.files != {"program.py": PROGRAM}
        _, bad = judge.evaluate(
            Job(
                Program(2, {"program.py": b"def height(x):\n    print(7 * 6)\n    raise OSError"}),
                1,
            )
        )
        assert (bad.status, bad.fault, bad.trusted) == ("crashed", "candidate", False)
        assert (bad.printed, bad.explanation) == ("42", with_output(bad.feedback, "42"))
        assert "42" not in bad.feedback


def test_a_score_that_the_candidate_writes_itself_is_what_untrusted_means(tmp_path: Path) -> None:
    write(tmp_path, {"score.py": LOADING + "\n\ndef evaluate(program_path):\n"
                     "    return {'height': load(program_path).height(1)}\n"})  # fmt: skip
    forged = b"import score\nscore.evaluate = None\n\n\ndef height(x):\n    return 1e9\n"
    with contextlib.closing(Judge(setup_of(tmp_path))) as judge:
        _, verdict = judge.evaluate(Job(Program(1, {"program.py": forged}), 1))
        assert verdict.objectives == (1e9,)
        assert not verdict.trusted
        _, again = judge.evaluate(Job(Program(2, {"program.py": PROGRAM}), 1))
        assert again.objectives == (1.5,)  # nothing of it is left for the next one
