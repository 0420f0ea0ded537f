"""The store: facts survive, damage is reported, and what is whole can be recovered."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from evolver.errors import UsageError
from evolver.runs.run import Run
from evolver.storage.database import DATABASE, lock
from evolver.storage.facts import Attempt, Confirmation, Outcome, Request, Round
from evolver.storage.reader import Reader
from evolver.storage.recovery import examine, recover
from evolver.storage.schema import migrate
from evolver.storage.store import Store
from evolver.storage.totals import Bill
from evolver.types import Bound, Completion, Evaluation, Program, Prompt


def filled(directory, programs=60):
    store = Store.create(directory, {"task": "t", "seeds": []}, "test")
    for number in range(programs):
        attempt = Attempt(number, max(0, number - 1), "step", 0, number - 1 if number else None)
        store.begin(attempt)
        request = store.send(Request(number, 0, "any", Prompt("s", f"u {number}")))
        store.record(request, [Completion(f"answer {number}", dollars=0.25)])
        files = {"p.py": f"x = {number}\n".encode() + b"# " + b"z" * 300}
        evaluation = Evaluation(
            "ok", {"value": number}, {"secret": 1.0}, (float(number),), artifacts={"a": b"\0\xff"}
        )
        program = Program(number, files, parents=(number - 1,) if number else ())
        store.finish(Outcome(attempt, "evaluated", "", program, evaluation))
    store.close()


def test_what_was_written_is_read_back(tmp_path):
    filled(tmp_path, 3)
    store = Reader.open(tmp_path)
    outcomes = list(store.outcomes())
    assert [o.program.files["p.py"][:6] for o in outcomes] == [b"x = 0\n", b"x = 1\n", b"x = 2\n"]
    assert outcomes[2].evaluation.artifacts == {"a": b"\0\xff"}
    assert outcomes[2].evaluation.private == {"secret": 1.0}
    assert outcomes[2].program.parents == (1,)
    assert store.completions(1)[0][0].text == "answer 1"
    assert store.bill().dollars == 0.75
    store.close()


def test_who_shares_a_request_was_sent_its_prompt_too(tmp_path):
    with closing(Store.create(tmp_path, {}, "test")) as store:
        store.begin(*(Attempt(n, 0, "diff", 0, None, leader=5 if n > 5 else None) for n in (5, 6)))
        assert store.prompts(6) == {}  # nobody has asked yet
        for number, call in ((5, 0), (5, 1), (6, 1)):
            store.send(Request(number, call, "any", Prompt("s", f"{number}-{call}")))
        assert [prompt.user for prompt in store.prompts(6).values()] == ["5-0", "6-1"]
        store.send(Request(6, 0, "any", Prompt("s", "6-0")))  # its share was none
        assert [prompt.user for prompt in store.prompts(6).values()] == ["6-0", "6-1"]
        assert [prompt.user for prompt in store.prompts(5).values()] == ["5-0", "5-1"]


def test_who_holds_still_sees_nothing_that_is_written_later(tmp_path):
    filled(tmp_path, 2)
    with closing(Reader.snapshot(tmp_path)) as still, closing(Reader.open(tmp_path)) as other:
        with closing(Store.resume(tmp_path, "test")) as store:
            store.begin(Attempt(2, 2, "step", 0, 1))
            store.finish(Outcome(Attempt(2, 2, "step", 0, 1), "unproposed", "no idea"))
        assert [len(one.attempts()) for one in (still, other)] == [2, 3]
        assert len(Run(tmp_path, still).outcomes) == len(list(still.outcomes())) == 2
        assert len(Run(tmp_path).outcomes) == 3


def files_of(directory):
    return sorted(path.name for path in directory.glob(f"{DATABASE}*"))


def test_a_closed_store_is_one_file_and_stays_one_when_it_is_read(tmp_path):
    with closing(Store.create(tmp_path, {}, "test")) as store:
        assert files_of(tmp_path) == [DATABASE, f"{DATABASE}-shm", f"{DATABASE}-wal"]
        with closing(Reader.open(tmp_path)) as reader:
            store.begin(Attempt(0, 0, "seed", 0, None))
            assert len(reader.attempts()) == 1
    assert files_of(tmp_path) == [DATABASE]
    with closing(Reader.open(tmp_path)) as reader:
        assert len(reader.attempts()) == 1
    assert files_of(tmp_path) == [DATABASE]


def test_a_reader_keeps_the_log_until_the_next_session(tmp_path):
    filled(tmp_path, 1)
    with closing(Reader.open(tmp_path)) as reader:
        with closing(Store.resume(tmp_path, "test")) as store:
            assert len(reader.attempts()) == 1
            store.begin(Attempt(1, 1, "step", 0, 0))
        assert len(reader.attempts()) == 2
    Store.resume(tmp_path, "test").close()
    assert files_of(tmp_path) == [DATABASE]


def test_the_log_of_a_killed_session_is_read_and_kept_by_the_next(tmp_path):
    killed = tmp_path / "killed"
    killed.mkdir()
    with closing(Store.create(tmp_path, {}, "test")) as store:
        store.begin(Attempt(0, 0, "seed", 0, None))
        for name in files_of(tmp_path):  # as a kill leaves them
            shutil.copyfile(tmp_path / name, killed / name)
    with closing(Reader.open(killed)) as reader:
        assert len(reader.attempts()) == 1
    with closing(Store.resume(killed, "test")) as store:
        assert len(store.attempts(unfinished=True)) == 1
    assert files_of(killed) == [DATABASE]


@pytest.mark.slow  # it waits for the other process as long as the store does
def test_a_database_that_another_process_keeps_locked_is_not_damaged(tmp_path):
    filled(tmp_path, 1)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UsageError, match=r"keeps the database of .* locked; wait for it"):
            Store.resume(tmp_path, "test")
    Store.resume(tmp_path, "test").close()


def test_an_unknown_price_is_unknown_in_the_bill(tmp_path):
    store = Store.create(tmp_path, {}, "test")
    request = store.send(Request(1, 0, "any", Prompt("", ""), 2))
    store.record(request, [Completion("a", dollars=1.0), Completion("b")])
    assert store.bill().dollars is None
    assert store.bill().calls == 1
    store.close()


def test_a_request_is_known_before_it_is_answered_and_its_fate_after(tmp_path):
    store = Store.create(tmp_path, {}, "test")
    prompt = Prompt("the same for all", "one \udc80")
    bound = Bound(100, 400, 0.5)
    answered, failed, cut_off, in_flight = (
        store.send(Request(attempt, 0, model, prompt, bound=bound))
        for attempt, model in ((1, "a"), (1, "a"), (2, "b"), (3, "b"))
    )
    store.fail(answered, "slow down", Completion("", dollars=0.0))
    store.record(failed, [Completion("text", "a-0125", 10, 5, 0.25)])
    store.fail(cut_off, "connection lost", None)
    store.close()
    store = Reader.open(tmp_path)
    assert store.bills() == {"a": Bill(1, 10, 5, 0.25), "b": Bill(unknown=2)}
    assert store.bills(1) == {"a": Bill(1, 10, 5, 0.25)}
    assert store.bill() == Bill(1, 10, 5, 0.25, unknown=2)
    assert [model for model, *known in store.costs() if known == [bound, Bill(unknown=1)]] == [
        "b",
        "b",
    ]
    assert store.prompts(3) == {0: Prompt("the same for all", "one ?")}
    assert store.next_attempt() == 4
    store.close()
    assert in_flight == 4


def of_the_first_evolver(directory):
    """Make a run as it was before requests had rows of their own."""
    directory.mkdir()
    database = sqlite3.connect(directory / DATABASE)
    migrate(database, 2)
    answers = json.dumps([{"text": "hello", "model": "m", "prompt_tokens": 7, "dollars": 0.5}])
    prompt = json.dumps({"system": "s", "user": "u"})
    database.execute("INSERT INTO facts VALUES ('task', '\"t\"'), ('seeds', '[]')")
    database.execute("INSERT INTO attempts VALUES (0, 1, 0, 0, 'seed', 0, NULL, '[]', 1, '', NULL)")
    database.execute("INSERT INTO completions VALUES (0, 0, 1, 0, ?, ?)", (prompt, answers))
    database.commit()
    database.close()


def test_a_run_of_an_older_evolver_is_brought_up_to_date_to_be_read(tmp_path):
    run = tmp_path / "run"
    of_the_first_evolver(run)
    store = Reader.open(run)
    assert store.prompts(0) == {0: Prompt("s", "u")}
    assert store.completions(0)[0][0].text == "hello"
    assert store.bills() == {"m": Bill(1, 7, 0, 0.5)}
    store.close()


def test_what_an_older_evolver_joined_in_a_text_is_read_as_fields(tmp_path):
    run = tmp_path / "run"
    of_the_first_evolver(run)
    with sqlite3.connect(run / DATABASE) as database:
        migrate(database, 7)
        database.executemany(
            "INSERT INTO attempts VALUES (?, 1, 0, 0, 'ask', 0, 0, '[]', 1, 'm', NULL)",
            [(1,), (2,)],
        )
        database.executemany(
            "INSERT INTO outcomes VALUES (?, ?, 1, 0, ?, ?, NULL, '')",
            [
                (1, 1, "evaluated", ""),
                (2, 2, "filtered", "it does not parse\nnot mended: no edit:\nnot mended: again"),
            ],
        )
        database.execute("INSERT INTO programs VALUES (1, '{}', '', '[0]', 'ask', 0, 1, '', '')")
        database.execute(
            "INSERT INTO evaluations VALUES (1, 'score', 'crashed', '{}', '{}', NULL, '{}', "
            "'ValueError: no\n\nit printed, at the end:\nhello', '{}', 0, 0, '', 1, 'candidate', "
            "1, '[]', '', -1, -1, 0, 0, 0)"
        )
    database.close()
    store = Reader.open(run)
    crashed, filtered = store.outcomes()
    store.close()
    assert crashed.evaluation is not None
    assert (crashed.evaluation.feedback, crashed.evaluation.printed) == (
        "ValueError: no\n",
        "hello",
    )
    assert crashed.evaluation.explanation == "ValueError: no\n\nit printed, at the end:\nhello"
    assert filtered.reason == "it does not parse"
    assert filtered.repair_failure == "no edit:\nnot mended: again"
    assert filtered.full_reason.startswith("it does not parse\nnot mended: no edit")


def test_a_run_of_an_older_evolver_that_is_in_use_is_left_alone(tmp_path):
    run = tmp_path / "run"
    of_the_first_evolver(run)
    with lock(run), pytest.raises(UsageError, match="being written by process"):
        Reader.open(run)


def test_what_is_had_back_of_an_older_run_is_brought_up_to_date(tmp_path):
    run = tmp_path / "run"
    of_the_first_evolver(run)
    with sqlite3.connect(run / DATABASE) as database:
        evaluation = "0, 'score', 'ok', '{}', '{}', '[1.0]', '{}', '', '{}', 0, 0, '', 1, '', 1"
        database.execute("INSERT INTO programs VALUES (0, '{}', '', '[]', 'seed', 0, 0, '', '')")
        database.execute("INSERT INTO outcomes VALUES (1, 0, 1, 0, 'evaluated', '', NULL)")
        database.execute(f"INSERT INTO evaluations VALUES ({evaluation}, '[]', '', -1)")
    database.close()
    recover(run, tmp_path / "new")
    store = Reader.open(tmp_path / "new")
    assert store.bills() == {"m": Bill(1, 7, 0, 0.5)}
    store.close()


def test_a_directory_with_another_run_is_refused(tmp_path):
    filled(tmp_path, 1)
    with pytest.raises(UsageError, match="holds another run"):
        Store.create(tmp_path, {}, "test")


def test_no_run_is_named(tmp_path):
    with pytest.raises(UsageError, match="holds no run"):
        Reader.open(tmp_path)


def test_a_newer_database_is_refused(tmp_path):
    filled(tmp_path, 1)
    with sqlite3.connect(tmp_path / DATABASE) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(UsageError, match="newer evolver"):
        Store.resume(tmp_path, "test")


def test_a_truncated_database_is_named_as_damaged(tmp_path):
    filled(tmp_path)
    path = tmp_path / DATABASE
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UsageError, match=r"damaged.*evolver doctor"):
        Store.resume(tmp_path, "test")


def test_a_file_of_noise_is_named_as_damaged(tmp_path):
    (tmp_path / DATABASE).write_bytes(b"not a database" * 1000)
    with pytest.raises(UsageError, match="damaged"):
        Reader.open(tmp_path)


def test_of_a_damaged_database_what_is_whole_comes_back_and_goes_on(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    filled(run)
    (run / "settings.json").write_text("{}")
    path = run / DATABASE
    content = bytearray(path.read_bytes())
    page = 4096
    for number in range(35, len(content) // page, 9):
        content[number * page : (number + 1) * page] = b"\xa5" * page
    path.write_bytes(content)
    found = examine(run)
    assert found.damage
    assert 0 < len(found.outcomes) < 60
    recover(run, tmp_path / "new")
    store = Store.resume(tmp_path / "new", "test")
    outcomes = list(store.outcomes())
    assert len(outcomes) == len(found.outcomes)
    assert all(o.program.files["p.py"].startswith(b"x = ") for o in outcomes)
    store.close()
    assert (tmp_path / "new" / "settings.json").exists()


def test_a_round_whose_program_is_lost_goes_with_its_measurements(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    filled(run, 5)
    store = Store.resume(run, "test")
    for number, program in ((1, 2), (2, 3)):
        planned = Round(number, (program, 0), first=1, least=1, most=1)
        store.plan(planned)
        for one in planned.programs:
            store.confirm(Confirmation(one, Evaluation("ok", {}, {}, (1.0,)), 5, 5, number, 0))
        store.close_round(replace(planned, seen=5, begun=5))
    store.close()
    with closing(sqlite3.connect(run / DATABASE)) as database, database:
        database.execute("DELETE FROM outcomes WHERE attempt = 2")
    recover(run, tmp_path / "new")
    store = Reader.open(tmp_path / "new")
    assert [one.number for one in store.rounds()] == [2]
    assert [one.closed for one in store.sessions()] == [(), (2,)]
    assert [(row.program, row.round) for row in store.confirmations()] == [(3, 2), (0, 2)]
    store.close()


def test_an_undamaged_run_is_said_to_be_whole(tmp_path):
    filled(tmp_path, 5)
    found = examine(tmp_path)
    assert found.damage == ""
    assert len(found.outcomes) == 5


def test_of_a_truncated_database_what_is_left_comes_back(tmp_path):
    filled(tmp_path)
    path = tmp_path / DATABASE
    path.write_bytes(path.read_bytes()[: -2 * 4096])
    found = examine(tmp_path)
    assert found.damage
    assert len(found.outcomes) > 40


def test_an_empty_database_is_no_whole_one(tmp_path):
    (tmp_path / DATABASE).touch()
    assert examine(tmp_path).damage == "it is empty"
    with pytest.raises(UsageError, match=r"damaged \(it is empty\)"):
        Store.resume(tmp_path, "test")


def test_damage_found_late_is_told_in_one_line(tmp_path):
    filled(tmp_path)
    path = tmp_path / DATABASE
    content = bytearray(path.read_bytes())
    content[30 * 4096 : 60 * 4096] = b"\xa5" * 30 * 4096
    path.write_bytes(content)
    with pytest.raises(UsageError, match="damaged") as caught:
        _ = Run(tmp_path).outcomes
    assert "\n" not in str(caught.value)
