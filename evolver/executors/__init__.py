"""Executors: where programs are judged."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable

from evolver.types import Evaluation


async def together(works: Iterable[Coroutine[None, None, Evaluation]]) -> list[Evaluation]:
    """Await all; when one fails or this is cancelled, none is left running."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
