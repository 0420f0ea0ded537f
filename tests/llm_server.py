"""A real OpenAI-compatible server on loopback whose answers, and faults, are scripted.

In a test:

    with LLMServer(lambda request: "hello") as server:
        OpenAIModel("any", api_base=server.address)

By hand, or for another process: ``python tests/llm_server.py --port 0`` prints its address and
answers every prompt with a small edit of the program in it; ``/ledger`` beside ``/v1`` says what it
sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any

import uvicorn
from llm_answers import (
    SLIPS,
    Asked,
    Faults,
    Reply,
    Script,
    broken,
    in_turn,
    malformed,
    nudge_a_constant,
    rate_limited,
    with_faults,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = [
    "SLIPS",
    "Asked",
    "Bill",
    "Faults",
    "LLMServer",
    "Reply",
    "Script",
    "broken",
    "in_turn",
    "malformed",
    "nudge_a_constant",
    "rate_limited",
    "with_faults",
]


@dataclass(frozen=True)
class Bill:
    """What one answer cost, a token a word.

    Attributes:
        is_whole: it went out whole and said what it cost, so that its reader can know it. Others
            were cut off on the way, or left without the line that says it: a provider would have
            billed them, and nobody here could know.
    """

    prompt_tokens: int
    completion_tokens: int
    is_whole: bool


class _Connection(H11Protocol):
    """A connection that can be closed without a word, found by the address of its other end."""

    open: dict[tuple[str, int], _Connection] = {}  # noqa: RUF012 - of the whole process

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        assert self.client is not None
        self.open[self.client] = self

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        assert self.client is not None
        self.open.pop(self.client, None)


class _HangUp(Response):
    """Closes the connection before the first byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = _Connection.open.get(tuple(scope["client"]))
        if connection is not None:
            connection.transport.abort()


class LLMServer:
    """The server, in a thread of its own; a context manager.

    Attributes:
        address: what to give as `api_base`.
        asked: every request for completions so far.
        bills: id of an answer -> what it cost, for every answer with text that was begun.
        faults: name -> how many replies had it.
        most_at_once: requests that were waiting for their answers at the same time, at most.
        down_until: until this moment of `time.monotonic` every connection is hung up.
    """

    def __init__(
        self,
        script: Script,
        *,
        port: int = 0,
        latency: float = 0.0,
        outage: tuple[int, float] | None = None,
        rate_limit: tuple[int, float] | None = None,
        ignores_n: bool = False,
    ) -> None:
        """Make a server; `with` starts it.

        Args:
            script: gives the answers.
            port: 0: any free one.
            latency: seconds before each answer.
            outage: after so many requests, down for so many seconds.
            rate_limit: so many requests in so many seconds; beyond them 429 with the Retry-After
                after which one more is free.
            ignores_n: send one choice, however many are asked for.
        """
        self._latency = latency
        self._outage = outage
        self._rate_limit = rate_limit
        self._ignores_n = ignores_n
        self.down_until = 0.0
        self.play(script)
        self._socket = socket.create_server(("127.0.0.1", port), backlog=512)
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/ledger", self._ledger),
                Route("/{path:path}", self._complete, methods=["POST"]),  # of other protocols
            ]
        )
        config = uvicorn.Config(
            app,
            http=_Connection,
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.run, daemon=True)

    def play(self, script: Script) -> None:
        """Answer by another script from now on, and forget what was asked before."""
        self._script = script
        self.asked: list[Asked] = []
        self.bills: dict[str, Bill] = {}
        self.faults = Counter[str]()
        self.most_at_once = 0
        self._waiting = 0
        self._allowed = deque[float]()  # when the requests within the rate limit came

    @property
    def prompt_tokens(self) -> int:
        """What all whole answers said that their prompts cost."""
        return sum(bill.prompt_tokens for bill in self.bills.values() if bill.is_whole)

    @property
    def completion_tokens(self) -> int:
        """What all whole answers said that they cost themselves."""
        return sum(bill.completion_tokens for bill in self.bills.values() if bill.is_whole)

    def run(self) -> None:
        """Serve in this thread until told to stop."""
        self._server.run(sockets=[self._socket])

    def __enter__(self) -> LLMServer:
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.005)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)

    # --- what it serves ----------------------------------------------------------------------

    async def _models(self, request: Request) -> Response:
        if time.monotonic() < self.down_until:
            return _HangUp()
        return JSONResponse({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    async def _ledger(self, request: Request) -> Response:
        lost = [bill for bill in self.bills.values() if not bill.is_whole]
        return JSONResponse(
            {
                "requests": len(self.asked),
                "most_at_once": self.most_at_once,
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
                "lost_answers": len(lost),
                "lost_tokens": sum(b.prompt_tokens + b.completion_tokens for b in lost),
                "faults": dict(self.faults),
                "answers": {
                    id_: [bill.prompt_tokens, bill.completion_tokens]
                    for id_, bill in self.bills.items()
                    if bill.is_whole
                },
            }
        )

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        messages = body.get("messages", ())
        said = {message["role"]: message["content"] for message in messages}
        asked = Asked(
            number=len(self.asked),
            model=body.get("model", ""),
            system=said.get("system", ""),
            user=said.get("user", ""),
            n=body.get("n") or 1,
            body=body,
            headers=dict(request.headers),
        )
        self.asked.append(asked)
        self._waiting += 1
        self.most_at_once = max(self.most_at_once, self._waiting)
        try:
            reply = self._refusal(asked)
            if reply is None:
                reply = self._script(asked)
                reply = Reply(reply) if isinstance(reply, str) else reply
                await asyncio.sleep(reply.latency or self._latency)
        finally:
            self._waiting -= 1
        if reply.fault:
            self.faults[reply.fault] += 1
        return await self._response(asked, reply, request)

    def _refusal(self, asked: Asked) -> Reply | None:
        """What answers a request that comes in an outage, or beyond the rate limit."""
        now = time.monotonic()
        if self._outage is not None and asked.number == self._outage[0]:
            self.down_until = now + self._outage[1]
        if now < self.down_until:
            return Reply(hang_up=True, fault="outage")
        if self._rate_limit is None:
            return None
        most, seconds = self._rate_limit
        while self._allowed and self._allowed[0] <= now - seconds:
            self._allowed.popleft()
        if len(self._allowed) < most:
            self._allowed.append(now)
            return None
        wait = f"{self._allowed[0] + seconds - now:.3f}"
        reply = {"text": "slow down", "status": 429, "headers": {"retry-after": wait}}
        return Reply(**reply, fault="rate limit")

    async def _response(self, asked: Asked, reply: Reply, request: Request) -> Response:
        if reply.hang_up:
            return _HangUp()
        headers = {"content-type": "application/json", **reply.headers}
        if reply.body is not None:
            return Response(reply.body, status_code=reply.status, headers=headers)
        if reply.status != 200:
            error = {"message": reply.text, "type": "scripted", "code": None, **reply.error}
            return JSONResponse({"error": error}, status_code=reply.status, headers=reply.headers)
        content, bill = self._answer(asked, reply)
        self.bills[_id(asked)] = bill
        if await request.is_disconnected():
            return Response()  # nobody is there to read it
        if reply.drop or reply.slow:
            headers["content-length"] = str(len(content))
            pieces = self._trickle(content, reply, _id(asked))
            return StreamingResponse(pieces, headers=headers)
        self._went_out(_id(asked), reply)
        return Response(content, headers=headers)

    def _went_out(self, id_: str, reply: Reply) -> None:
        bill = self.bills[id_]
        self.bills[id_] = Bill(bill.prompt_tokens, bill.completion_tokens, reply.usage)

    async def _trickle(self, content: bytes, reply: Reply, id_: str) -> AsyncIterator[bytes]:
        pieces = 10
        size = -(-len(content) // pieces)
        for index in range(pieces // 2 if reply.drop else pieces):
            yield content[index * size : (index + 1) * size]
            await asyncio.sleep(reply.slow / pieces)
        if not reply.drop:
            self._went_out(id_, reply)

    def _answer(self, asked: Asked, reply: Reply) -> tuple[bytes, Bill]:
        choices = asked.n if reply.choices is None else reply.choices
        texts = reply.written(min(choices, 1) if self._ignores_n else choices)
        prompt_tokens = len(asked.system.split()) + len(asked.user.split())
        completion_tokens = sum(len(text.split()) for text in texts)
        answer: dict[str, Any] = {
            "id": _id(asked),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": asked.model,
            "choices": [
                {
                    "index": index,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": reply.finish_reason,
                }
                for index, text in enumerate(texts)
            ],
        }
        if reply.usage:
            answer["usage"] = {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            }
        return json.dumps(answer).encode(), Bill(prompt_tokens, completion_tokens, False)


def _id(asked: Asked) -> str:
    return f"chatcmpl-{asked.number}"


def main() -> None:
    """Serve edits of whatever program is in the prompt."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--failed", type=float, default=0.0, help="share without an answer")
    for kind in fields(Faults):
        name = f"--{kind.name.replace('_', '-')}"
        parser.add_argument(name, type=float, default=0.0, help="share of answers, 0 to 1")
    parser.add_argument("--retry-after", default="0", help="what a 429 with the header says")
    pair = {"nargs": 2, "type": float}
    parser.add_argument("--outage", **pair, metavar=("REQUESTS", "SECONDS"), help="down after, for")
    parser.add_argument("--rate-limit", **pair, metavar=("REQUESTS", "SECONDS"))
    parser.add_argument("--ignores-n", action="store_true", help="one choice an answer")
    options = parser.parse_args()
    kinds = {kind.name: getattr(options, kind.name) for kind in fields(Faults)}
    failed = Faults.shares(failed=options.failed, malformed=0.0)
    faults = Faults(**{name: share + getattr(failed, name) for name, share in kinds.items()})
    server = LLMServer(
        with_faults(nudge_a_constant, faults, retry_after=options.retry_after, seed=options.seed),
        port=options.port,
        latency=options.latency,
        outage=options.outage and (int(options.outage[0]), options.outage[1]),
        rate_limit=options.rate_limit and (int(options.rate_limit[0]), options.rate_limit[1]),
        ignores_n=options.ignores_n,
    )
    print(server.address, flush=True)
    server.run()


if __name__ == "__main__":
    sys.exit(main())
