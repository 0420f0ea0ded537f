"""Run coroutines in another thread, so that the library works in notebooks too."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def in_thread(work: Callable[[asyncio.Event], Awaitable[_T]]) -> _T:
    """Run a coroutine in an event loop of another thread, and return its result.

    Ctrl-C sets the event that the coroutine was given and waits for the coroutine to end; a second
    Ctrl-C does not wait.
    """
    results: list[_T] = []
    errors: list[BaseException] = []
    started = threading.Event()
    # Not Thread.join: after an interrupt it treats the thread as ended (bpo-45274).
    ended = threading.Event()
    loop_of: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        interrupted = asyncio.Event()
        loop_of.append((asyncio.get_running_loop(), interrupted))
        started.set()
        results.append(await work(interrupted))

    def target() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)
        finally:
            started.set()
            ended.set()

    threading.Thread(target=target, name="evolver", daemon=True).start()
    try:
        ended.wait()
    except KeyboardInterrupt:
        started.wait()
        loop, interrupted = loop_of[0]
        with contextlib.suppress(RuntimeError):  # the loop ended meanwhile
            loop.call_soon_threadsafe(interrupted.set)
        ended.wait()
    if errors:
        raise errors[0]
    return results[0]


async def unless_interrupted(work: Coroutine[Any, Any, _T], interrupted: asyncio.Event) -> _T:
    """Await work, or cancel it when the event is set.

    Raises:
        KeyboardInterrupt: the event was set first.
    """
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(interrupted.wait())
    try:
        either: set[asyncio.Future[Any]] = {working, stopping}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise KeyboardInterrupt
        return working.result()
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
