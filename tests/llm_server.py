"""A real OpenAI-compatible server on loopback whose answers, and faults, are scripted.

In a test:

    with LLMServer(lambda request: "hello") as server:
        OpenAIModel("any", api_base=server.address)

By hand, or for another process: ``python tests/llm_server.py --port 0`` prints its address and
answers every prompt with a small edit of the program in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


@dataclass(frozen=True)
class Asked:
    """One request for completions, as it arrived."""

    number: int  # from 0, in order of arrival
    model: str
    system: str
    user: str
    n: int
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass(frozen=True)
class Reply:
    """One scripted answer.

    Attributes:
        text: the completion, the same for each of `n` choices.
        finish_reason: "length" for an answer that was cut off.
        status: an HTTP error instead, with `text` as its message.
        headers: such as {"retry-after": "1"}.
        latency: seconds before the answer begins.
        slow: seconds over which the body trickles in.
        drop: close the connection in the middle of the body.
        body: these very bytes as the body, whatever they are.
        choices: fewer (or no) choices than were asked for; None: as many.
        usage: say how many tokens were used?
    """

    text: str = ""
    finish_reason: str = "stop"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    latency: float = 0.0
    slow: float = 0.0
    drop: bool = False
    body: bytes | None = None
    choices: int | None = None
    usage: bool = True


Script = Callable[[Asked], "str | Reply"]


def rate_limited(retry_after: str | None = None) -> Reply:
    """A 429, with or without the time to wait."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return Reply("slow down", status=429, headers=headers)


def broken() -> Reply:
    """A 500."""
    return Reply("out of order", status=500)


def malformed() -> Reply:
    """A body that is no JSON."""
    return Reply(body=b'{"choices": [{"message": {"content": "hel')


def in_turn(replies: Sequence[str | Reply]) -> Script:
    """Answer the first request with the first reply and so on; the last one from then on."""
    return lambda asked: replies[min(asked.number, len(replies) - 1)]


_FENCED_CODE = re.compile(r"^(`{3,})(\w+)\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
_FLOAT = re.compile(r"(?<![\w.])\d+\.\d+(?:[eE][-+]?\d+)?")


def nudge_a_constant(asked: Asked) -> str:
    """Answer evolver's diff and rewrite prompts with a small change of one float of the parent.

    The choice depends on the request's words and number only, so that runs can be compared.
    """
    rng = random.Random(f"{asked.number} {asked.user}")
    parent = asked.user.rpartition("# The program to improve")[2]
    blocks = [block[3] for block in _FENCED_CODE.finditer(parent)]
    choices = [
        (block, line)
        for block in blocks
        for line in block.splitlines()
        if _FLOAT.search(line) and not line.lstrip().startswith(("#", "//", '"'))
    ]
    if not choices:
        return "There is no constant that I could change."
    block, line = rng.choice(choices)
    chosen = rng.choice(list(_FLOAT.finditer(line)))
    value = float(chosen[0]) * rng.gauss(1.0, 0.05)
    changed = f"{line[: chosen.start()]}{value!r}{line[chosen.end() :]}"
    if "SEARCH/REPLACE" in asked.system:
        edit = f"<<<<<<< SEARCH\n{line}\n=======\n{changed}\n>>>>>>> REPLACE"
    else:
        edit = f"```\n{block.replace(line, changed, 1)}```"
    return f"Nudge one constant.\n\n{edit}\n"


def with_faults(script: Script, *, failed: float, malformed: float, seed: int = 0) -> Script:
    """Make a share of the answers HTTP errors, and another share edits that match nothing."""
    rng = random.Random(seed)
    faults = [rate_limited("0"), rate_limited(), broken(), Reply("x", drop=True), Reply(choices=0)]
    nonsense = [
        "I would rather discuss the weather.",
        "<<<<<<< SEARCH\nthis line is nowhere\n=======\nx\n>>>>>>> REPLACE\n",
        "<<<<<<< SEARCH\ncut off in the midd",
    ]

    def answer(asked: Asked) -> str | Reply:
        draw = rng.random()
        if draw < failed:
            return rng.choice(faults)
        if draw < failed + malformed:
            return rng.choice(nonsense)
        return script(asked)

    return answer


class LLMServer:
    """The server, in a thread of its own; a context manager.

    Attributes:
        address: what to give as `api_base`.
        asked: every request for completions so far.
        prompt_tokens, completion_tokens: what all whole answers said they cost, a token a word.
    """

    def __init__(self, script: Script, *, port: int = 0, latency: float = 0.0) -> None:
        self.play(script)
        self._latency = latency
        self._socket = socket.create_server(("127.0.0.1", port))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/ledger", self._ledger),
            ]
        )
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=self.run, daemon=True)

    def play(self, script: Script) -> None:
        """Answer by another script from now on, and forget what was asked before."""
        self._script = script
        self.asked: list[Asked] = []
        self.prompt_tokens = 0
        self.completion_tokens = 0

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

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    async def _ledger(self, request: Request) -> Response:
        return JSONResponse(
            {
                "requests": len(self.asked),
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
            }
        )

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        said = {message["role"]: message["content"] for message in body["messages"]}
        asked = Asked(
            number=len(self.asked),
            model=body["model"],
            system=said.get("system", ""),
            user=said.get("user", ""),
            n=body.get("n") or 1,
            body=body,
            headers=dict(request.headers),
        )
        self.asked.append(asked)
        reply = self._script(asked)
        if isinstance(reply, str):
            reply = Reply(reply)
        await asyncio.sleep(reply.latency or self._latency)
        if reply.status != 200:
            error = {"message": reply.text, "type": "scripted", "code": None}
            return JSONResponse({"error": error}, status_code=reply.status, headers=reply.headers)
        content = reply.body if reply.body is not None else self._answer(asked, reply)
        headers = {"content-type": "application/json", **reply.headers}
        if reply.drop or reply.slow:
            headers["content-length"] = str(len(content))
            return StreamingResponse(_trickle(content, reply), headers=headers)
        return Response(content, headers=headers)

    def _answer(self, asked: Asked, reply: Reply) -> bytes:
        choices = asked.n if reply.choices is None else reply.choices
        prompt_tokens = len(asked.system.split()) + len(asked.user.split())
        completion_tokens = choices * len(reply.text.split())
        answer: dict[str, Any] = {
            "id": f"chatcmpl-{asked.number}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": asked.model,
            "choices": [
                {
                    "index": index,
                    "message": {"role": "assistant", "content": reply.text},
                    "finish_reason": reply.finish_reason,
                }
                for index in range(choices)
            ],
        }
        if reply.usage and not reply.drop:
            self.prompt_tokens += prompt_tokens
            self.completion_tokens += completion_tokens
        if reply.usage:
            answer["usage"] = {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            }
        return json.dumps(answer).encode()


async def _trickle(content: bytes, reply: Reply) -> AsyncIterator[bytes]:
    pieces = 10
    size = -(-len(content) // pieces)
    for index in range(pieces // 2 if reply.drop else pieces):
        yield content[index * size : (index + 1) * size]
        await asyncio.sleep(reply.slow / pieces)


def main() -> None:
    """Serve edits of whatever program is in the prompt."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--failed", type=float, default=0.0, help="share of HTTP errors")
    parser.add_argument("--malformed", type=float, default=0.0, help="share of useless answers")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    options = parser.parse_args()
    script = with_faults(
        nudge_a_constant, failed=options.failed, malformed=options.malformed, seed=options.seed
    )
    server = LLMServer(script, port=options.port, latency=options.latency)
    print(server.address, flush=True)
    server.run()


if __name__ == "__main__":
    sys.exit(main())
