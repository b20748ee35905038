"""A coroutine that runs beside what its caller does meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@contextmanager
def run_aside(work: Coroutine[Any, Any, T]) -> Iterator[Callable[[], T]]:
    """Run ``work`` in a thread; what is yielded waits for its end and returns, or raises, what it does.

    Where the block is left before its end, it is cancelled and waited for.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    try:
        with ThreadPoolExecutor(1, "aside") as thread:
            end = thread.submit(loop.run_until_complete, task)
            try:
                yield end.result
            finally:
                # Of one that has ended this cancels nothing.
                loop.call_soon_threadsafe(task.cancel)
    finally:
        loop.close()
