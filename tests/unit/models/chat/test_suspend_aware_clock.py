"""Time awake: a jump of the loop's clock is a process that was stopped."""

import asyncio
import gc
import weakref
from collections.abc import Coroutine
from typing import Any

import pytest

from mics_ray.models.chat import suspend_aware_clock
from mics_ray.models.chat.suspend_aware_clock import TICK_S
from tests.support.virtual_loop import VirtualLoop


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)


def sleep_like_a_stopped_process(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.now += seconds


async def ended_after(seconds: float) -> float:
    """Seconds on the loop's clock that a deadline of so many seconds awake lasted."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(TimeoutError):
        async with suspend_aware_clock.AwakeTimeout(seconds):
            await asyncio.Event().wait()
    return loop.time() - begun


def test_awake_all_the_time_it_is_the_loop_s_clock() -> None:
    async def work() -> None:
        begun = suspend_aware_clock.awake_time()
        for seconds in (0.1, 7.0, 100.0):
            assert await ended_after(seconds) == pytest.approx(seconds, abs=1e-6)
        assert suspend_aware_clock.awake_time() - begun == pytest.approx(107.1, abs=1e-6)

    run(work())


def test_a_pause_costs_a_deadline_one_second_at_most() -> None:
    async def work() -> None:
        asyncio.get_running_loop().call_later(2.2, sleep_like_a_stopped_process, 3600)
        lasted = await ended_after(10.0)
        assert 3609 <= lasted <= 3610

    run(work())


def test_a_pause_right_before_the_end_ends_it() -> None:
    async def work() -> None:
        asyncio.get_running_loop().call_later(9.9, sleep_like_a_stopped_process, 3600)
        assert await ended_after(10.0) == pytest.approx(3600 + 9.9, abs=TICK_S)

    run(work())


def test_nothing_is_left_of_a_deadline_that_was_kept() -> None:
    async def work() -> None:
        for _ in range(3):
            async with suspend_aware_clock.AwakeTimeout(5.0):
                await asyncio.sleep(4.0)
        await asyncio.sleep(20.0)
        with pytest.raises(ValueError, match="ours"):
            async with suspend_aware_clock.AwakeTimeout(5.0):
                raise ValueError("ours")

    run(work())


def test_a_cancelled_block_is_cancelled_and_not_late() -> None:
    async def work() -> None:
        task = asyncio.create_task(ended_after(5.0))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work())


def test_a_closed_loop_is_forgotten() -> None:
    async def work() -> None:
        suspend_aware_clock.awake_time()

    loop = VirtualLoop()
    loop.run_until_complete(work())
    loop.close()
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None
