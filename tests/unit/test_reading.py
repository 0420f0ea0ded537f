"""Whatever a server sends where an answer should be, it can be read, and nothing of it is lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_bodies import BODIES

from evolver.models import reading
from evolver.models.failures import explain_complaint
from evolver.models.openai import OpenAIModel


def check(body: bytes | str) -> None:
    answer = reading.read(body)
    assert bool(answer.choices) is (answer.complaint is None)
    for choice in answer.choices:
        for text in (choice.text, choice.reasoning, choice.finish_reason, answer.model):
            text.encode()  # it can be stored
    if answer.complaint is not None:
        answer.complaint.words.encode()
    if answer.usage is not None:
        assert answer.usage.prompt > 0
        assert answer.usage.completion >= 0
        assert 0 <= answer.usage.cached <= answer.usage.prompt


@given(BODIES)
def test_any_json_can_be_read(body: object) -> None:
    check(json.dumps(body))
    check(f"data: {json.dumps(body)}\n\n".encode())
    check(json.dumps([body, body]).replace("}, {", "}\n{"))


@given(BODIES, st.integers(0, 300))
def test_any_beginning_of_json_can_be_read(body: object, end: int) -> None:
    check(json.dumps({"choices": [{"message": body}]})[:end].encode())


@given(st.binary(max_size=200) | st.sampled_from([b"\x1f\x8b", b"\xff\xfe", b"\xef\xbb\xbf", b""]))
def test_any_bytes_can_be_read(body: bytes) -> None:
    check(body)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_the_text_of_an_answer_is_what_was_said(text: str) -> None:
    for content in (text, [text], [{"type": "text", "text": text}]):
        body = {"choices": [{"message": {"content": content}}]}
        for written in (json.dumps(body), json.dumps(body, ensure_ascii=False)):
            assert reading.read(written.encode()).choices[0].text == text


def test_what_no_document_holds_is_the_text_itself() -> None:
    for body in (
        "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE",
        "[]",
        "{}",
        "null",
        "3",
        '"yes"',
    ):
        assert reading.read(body).choices[0].text == body


def test_a_web_page_is_no_answer_and_one_in_an_answer_is() -> None:
    page = "<!DOCTYPE html><html><head><title>Sign in</title></head></html>"
    complaint = reading.read(page).complaint
    assert complaint is not None
    assert complaint.is_page
    assert complaint.words == "Sign in"
    body = json.dumps({"choices": [{"message": {"content": page}}]})
    assert reading.read(body).choices[0].text == page


def test_an_answer_beside_an_error_is_an_answer() -> None:
    body = {"error": {"code": 502}, "choices": [{"message": {"content": "half"}}]}
    assert reading.read(json.dumps(body)).choices[0].text == "half"


@pytest.mark.parametrize("content", ["null", '""', "[]"])
def test_an_error_beside_an_empty_answer_is_an_error(content: str) -> None:
    body = f'{{"choices": [{{"message": {{"content": {content}}}}}], "error": {{"code": 503}}}}'
    complaint = reading.read(body).complaint
    assert complaint is not None
    assert complaint.status == 503


def test_tokens_are_counted_in_digits_too_and_not_in_truths() -> None:
    def counted(tokens: str) -> str:
        usage = f'"prompt_tokens": {tokens}, "completion_tokens": {tokens}'
        return f'{{"choices": [{{"text": "a"}}], "usage": {{{usage}}}}}'

    assert reading.read(counted('"7"')).usage == reading.Usage(7, 7)
    for unknown in ("true", '"many"', '"-7"', "-7", "NaN", "[7]"):
        assert reading.read(counted(unknown)).usage is None


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "This model's maximum context length is 8192 tokens.", "length"),
        (400, "The input token count (12) exceeds the maximum number of tokens allowed", "length"),
        (422, "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000", "length"),
        (500, "the request exceeds the available context size", "length"),
        (429, "Request too large for gpt-4 on tokens per min: Limit 10, Requested 15", "length"),
        (429, "Rate limit reached for requests", "outage"),
        (401, "maximum context length", "model"),
        (400, "Content Exists Risk", "prompt"),
        (400, "Input data may contain inappropriate content.", "prompt"),
        (403, "Your request was blocked by our content policy", "prompt"),
        (500, "out of order", "outage"),
    ],
)
def test_refusals_are_told_apart(status: int, words: str, kind: str) -> None:
    complaint = reading.Complaint(words, status=status)
    assert explain_complaint(complaint, OpenAIModel("any", api_base="http://x/v1")).kind == kind
