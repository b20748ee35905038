"""A coroutine that runs beside what its caller does meanwhile."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")

NICENESS = 10
"""Of the thread: what is started meanwhile, as Ray's processes, is waited for longest and comes first."""


@contextmanager
def run_aside(work: Coroutine[Any, Any, T]) -> Iterator[Callable[[], T]]:
    """Run ``work`` in a thread; what is yielded waits for its end and returns, or raises, what it does.

    Where the block is left before its end, it is cancelled and waited for.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    try:
        with ThreadPoolExecutor(1, "aside", _give_way) as thread:
            end = thread.submit(loop.run_until_complete, task)
            try:
                yield end.result
            finally:
                # Of one that has ended this cancels nothing.
                loop.call_soon_threadsafe(task.cancel)
    finally:
        loop.close()


def _give_way() -> None:
    # Linux keeps a niceness for each thread.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
