"""Models that are no endpoint: a command, a person, another run."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from model_contract import PROMPT, ModelContract, ask

from evolver.errors import EditError, ModelError, ModelRefused, ModelUnavailable, UsageError
from evolver.models import CommandModel, ManualModel
from evolver.models.manual import questions
from evolver.programs import diffs
from evolver.routing.recorded import ReplayModel
from evolver.storage.facts import Attempt, Request
from evolver.storage.store import Store
from evolver.tasks.plugins import configure
from evolver.types import Bound, Completion, Model, Prompt

FILES = {"f.py": b"def f(x):\n    return x\n", "src/g.py": b"y = 1", "lib.py": b"z = 0\n"}
EDITING = Prompt("You edit.", "Make f better.", FILES)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pid: int, seconds: float = 5.0) -> bool:
    """Wait until a process has ended."""
    deadline = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(pid)


class TestCommandModel(ModelContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[Sequence[str]], Model]:
        def scripted(answers: Sequence[str]) -> Model:
            """A command that gives the answers, one a call."""
            for number, answer in enumerate(answers):
                (tmp_path / f"{number}").write_bytes(answer.encode())
            count = f"n=$(cat {tmp_path}/n 2>/dev/null || echo 0); echo $((n + 1)) > {tmp_path}/n"
            return CommandModel(f"{count}; cat {tmp_path}/$n")

        return scripted

    def test_the_prompt_is_on_standard_input(self) -> None:
        assert ask(CommandModel("cat"))[0].text == "You answer briefly.\nSay hello."

    def test_a_large_prompt_and_a_large_answer(self) -> None:
        text = "x" * 300_000
        (completion,) = ask(CommandModel("cat"), Prompt(text, text))
        assert len(completion.text) == 600_001

    def test_a_command_that_does_not_read_its_prompt(self) -> None:
        assert ask(CommandModel("echo done"), Prompt("x" * 300_000, ""))[0].text == "done\n"

    def test_it_sees_the_files_and_nothing_else(self, tmp_path: Path) -> None:
        (completion,) = ask(CommandModel("find . -type f | sort; cat src/g.py"), EDITING)
        assert completion.text == "./f.py\n./lib.py\n./src/g.py\ny = 1"

    def test_the_scratch_copy_is_thrown_away(self) -> None:
        folder = ask(CommandModel("pwd"), EDITING)[0].text.strip()
        assert not Path(folder).exists()

    def test_its_environment_is_explicit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("A_KEY_OF_MINE", "sesame")
        monkeypatch.setenv("ANOTHER_KEY", "secret")
        shown = ask(CommandModel("env", env=("A_KEY_OF_MINE",)))[0].text
        assert "A_KEY_OF_MINE=sesame" in shown
        assert "ANOTHER_KEY" not in shown
        assert "PATH=" in shown

    def test_a_call_has_its_price_or_an_unknown_one(self) -> None:
        assert ask(CommandModel("echo a"))[0].dollars is None
        assert ask(CommandModel("echo a", price=0.25))[0].dollars == 0.25
        assert CommandModel("echo a", price=0.25).bound(PROMPT, 4) == Bound(dollars=0.25)

    def test_what_it_started_is_killed_at_the_timeout(self, tmp_path: Path) -> None:
        command = f"sleep 60 & echo $! > {tmp_path}/pid; sleep 60"
        started = time.monotonic()
        with pytest.raises(ModelError, match=r"did not answer within 0\.5 seconds"):
            ask(CommandModel(command, timeout=0.5))
        assert time.monotonic() - started < 10
        assert gone(int((tmp_path / "pid").read_text()))

    def test_what_it_left_behind_is_killed(self, tmp_path: Path) -> None:
        command = f"sleep 60 >/dev/null 2>&1 & echo $! > {tmp_path}/pid; echo done"
        assert ask(CommandModel(command))[0].text == "done\n"
        assert gone(int((tmp_path / "pid").read_text()))

    def test_it_dies_with_whoever_asked(self, tmp_path: Path) -> None:
        program = (
            "import asyncio\n"
            "from evolver.models import CommandModel\n"
            "from evolver.types import Prompt\n"
            f"command = 'echo $$ > {tmp_path}/pid; sleep 60'\n"
            "asyncio.run(CommandModel(command).complete(Prompt('', '')))\n"
        )
        environment = {**os.environ, "TMPDIR": str(tmp_path)}  # what a killed one leaves behind
        with subprocess.Popen([sys.executable, "-c", program], env=environment) as asker:
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                time.sleep(0.02)
            pid = int((tmp_path / "pid").read_text())
            assert is_alive(pid)
            asker.send_signal(signal.SIGKILL)
        assert gone(pid)

    def test_a_wait_of_the_command_waits_for_its_own_jobs_only(self) -> None:
        assert ask(CommandModel("true & wait; echo done", timeout=10))[0].text == "done\n"

    def test_a_failure_is_told_with_what_it_said_and_is_no_outage(self) -> None:
        with pytest.raises(ModelError, match=r"failed \(exit code 3\): out of credit$") as caught:
            ask(CommandModel("echo out of credit >&2; exit 3"))
        assert type(caught.value) is ModelError

    def test_a_command_may_say_that_it_succeeds_later(self) -> None:
        with pytest.raises(ModelUnavailable, match=r"failed \(exit code 75\): too busy$"):
            ask(CommandModel("echo too busy >&2; exit 75"))

    def test_silence_is_a_failure(self) -> None:
        with pytest.raises(ModelError, match="said nothing") as caught:
            ask(CommandModel("cat > /dev/null"))
        assert type(caught.value) is ModelError

    @pytest.mark.parametrize(
        ("command", "told"),
        [
            ("./model.sh", "mine"),
            ("sh ./model.sh", "mine"),
            ("tools/other.sh", "other"),
            ("true && ./model.sh; cat ./f.py", "mine\ndef f(x):\n    return x"),
            ("cat src/g.py", "y = 1"),
            ("echo './model.sh' http://a/b", "./model.sh http://a/b"),
        ],
    )
    def test_a_path_is_of_the_tasks_folder_unless_the_program_has_it(
        self, tmp_path: Path, command: str, told: str
    ) -> None:
        folder = tmp_path / "a task's folder"
        for name, said in (("model.sh", "mine"), ("tools/other.sh", "other"), ("f.py", "no")):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!/bin/sh\necho {said}\n")
            path.chmod(0o755)
        assert ask(CommandModel(command).beside(folder, FILES), EDITING)[0].text.strip() == told

    def test_a_command_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(ModelRefused, match=r"'no-such-agent' failed \(exit code 127\)"):
            ask(CommandModel("no-such-agent"))

    def test_edits_in_place_become_an_answer_that_applies_exactly(self) -> None:
        command = (
            "printf 'def f(x):\\n    return 2 * x\\n' > f.py; printf 'y = 2\\n' > src/g.py; "
            "mkdir -p build; echo new > build/log; echo 'I double it.'; echo '```diff'; echo '+no'"
        )
        (completion,) = ask(CommandModel(command, edits_in_place=True), EDITING)
        assert completion.text.startswith("I double it.\n\n--- a/f.py\n")
        editable = {name: FILES[name] for name in ("f.py", "src/g.py")}
        child = diffs.apply(diffs.parse(completion.text, FILES), editable, ("lib.py",))
        assert child == {"f.py": b"def f(x):\n    return 2 * x\n", "src/g.py": b"y = 2\n"}

    def test_in_place_the_command_is_told_so(self) -> None:
        (completion,) = ask(CommandModel("cat", edits_in_place=True), EDITING)
        assert "edit\nthe files in place" in completion.text

    def test_an_answer_without_edits_is_taken_as_it_is(self) -> None:
        answer = "<<<<<<< SEARCH\n    return x\n=======\n    return 2 * x\n>>>>>>> REPLACE\n"
        (completion,) = ask(CommandModel(f"printf '{answer}'", edits_in_place=True), EDITING)
        child = diffs.apply(diffs.parse(completion.text, FILES), FILES)
        assert child["f.py"] == b"def f(x):\n    return 2 * x\n"

    @pytest.mark.parametrize(
        ("command", "sentence"),
        [("echo no > lib.py", "lib.py is read-only"), ("rm f.py", "cannot be made or deleted")],
    )
    def test_edits_of_what_is_not_editable_are_refused(self, command: str, sentence: str) -> None:
        (completion,) = ask(CommandModel(command, edits_in_place=True), EDITING)
        editable = {name: FILES[name] for name in ("f.py", "src/g.py")}
        with pytest.raises(EditError, match=sentence):
            diffs.apply(diffs.parse(completion.text, FILES), editable, ("lib.py",))

    def test_settings_come_from_a_table(self) -> None:
        table = {"command": "agent", "edits_in_place": True, "env": ["KEY"], "price": 0.1}
        made = configure(CommandModel, table, "[[model]]")
        assert made == CommandModel("agent", edits_in_place=True, env=("KEY",), price=0.1)
        with pytest.raises(UsageError, match="price"):
            configure(CommandModel, {"command": "agent", "price": -1}, "[[model]]")


class TestManualModel(ModelContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[Sequence[str]], Model]:
        return lambda answers: Answered(tmp_path, answers)

    @pytest.fixture
    def model(self, tmp_path: Path) -> ManualModel:
        return ManualModel(settle=0.0).within(tmp_path)

    def test_the_prompt_stands_in_a_file_beside_the_answer(
        self, model: ManualModel, tmp_path: Path
    ) -> None:
        (tmp_path / "manual").mkdir()
        (tmp_path / "manual" / "answer-0012-0.md").write_text("forty-two")
        (completion,) = ask(model)
        assert completion.text == "forty-two"
        assert completion.dollars == 0.0
        prompt = (tmp_path / "manual" / "prompt-0012-0.md").read_text()
        assert prompt == "You answer briefly.\nSay hello."

    def test_an_answer_to_another_runs_question_is_put_aside(
        self, model: ManualModel, tmp_path: Path
    ) -> None:
        folder = tmp_path / "manual"
        folder.mkdir()
        (folder / "answer-0012-0.md").write_text("forty-two")
        assert ask(model)[0].text == ask(model)[0].text == "forty-two"
        (folder / "prompt-0012-0.md").write_text("another question")
        writer = threading.Timer(0.3, (folder / "answer-0012-0.md").write_text, ["hello"])
        writer.start()
        assert ask(model)[0].text == "hello"
        assert (folder / "answer-0012-0.old").read_text() == "forty-two"

    def test_it_says_what_it_waits_for(self, model: ManualModel, tmp_path: Path) -> None:
        async def wait() -> str:
            asking = [
                asyncio.ensure_future(model.complete(replace(PROMPT, request=f"000{number}-0")))
                for number in (7, 3)
            ]
            await asyncio.sleep(0.05)
            said = model.waits_for
            for one in asking:
                one.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            return said

        assert model.waits_for == ""
        said = asyncio.run(wait())
        assert said == f"manual waits for {tmp_path}/manual/answer-0003-0.md and 1 more"
        assert model.waits_for == ""
        names = [question.prompt.name for question in questions(tmp_path / "manual")]
        assert names == ["prompt-0003-0.md", "prompt-0007-0.md"]

    def test_an_answer_that_is_being_written_is_not_read(
        self, model: ManualModel, tmp_path: Path
    ) -> None:
        answer = tmp_path / "manual" / "answer-0012-0.md"
        answer.parent.mkdir()

        def write() -> None:
            with answer.open("w") as file:
                for word in ("slowly ", "comes ", "the ", "answer"):
                    file.write(word)
                    file.flush()
                    time.sleep(0.15)

        writer = threading.Thread(target=write)
        writer.start()
        (completion,) = ask(replace(model, settle=0.4))
        writer.join()
        assert completion.text == "slowly comes the answer"

    def test_a_blank_answer_is_none_yet(self, model: ManualModel, tmp_path: Path) -> None:
        answer = tmp_path / "manual" / "answer-0012-0.md"
        answer.parent.mkdir()
        answer.write_text("  \n")
        writer = threading.Timer(0.5, answer.write_text, ["now"])
        writer.start()
        assert ask(model)[0].text == "now"

    def test_a_folder_of_ones_own(self, tmp_path: Path) -> None:
        made = configure(ManualModel, {"folder": str(tmp_path / "mine")}, "[[model]]")
        assert made.within(tmp_path).folder == tmp_path / "mine"


class Answered:
    """The model, with somebody who answered in advance."""

    def __init__(self, folder: Path, answers: Sequence[str]) -> None:
        self._folder = folder
        self._model = ManualModel(folder=folder, settle=0.0)
        self._answers = enumerate(answers)

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        number, answer = next(self._answers)
        (self._folder / f"answer-{number:04}-0.md").write_bytes(answer.encode())
        return await self._model.complete(replace(prompt, request=f"{number:04}-0"), n)


def recorded(directory: Path, *answered: tuple[Prompt, Sequence[str]]) -> Path:
    """Make a run whose attempts asked these prompts, one each, and were answered so."""
    directory.mkdir()
    with closing(Store.create(directory, {}, "test")) as store:
        for number, (prompt, answers) in enumerate(answered, start=1):
            store.begin(Attempt(number, 0, "diff", 0, 0))
            request = store.send(Request(number, 0, "any", prompt, len(answers)))
            said = [Completion(a, "any", len(a.split()), 2, dollars=0.5) for a in answers]
            store.record(request, said)
    return directory


class TestReplayModel(ModelContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[Sequence[str]], Model]:
        return lambda answers: ReplayModel(
            recorded(tmp_path / "run", *((PROMPT, [answer]) for answer in answers))
        )

    def test_the_same_call_of_the_same_attempt_gets_its_own_answer(self, tmp_path: Path) -> None:
        run = recorded(tmp_path / "run", *((PROMPT, [answer]) for answer in ("a", "b", "c")))
        model = ReplayModel(run)
        asked = [replace(PROMPT, request=f"000{number}-0") for number in (3, 1, 2)]
        assert [ask(model, prompt)[0].text for prompt in asked] == ["c", "a", "b"]

    def test_other_words_of_the_same_attempt_are_looked_for_elsewhere(self, tmp_path: Path) -> None:
        other = Prompt("You answer.", "Say no.")
        model = ReplayModel(recorded(tmp_path / "run", (PROMPT, ["yes"]), (other, ["no"])))
        assert ask(model, replace(other, request="0001-0"))[0].text == "no"

    def test_an_answer_is_free_and_keeps_its_tokens(self, tmp_path: Path) -> None:
        model = ReplayModel(recorded(tmp_path / "run", (PROMPT, ["two words"])))
        (completion,) = ask(model)
        assert (completion.prompt_tokens, completion.dollars) == (2, 0.0)

    def test_what_nobody_answered_is_an_error(self, tmp_path: Path) -> None:
        model = ReplayModel(recorded(tmp_path / "run", (PROMPT, ["only"])))
        with pytest.raises(ModelError, match="holds no answer to this prompt") as caught:
            ask(model, Prompt("other", "words"))
        assert caught.value.bill is not None
        assert caught.value.bill.dollars == 0.0
        ask(model)
        with pytest.raises(ModelError, match="holds no more than 1 answers to this prompt"):
            ask(model)

    def test_a_run_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        made = configure(ReplayModel, {"run": str(tmp_path)}, "[[model]]")
        with pytest.raises(UsageError, match="holds no run"):
            asyncio.run(made.check())
