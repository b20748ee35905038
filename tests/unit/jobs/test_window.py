"""The window of open records: full and never overfull, ended by its first error, and what a stop leaves."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from mics_ray.errors import Stopped
from mics_ray.jobs.row_writer import Row
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.jobs.window import Window, make_rows


async def test_the_window_is_full_and_never_overfull_and_a_slow_record_holds_nobody_up() -> None:
    running, most, last = 0, 0, asyncio.Event()
    order = []

    async def slow_first(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await (last.wait() if number == 0 else asyncio.sleep(0))
        running -= 1
        order.append(number)
        if number == 19:
            last.set()

    await make_rows(range(20), slow_first, None, 4, StopSignal())
    assert most == 4
    assert order == [*range(1, 20), 0]


async def test_a_row_that_waits_for_its_commit_takes_no_place() -> None:
    committed, begun = asyncio.Event(), []

    async def make(number: int) -> Row:
        begun.append(number)
        return {"id": number}

    async def commit(row: Row) -> None:
        await committed.wait()

    window = Window(2, make, commit)
    for number in range(10):
        assert await window.begin_record(number) is not None
    await window.wait_for_rows()
    assert (window.running, begun) == (0, list(range(10)))
    committed.set()
    await window.wait_for_commits()


async def test_no_record_begins_while_too_many_rows_wait_for_their_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mics_ray.jobs.window.MOST_UNCOMMITTED", 3)
    gates = [asyncio.Event() for _ in range(6)]

    async def make(number: int) -> Row:
        return {"id": number}

    async def commit(row: Row) -> None:
        await gates[row["id"]].wait()

    window = Window(2, make, commit)
    for number in range(5):
        assert await window.begin_record(number) is not None
    await window.wait_for_rows()
    sixth = asyncio.create_task(window.begin_record(5))
    await asyncio.wait([sixth], timeout=0.01)
    assert not sixth.done()
    gates[2].set()
    assert await sixth is not None
    beyond = asyncio.create_task(window.begin_record(6))
    window.end()
    assert await beyond is None, "an ended window lets those go that wait to begin"
    await window.wait_for_commits()


async def test_the_first_error_is_kept_and_gives_up_the_rest() -> None:
    cancelled = []

    async def make(number: int) -> None:
        if number == 1:
            raise ValueError("first")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if number == 2:
                raise KeyError("second") from None
            cancelled.append(number)
            raise

    window: Window[int] = Window(4, make, lambda row: asyncio.sleep(0))
    tasks = [await window.begin_record(number) for number in (0, 2, 1)]
    await window.wait_for_commits()
    assert all(task is not None and task.done() for task in tasks)
    assert isinstance(window.error, ValueError)
    assert cancelled == [0]
    assert await window.begin_record(5) is None
    assert window.running == 0


async def test_a_record_that_is_given_up_before_it_began_leaves_its_place() -> None:
    window: Window[int] = Window(1, lambda number: asyncio.sleep(0), lambda row: asyncio.sleep(0))
    task = await window.begin_record(0)
    window.end()
    assert task is not None
    await window.wait_for_commits()
    assert (task.cancelled(), window.running, window.error) == (True, 0, None)
    async with asyncio.timeout(5):
        await window.wait_for_rows()
        assert await window.begin_record(1) is None


async def test_who_waits_for_a_place_is_told_that_the_window_has_ended() -> None:
    window: Window[int] = Window(1, lambda number: asyncio.sleep(600), lambda row: asyncio.sleep(0))
    assert await window.begin_record(0) is not None
    waiting = asyncio.create_task(window.begin_record(1))
    await asyncio.sleep(0)
    window.end(Stopped())
    async with asyncio.timeout(5):
        assert await waiting is None
    assert isinstance(window.error, Stopped)


async def test_a_stop_ends_a_job_that_is_watched_and_gives_up_what_is_open() -> None:
    stop, seen, cancelled = StopSignal(), [], []

    async def hang(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(number)

    def watch(running: int) -> None:
        seen.append(running)
        stop.asked = True

    with pytest.raises(Stopped):
        await make_rows(range(9), hang, None, 3, stop, watch)
    assert (seen, sorted(cancelled)) == ([3], [0, 1, 2])


async def test_a_signal_ends_a_job_at_once_and_not_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mics_ray.jobs.window.POLL_S", 600.0)
    stop = StopSignal()

    async def hang(number: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    with pytest.raises(Stopped), stop.handle_signals():
        async with asyncio.timeout(60):
            await make_rows([1], hang, None, 3, stop)


async def test_records_that_cannot_be_read_end_the_job() -> None:
    made = []

    async def make(number: int) -> None:
        made.append(number)

    def records() -> Iterator[int]:
        yield 1
        raise ValueError("a damaged input")

    with pytest.raises(ValueError, match="a damaged input"):
        await make_rows(records(), make, None, 4, StopSignal())
    assert len(made) <= 1


async def test_a_row_without_a_writer_is_an_error() -> None:
    async def make(number: int) -> Row:
        return {}

    with pytest.raises(TypeError, match="without a writer"):
        await make_rows([1], make, None, 4, StopSignal())
