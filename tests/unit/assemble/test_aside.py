"""What runs aside: its result and its error come back, and it does not outlive the block."""

import asyncio
import os
import threading
from threading import Event

import pytest

from mics_ray.assemble.aside import NICENESS, run_aside


def test_the_result_is_waited_for() -> None:
    ready = Event()

    async def answer() -> int:
        await asyncio.to_thread(ready.wait, 60)
        return 42

    with run_aside(answer()) as wait:
        ready.set()
        assert wait() == 42


def test_what_it_raises_is_raised_where_its_result_is_asked_for() -> None:
    async def refuse() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), run_aside(refuse()) as wait:
        wait()


def test_left_before_its_end_it_is_cancelled_and_cleans_up() -> None:
    begun, cleaned = Event(), Event()

    async def last() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    def leave() -> None:
        with run_aside(last()):
            assert begun.wait(60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert cleaned.is_set()


def test_it_gives_way_to_what_is_started_meanwhile() -> None:
    async def read_niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = os.getpriority(os.PRIO_PROCESS, 0)
    with run_aside(read_niceness()) as wait:
        assert wait() == max(before, NICENESS)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
