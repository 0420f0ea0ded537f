"""One suite for every model; the HTTP ones talk to a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from email.utils import formatdate
from pathlib import Path

import pytest
from effort import LATE
from llm_bodies import ANSWERS, PAGE, error_in_200, message, said
from llm_server import Asked, LLMServer, Reply, broken, in_turn, rate_limited
from model_contract import PROMPT, CountingModelContract, ask

from evolver.errors import (
    ModelAdapted,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    PromptRefused,
    PromptTooLong,
    UsageError,
)
from evolver.models import LiteLLMModel, OpenAIModel, ScriptedModel, remote
from evolver.models.chat import ChatModel
from evolver.tasks.plugins import configure
from evolver.types import Completion, Model


class TestScriptedModel(CountingModelContract):
    @pytest.fixture
    def make(self) -> Callable[[Sequence[str]], Model]:
        return ScriptedModel

    def test_records_what_it_was_asked(self) -> None:
        model = ScriptedModel(lambda prompt: prompt.user.upper())
        assert ask(model)[0].text == "SAY HELLO."
        assert model.asked == [PROMPT]

    def test_a_used_up_list_is_a_model_error(self) -> None:
        model = ScriptedModel(["only"])
        ask(model)
        with pytest.raises(ModelError, match="holds 1 answers"):
            ask(model)

    def test_answers_come_from_a_table(self) -> None:
        settings = {"answers": ["one", "two"], "latency": 0.01}
        assert ask(configure(ScriptedModel, settings, "[[model]]"), n=2)[1].text == "two"

    def test_an_exception_in_the_list_is_raised(self) -> None:
        model = ScriptedModel([ModelError("down"), Completion("up", dollars=0.5)])
        with pytest.raises(ModelError, match="down"):
            ask(model)
        assert ask(model)[0].dollars == 0.5


@pytest.fixture(scope="module")
def server() -> Iterator[LLMServer]:
    with LLMServer(in_turn([""])) as running:
        yield running


class HTTPModelContract(CountingModelContract):
    """What models behind HTTP do about the faults of servers."""

    @abstractmethod
    def model(self, address: str) -> ChatModel: ...

    @pytest.fixture
    def serve(self, server: LLMServer) -> Callable[..., tuple[ChatModel, LLMServer]]:
        def start(*replies: str | Reply) -> tuple[ChatModel, LLMServer]:
            server.play(in_turn(replies))
            return self.model(server.address), server

        return start

    @pytest.fixture
    def make(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> Callable[[Sequence[str]], Model]:
        return lambda answers: serve(*answers)[0]

    def test_an_answer_in_any_form_is_read_and_not_asked_for_again(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        model, server = serve("")
        asked = list(ANSWERS)
        server.play(lambda request: Reply(body=ANSWERS[asked[request.number]][0]))

        async def all_of_them() -> dict[str, str]:
            found = {}
            for name in ANSWERS:
                (completion,) = await model.complete(PROMPT)
                found[name] = completion.text
                json.dumps(asdict(completion)).encode()
                completion.text.encode()
            await model.close()
            return found

        assert asyncio.run(all_of_them()) == {name: text for name, (_, text) in ANSWERS.items()}
        assert len(server.asked) == len(ANSWERS)

    @pytest.mark.parametrize(
        "body",
        [
            said("hello", usage=None),
            said("hello", usage={}),
            said("hello", usage={"prompt_tokens": 5}),
            b"hello",
        ],
    )
    def test_what_is_not_told_of_the_cost_is_unknown(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]], body: bytes
    ) -> None:
        model, _ = serve(Reply(body=body))
        (answer,) = ask(replace(model, prompt_price=1.0, completion_price=1.0))
        assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("hello", 0, 0)
        assert answer.dollars is None

    def test_a_withheld_answer_says_so(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        model, _ = serve(Reply(body=message(content=None, refusal="I cannot")),
                         Reply("", finish_reason="content_filter"))  # fmt: skip
        for _ in range(2):
            (answer,) = ask(model)
            assert (answer.text, answer.finish_reason) == ("", "content_filter")

    def test_a_redirect_is_told_and_not_followed(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        for status in (301, 302, 307, 308):
            elsewhere = {"location": "/v1/chat/completions"}
            model, server = serve(Reply(status=status, headers=elsewhere, body=b""))
            told = r"redirects requests \(30\d: /v1/chat/completions\); set api_base"
            with pytest.raises(ModelError, match=told) as caught:
                ask(model)
            assert type(caught.value) is ModelError
            assert len(server.asked) == 1

    @pytest.mark.parametrize(
        "fault",
        [
            rate_limited("0"),
            rate_limited(),
            broken(),
            Reply("x", drop=True),
            Reply(hang_up=True),
            *(Reply("later", status=status) for status in (408, 425, 500, 502, 504, 529)),
            Reply(status=502, body=b"<html><body>Bad Gateway</body></html>"),
            error_in_200(code=429, message="slow down"),
            error_in_200(type="overloaded_error", message="too many at once"),
            error_in_200(code="502", message="the provider is down"),
            Reply("busy", status=503, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        ],
    )
    def test_a_passing_fault_says_that_it_may_pass(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]], fault: Reply
    ) -> None:
        model, server = serve(fault, "hello")
        with pytest.raises(ModelUnavailable):
            ask(model)
        assert len(server.asked) == 1
        assert ask(model)[0].text == "hello"

    @pytest.mark.parametrize(
        ("fault", "sentence"),
        [
            (rate_limited("0"), "limits the rate of requests (slow down)"),
            (broken(), "failed (500: out of order)"),
            (Reply(body=PAGE), "sent a web page instead of an answer (Sign in); check the address"),
            (Reply(status=502, body=b"<html><h1>Bad Gateway</h1></html>"), "(502: Bad Gateway)"),
            (error_in_200(message="no tools here"), "refuses the request (400: no tools here)"),
        ],
    )
    def test_a_fault_is_told_in_a_sentence(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]], fault: Reply, sentence: str
    ) -> None:
        model, server = serve(fault)
        with pytest.raises(ModelError) as caught:
            ask(model)
        assert sentence in str(caught.value)
        assert server.address in str(caught.value)
        assert len(server.asked) == 1

    @pytest.mark.parametrize(
        "fault",
        [
            *(Reply("no", status=status) for status in (400, 405, 413, 415, 422)),
            Reply(body=PAGE),
            error_in_200(message="out of range"),
            error_in_200(code=400, message="no"),
            Reply(body=b'{"detail": "Not Found"}'),
            Reply(body=b'{"object": "error", "message": "no"}'),
            Reply(body=b'data: {"error": {"message": "no"}}\n\n'),
            Reply(headers={"content-encoding": "gzip"}, body=b"no gzip"),
        ],
    )
    def test_what_does_not_pass_by_itself_is_no_outage(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]], fault: Reply
    ) -> None:
        model, server = serve(fault, "hello")
        with pytest.raises(ModelError) as caught:
            ask(model)
        assert type(caught.value) is ModelError
        assert len(server.asked) == 1

    @pytest.mark.parametrize(
        "fault",
        [
            Reply("forbidden", status=403),
            Reply("The response was filtered", status=400, error={"code": "content_filter"}),
            Reply("Your request was flagged by our moderation", status=400),
            Reply("violates our usage policies", status=403),
            error_in_200(code=403, message="Your input was flagged"),
        ],
    )
    def test_a_prompt_that_is_refused_is_told_from_a_key(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]], fault: Reply
    ) -> None:
        model, server = serve(fault)
        with pytest.raises(PromptRefused):
            ask(model)
        assert len(server.asked) == 1

    @pytest.mark.parametrize(
        ("words", "share"),
        [
            ("This model's maximum context length is 8192 tokens. However, you requested 9000 "
             "tokens (8500 in the messages, 500 in the completion).", 0.9 * 7692 / 8500),
            ("prompt is too long: 210000 tokens > 200000 maximum", 0.9 * 200000 / 210000),
            ("Request too large for this model: Limit 6000, Requested 7000", 0.9 * 6000 / 7000),
            ("the request exceeds the available context size", 0.5),
            ("Please reduce the length of the input messages", 0.5),
        ],
    )  # fmt: skip
    def test_a_prompt_that_is_too_long_says_how_much_fits(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]], words: str, share: float
    ) -> None:
        for status in (400, 413):
            model, _ = serve(Reply(words, status=status))
            with pytest.raises(PromptTooLong, match=r"set \[prompts\] tokens to fewer") as caught:
                ask(model)
            assert caught.value.share == pytest.approx(share)

    @pytest.mark.parametrize(
        ("refused", "words", "told"),
        [
            ("system", "System role not supported", "takes no system role"),
            ("system", "Conversation roles must alternate user/assistant", "takes no system role"),
            ("system", "Developer instruction is not enabled for this model", "no system role"),
            ("temperature", "Unsupported value: 'temperature' does not support 0.25 with this "
             "model. Only the default (1) value is supported.", "takes no temperature"),
            ("max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. "
             "Use 'max_completion_tokens' instead.", "takes max_completion_tokens instead"),
            ("n", "multiple completions are not supported", "takes no n"),
            ("n", "n must be 1", "takes no n"),
            ("reasoning_effort", "Unrecognized request argument supplied: reasoning_effort",
             "takes no reasoning_effort"),
        ],
    )  # fmt: skip
    def test_what_an_endpoint_does_not_take_is_left_out_from_then_on(
        self,
        serve: Callable[..., tuple[ChatModel, LLMServer]],
        refused: str,
        words: str,
        told: str,
    ) -> None:
        model, server = serve("")
        model = replace(model, temperature=0.25, max_tokens=77, reasoning_effort="low")

        def strict(asked: Asked) -> str | Reply:
            is_there = asked.system if refused == "system" else refused in asked.body
            return Reply(words, status=400) if is_there else "hello"

        server.play(strict)
        with pytest.raises(ModelAdapted) as caught:
            ask(model, n=2)
        assert told in caught.value.lesson
        assert ask(model, n=2)[0].text == ask(model, n=2)[0].text == "hello"
        assert len(server.asked) == 3
        last = server.asked[-1]
        assert f"{PROMPT.system}\n\n{PROMPT.user}" in (last.user, f"{last.system}\n\n{last.user}")
        wanted = {"temperature": 0.25, "max_tokens": 77, "reasoning_effort": "low", "n": 2}
        if refused == "max_tokens":
            wanted["max_completion_tokens"] = wanted["max_tokens"]
        wanted.pop(refused, None)
        assert wanted.items() <= last.body.items()

    def test_a_limit_that_is_too_large_is_no_matter_of_its_name(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        model, server = serve(Reply("max_tokens is too large: 900000", status=400))
        with pytest.raises(ModelError, match="too large") as caught:
            ask(replace(model, max_tokens=900_000))
        assert type(caught.value) is ModelError
        assert len(server.asked) == 1

    def test_the_system_part_may_go_with_the_users(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        model, server = serve("hello")
        ask(replace(model, system="user"))
        assert (server.asked[0].system, server.asked[0].user) == (
            "", f"{PROMPT.system}\n\n{PROMPT.user}")  # fmt: skip

    @pytest.mark.parametrize(
        ("fault", "sentence"),
        [
            (Reply("bad key", status=401), "refuses the request (401: bad key); set "),
            (Reply("no such model", status=404), "(404: no such model); check the name"),
            (Reply("insufficient_quota", status=429), "the account has no credit left"),
            (error_in_200(code="invalid_api_key", message="bad key"), "(401: bad key); set "),
        ],
    )
    def test_a_refusal_is_not_tried_again(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]], fault: Reply, sentence: str
    ) -> None:
        model, server = serve(fault)
        with pytest.raises(ModelRefused) as caught:
            ask(model)
        assert sentence in str(caught.value)
        assert len(server.asked) == 1

    def test_a_bad_request_is_an_error_that_another_prompt_may_not_have(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        model, server = serve(Reply("the prompt is too long", status=400))
        with pytest.raises(PromptTooLong, match=r"refuses the request \(400: the prompt is too"):
            ask(model)
        assert len(server.asked) == 1

    def test_retry_after_is_seconds_or_a_date(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        date = formatdate(time.time() + 3600, usegmt=True)
        for header, low, high in (("0.4", 0.4, 0.4), (date, 3500, 3600)):
            model, _ = serve(rate_limited(header))
            with pytest.raises(ModelUnavailable) as caught:
                ask(model)
            assert caught.value.is_limit
            assert caught.value.retry_after is not None
            assert low <= caught.value.retry_after <= high

    @pytest.mark.parametrize(
        ("fault", "tokens"),
        [
            (rate_limited(), 0),
            (broken(), 0),
            (Reply("no", status=400), 0),
            (error_in_200(message="no"), 0),
            (
                Reply(
                    body=b'{"error": "no", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}'
                ),
                7,
            ),  # it says what it counted
            (Reply(body=PAGE), None),
            (Reply("hello", drop=True), None),
        ],
    )
    def test_a_failure_is_billed_as_far_as_it_is_known(
        self,
        serve: Callable[..., tuple[ChatModel, LLMServer]],
        fault: Reply,
        tokens: int | None,
    ) -> None:
        model, _ = serve(fault)
        with pytest.raises(ModelError) as caught:
            ask(model)
        bill = caught.value.bill
        assert (None if bill is None else bill.prompt_tokens + bill.completion_tokens) == tokens

    def test_a_slow_answer_is_cut_at_the_timeout(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        model, _ = serve(Reply("late", slow=30))
        model.prepare()  # pays for the imports
        started = time.monotonic()
        with pytest.raises(ModelError, match=r"no answer from .* within 0\.3 seconds"):
            ask(replace(model, timeout=0.3))
        assert time.monotonic() - started < LATE

    def test_a_server_that_is_gone_is_named(self) -> None:
        with LLMServer(in_turn(["hello"])) as server:
            model = self.model(server.address)
        with pytest.raises(ModelError) as caught:
            ask(model)
        assert f"no answer from {server.address}" in str(caught.value)
        assert "is the server running?" in str(caught.value)
        assert isinstance(caught.value, ModelUnavailable)

    def test_an_answer_that_was_cut_off_says_so(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        model, _ = serve(Reply("half a", finish_reason="length"))
        assert ask(model)[0].finish_reason == "length"

    def test_a_server_that_ignores_n_is_believed(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        model, server = serve(Reply("a b", choices=1))
        assert len(ask(model, n=3)) == 1
        assert len(server.asked) == 1

    def test_no_request_costs_more_than_its_bound(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        model, _ = serve("one two three")
        assert model.bound(PROMPT, 1).tokens is None  # an answer may be of any length
        model = replace(model, max_tokens=3, prompt_price=1.0, completion_price=2.0)
        bound, answers = model.bound(PROMPT, 2), ask(model, n=2)
        assert bound.prompt_tokens is not None
        assert bound.dollars is not None
        assert bound.prompt_tokens >= sum(a.prompt_tokens for a in answers)
        assert bound.completion_tokens == 6 == sum(a.completion_tokens for a in answers)
        assert bound.dollars >= sum(a.dollars or 0.0 for a in answers) > 0

    def test_the_bill_is_the_servers_to_the_token(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        model, server = serve("one two three four five six seven")
        completions = ask(model, n=4)
        assert sum(c.prompt_tokens for c in completions) == server.prompt_tokens
        assert sum(c.completion_tokens for c in completions) == server.completion_tokens

    def test_an_unknown_price_is_unknown(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        model, _ = serve("hello there")
        assert ask(model)[0].dollars is None
        priced = replace(model, prompt_price=2.0, completion_price=10.0)
        assert ask(priced)[0].dollars == pytest.approx((5 * 2.0 + 2 * 10.0) * 1e-6)
        assert ask(replace(model, prompt_price=2.0))[0].dollars is None

    def test_without_usage_the_price_is_unknown(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        model, _ = serve(Reply("hello", usage=False))
        priced = replace(model, prompt_price=2.0, completion_price=10.0)
        assert ask(priced)[0].dollars is None

    def test_settings_reach_the_server(
        self, serve: Callable[..., tuple[ChatModel, LLMServer]]
    ) -> None:
        model, server = serve("hello")
        ask(replace(model, temperature=0.25, max_tokens=77, reasoning_effort="low"))
        (asked,) = server.asked
        assert (asked.system, asked.user) == (PROMPT.system, PROMPT.user)
        assert asked.body["temperature"] == 0.25
        assert asked.body["max_tokens"] == 77
        assert asked.body["reasoning_effort"] == "low"
        assert asked.model == "any"

    def test_the_key_of_the_environment_is_sent(
        self,
        serve: Callable[..., tuple[ChatModel, LLMServer]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("A_KEY_OF_MINE", "sesame")
        model, server = serve("hello")
        ask(replace(model, key_env="A_KEY_OF_MINE"))
        assert server.asked[0].headers["authorization"] == "Bearer sesame"

    def test_many_requests_at_once(self, serve: Callable[..., tuple[ChatModel, LLMServer]]) -> None:
        model, server = serve(Reply("hello", latency=0.5))

        async def asked() -> float:
            await model.complete(PROMPT)
            started = time.monotonic()
            await asyncio.gather(*(model.complete(PROMPT) for _ in range(20)))
            seconds = time.monotonic() - started
            await model.close()
            return seconds

        assert asyncio.run(asked()) < LATE  # one after the other it would be ten
        assert len(server.asked) == 21

    def test_remote_requests_are_off_in_tests(self) -> None:
        assert remote.ALLOW_REMOTE_REQUESTS is False
        with pytest.raises(UsageError, match="switched off"):
            ask(self.model("https://models.example.org/v1"))


class TestOpenAIModel(HTTPModelContract):
    def model(self, address: str) -> ChatModel:
        settings = {"name": "any", "api_base": address}
        model = configure(OpenAIModel, settings, "[[model]]")
        assert isinstance(model, OpenAIModel)
        return model

    def test_what_was_never_sent_cost_nothing(self) -> None:
        with pytest.raises(ModelUnavailable) as caught:
            ask(self.model("http://127.0.0.1:9/v1"))
        assert caught.value.bill is not None
        assert caught.value.bill.dollars == 0.0

    def test_without_key_and_address_it_says_what_to_set(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(remote, "ALLOW_REMOTE_REQUESTS", True)
        with pytest.raises(UsageError, match="set OPENAI_API_KEY, or give the address"):
            ask(OpenAIModel("gpt-any"))

    def test_an_address_without_a_scheme_is_refused(self) -> None:
        with pytest.raises(UsageError, match="must begin with http"):
            ask(OpenAIModel("any", api_base="localhost:8000"))

    def test_a_proxy_of_the_environment_is_not_for_loopback(
        self,
        serve: Callable[..., tuple[ChatModel, LLMServer]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        model, _ = serve("hello")
        assert ask(model)[0].text == "hello"

    def test_a_check_costs_nothing(self, serve: Callable[..., tuple[ChatModel, LLMServer]]) -> None:
        model, server = serve("hello")
        asyncio.run(model.check())
        assert server.asked == []

    def test_a_check_finds_a_server_that_is_not_there_at_once(self) -> None:
        with LLMServer(in_turn(["hello"])) as server:
            model = self.model(server.address)
        started = time.monotonic()
        with pytest.raises(ModelError, match=r"connection refused; is the server running\?$"):
            asyncio.run(model.check())
        assert time.monotonic() - started < 5

    def test_a_server_without_a_list_of_models_passes(self, server: LLMServer) -> None:
        asyncio.run(self.model(f"{server.address}/elsewhere").check())


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without any provider's credentials, where requests are not switched off."""
    monkeypatch.setattr(remote, "ALLOW_REMOTE_REQUESTS", True)
    families = ("AZURE_", "DATABRICKS_", "WATSONX_", "WX_", "WML_", "AWS_", "GOOGLE_", "VERTEX")
    for name in [n for n in os.environ if n.startswith(families)]:
        monkeypatch.delenv(name)
    for name in ("PROJECT_ID", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # the machine is not asked
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    return monkeypatch


class TestLiteLLMModel(HTTPModelContract):
    def model(self, address: str) -> ChatModel:
        settings = {"name": "openai/any", "api_base": address}
        model = configure(LiteLLMModel, settings, "[[model]]")
        assert isinstance(model, LiteLLMModel)
        return model

    def test_without_an_address_every_provider_is_remote(self) -> None:
        with pytest.raises(UsageError, match="switched off"):
            ask(LiteLLMModel("anthropic/any"))

    @pytest.mark.parametrize(
        ("name", "variable"),
        [
            ("openai/gpt-5", "OPENAI_API_KEY"),
            ("anthropic/any", "ANTHROPIC_API_KEY"),
            ("gemini/any", "GOOGLE_API_KEY or GEMINI_API_KEY"),
            ("mistral/any", "MISTRAL_API_KEY"),
            ("openrouter/any/any", "OPENROUTER_API_KEY"),
            ("sambanova/any", "SAMBANOVA_API_KEY"),
            ("nano-gpt/any", "NANO_GPT_API_KEY"),
        ],
    )
    def test_without_its_providers_key_it_says_what_to_set(
        self, name: str, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for one in variable.split(" or "):
            monkeypatch.delenv(one, raising=False)
        monkeypatch.setattr(remote, "ALLOW_REMOTE_REQUESTS", True)
        for asked in (LiteLLMModel(name).check, lambda: LiteLLMModel(name).complete(PROMPT)):
            with pytest.raises(UsageError, match=f"{name} needs a key: set {variable}, or give"):
                asyncio.run(asked())

    def test_a_key_of_ones_own_is_looked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(remote, "ALLOW_REMOTE_REQUESTS", True)
        monkeypatch.delenv("A_KEY_OF_MINE", raising=False)
        model = LiteLLMModel("openai/any", key_env="A_KEY_OF_MINE")
        with pytest.raises(UsageError, match="needs a key: set A_KEY_OF_MINE"):
            model.prepare()
        monkeypatch.setenv("A_KEY_OF_MINE", "sesame")
        model.prepare()

    def test_a_provider_that_litellm_does_not_know_is_refused(self) -> None:
        with pytest.raises(UsageError, match="cannot tell who provides 'nobody/any'"):
            LiteLLMModel("nobody/any").prepare()

    def test_what_may_be_let_in_otherwise_is_not_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(remote, "ALLOW_REMOTE_REQUESTS", True)
        for name in ("bedrock/any", "vertex_ai/any", "ollama/any", "hosted_vllm/any"):
            LiteLLMModel(name).prepare()

    @pytest.mark.parametrize(
        ("name", "needed"),
        [
            ("azure/any", "a key: set AZURE_API_BASE and AZURE_API_KEY"),
            ("databricks/any", "a key: set DATABRICKS_API_BASE and DATABRICKS_API_KEY"),
            (
                "watsonx/any",
                "a key: set WATSONX_API_BASE and WATSONX_API_KEY and WATSONX_PROJECT_ID",
            ),
            ("bedrock/any", "AWS credentials: set AWS_ACCESS_KEY_ID"),
            ("sagemaker/any", "AWS credentials: set AWS_ACCESS_KEY_ID"),
            ("vertex_ai/any", "(Google credentials: set|the package google-auth)"),
        ],
    )
    def test_what_cannot_succeed_is_refused_before_a_run(
        self, name: str, needed: str, nowhere: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(UsageError, match=f"^{name} needs {needed}"):
            asyncio.run(LiteLLMModel(name).check())

    @pytest.mark.parametrize(
        ("name", "variables"),
        [
            ("azure/any", "AZURE_API_BASE AZURE_API_KEY"),
            ("azure/any", "AZURE_API_BASE AZURE_TENANT_ID AZURE_CLIENT_ID AZURE_CLIENT_SECRET"),
            ("databricks/any", "DATABRICKS_API_BASE DATABRICKS_CLIENT_ID DATABRICKS_CLIENT_SECRET"),
            ("watsonx/any", "WATSONX_URL WATSONX_TOKEN WX_SPACE_ID"),
            ("watsonx/deployment/any", "WATSONX_URL WATSONX_APIKEY"),
            ("bedrock/any", "AWS_BEARER_TOKEN_BEDROCK"),
            ("bedrock/any", "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY"),
            ("bedrock/any", "AWS_PROFILE"),
            ("vertex_ai/any", "VERTEXAI_CREDENTIALS"),
        ],
    )
    def test_each_way_in_is_enough(
        self, name: str, variables: str, nowhere: pytest.MonkeyPatch
    ) -> None:
        for one in variables.split():
            nowhere.setenv(one, "x")
        asyncio.run(LiteLLMModel(name).check())

    def test_credentials_may_lie_in_a_file(
        self, nowhere: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        file = tmp_path / "credentials"
        file.write_text("[default]\naws_access_key_id = x\naws_secret_access_key = y\n")
        nowhere.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        asyncio.run(LiteLLMModel("bedrock/any").check())

    def test_a_key_of_ones_own_is_no_address(self, nowhere: pytest.MonkeyPatch) -> None:
        nowhere.setenv("A_KEY_OF_MINE", "sesame")
        model = LiteLLMModel("azure/any", key_env="A_KEY_OF_MINE")
        with pytest.raises(UsageError, match="needs a key: set AZURE_API_BASE, or give"):
            model.prepare()
        nowhere.setenv("AZURE_API_BASE", "https://example.org")
        model.prepare()

    def test_a_provider_of_one_answer_is_not_asked_for_several(self) -> None:
        assert LiteLLMModel("openai/any").gives_several()
        assert not LiteLLMModel("anthropic/claude-3-5-sonnet-20240620").gives_several()

    @pytest.mark.parametrize("name", ["anthropic/any", "gemini/any"])
    def test_other_protocols_lose_no_answer_either(self, server: LLMServer, name: str) -> None:
        model = LiteLLMModel(name, api_base=server.address.removesuffix("/v1"))
        bodies = [b'{"greeting": 1}', b"hello", b"", PAGE, b'{"error": {"message": "no"}}']
        statuses = (400, 401, 403, 429, 500, 503)
        later = [Reply(status=status, body=b'{"error": {"message": "x"}}') for status in statuses]
        server.play(in_turn([*(Reply(body=body) for body in bodies), *later]))

        async def kinds() -> list[type]:
            found: list[type] = []
            for _ in range(len(bodies) + len(later)):
                try:
                    found.append(type((await model.complete(PROMPT))[0]))
                except ModelError as error:
                    found.append(type(error))
            await model.close()
            return found

        found = asyncio.run(kinds())
        assert set(found[:5]) <= {Completion, ModelError}
        passing = [ModelUnavailable] * 3
        assert found[5:] == [ModelError, ModelRefused, PromptRefused, *passing]
        assert len(server.asked) == len(found)

    def test_a_listed_price_is_known(self) -> None:
        model = LiteLLMModel("openai/gpt-4o-mini")
        prices = model.prices()
        assert prices.prompt is not None
        assert prices.completion is not None
        assert prices.cached is not None
        assert 0 < prices.cached < prices.prompt < prices.completion
        assert prices.of(1000, 10, cached=1000) == pytest.approx(
            (1000 * prices.cached + 10 * prices.completion) * 1e-6
        )


@pytest.mark.parametrize(
    ("address", "is_loopback"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.2/v1", True),
        ("http://[::1]:8000/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://localhost.example.org/v1", False),
        ("http://127.0.0.1.example.org/v1", False),
        ("http://127.0.0.1@example.org/v1", False),
        ("nonsense", False),
    ],
)
def test_loopback_is_told_from_the_rest(address: str, is_loopback: bool) -> None:
    assert remote.is_loopback(address) is is_loopback
