"""The tests' own server: faults, outages, limits and the ledger, seen over real connections."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import pytest
from llm_server import SLIPS, Asked, Faults, LLMServer, Reply, with_faults

BODY = {"model": "any", "messages": [{"role": "user", "content": "one two three"}]}


def ask(server: LLMServer, **more: object) -> tuple[int, dict[str, str], Any]:
    """Ask once; return status, headers and the decoded body."""
    connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=10)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps({**BODY, **more}))
        response = connection.getresponse()
        return response.status, dict(response.headers), json.loads(response.read())
    finally:
        connection.close()


def ledger(server: LLMServer) -> dict[str, Any]:
    connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=10)
    try:
        connection.request("GET", "/ledger")
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()


def test_a_hang_up_comes_before_the_first_byte() -> None:
    with LLMServer(lambda asked: Reply(hang_up=True)) as server:
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            ask(server)
        assert ledger(server)["requests"] == 1


def test_a_drop_in_the_body_is_a_bill_that_nobody_can_know() -> None:
    with LLMServer(lambda asked: Reply("four five", drop=asked.number == 0)) as server:
        with pytest.raises(http.client.IncompleteRead):
            ask(server)
        ask(server)
        told = ledger(server)
    assert (told["lost_answers"], told["lost_tokens"]) == (1, 5)
    assert told["answers"] == {"chatcmpl-1": [3, 2]}
    assert (told["prompt_tokens"], told["completion_tokens"]) == (3, 2)


def test_an_outage_begins_and_ends() -> None:
    with LLMServer(lambda asked: "hello", outage=(1, 0.3)) as server:
        ask(server)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            ask(server)
        time.sleep(0.35)
        assert ask(server)[0] == 200


def test_beyond_the_rate_limit_it_says_how_long_to_wait() -> None:
    with LLMServer(lambda asked: "hello", rate_limit=(2, 0.5)) as server:
        assert [ask(server)[0] for _ in range(3)] == [200, 200, 429]
        wait = float(ask(server)[1]["retry-after"])
        assert 0 < wait <= 0.5
        time.sleep(wait + 0.05)
        assert ask(server)[0] == 200


@pytest.mark.parametrize(("ignores_n", "count"), [(False, 3), (True, 1)])
def test_n_is_honoured_or_ignored(ignores_n: bool, count: int) -> None:
    with LLMServer(lambda asked: Reply(texts=("a", "b")), ignores_n=ignores_n) as server:
        _, _, answer = ask(server, n=3)
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert texts == ["a", "b", "a"][:count]
    assert answer["usage"]["completion_tokens"] == count


def test_faults_come_as_often_as_they_should() -> None:
    script = with_faults(lambda asked: "fine", failed=0.3, malformed=0.3)
    replies = [script(Asked(number, "any", "", "", 1, {}, {})) for number in range(1000)]
    kinds = Counter(reply.fault.partition(":")[0] for reply in replies if isinstance(reply, Reply))
    assert 350 < kinds[""] < 450
    assert 250 < kinds["malformed"] < 350
    assert set(kinds) == {
        *("", "malformed", "limited", "limited_bare", "error", "hang_up", "drop"),
        *("invalid", "empty"),
    }


def test_every_slip_changes_a_good_answer() -> None:
    code = "def f(x):\n    return 1.5 * x"
    good = f"Nudge.\n\n<<<<<<< SEARCH\n{code}\n=======\n{code}\n>>>>>>> REPLACE\n"
    assert all(slip(good) != good for slip in SLIPS.values())
    assert Faults.shares(failed=0.7, malformed=0.2).error == pytest.approx(0.1)
