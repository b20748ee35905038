"""Records in flight: at most so many at a time, the first error ends them all; over Ray and in this process."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from mics_ray.jobs.row_writer import Row, RowWriter
from mics_ray.jobs.stop_signal import StopSignal

POLL_S = 0.25
"""Between two looks at how far a job is."""
MOST_UNCOMMITTED = 512
"""Rows of a window that wait for their commit, several shards: where the disk is behind, no more records begin."""

Record = TypeVar("Record")


class Window(Generic[Record]):
    """Makes rows of records, ``size`` at a time: a slow record holds up nobody but itself.

    ``make_row`` gives a record's row, or ``None`` where it has none; ``commit`` takes it, when the record's place in
    the window is free again. The first error of either is ``error``: it ends the window.
    """

    def __init__(
        self,
        size: int,
        make_row: Callable[[Record], Awaitable[Row | None]],
        commit: Callable[[Row], Awaitable[None]],
    ) -> None:
        self._size, self._make_row, self._commit = size, make_row, commit
        self._places = asyncio.Semaphore(size)
        self._uncommitted = asyncio.Semaphore(size + MOST_UNCOMMITTED)
        self._open: set[asyncio.Task[None]] = set()
        """Without their row yet: each has a place."""
        self._tasks: set[asyncio.Task[None]] = set()
        """The open ones, and those that wait for their commit."""
        self.ended = False
        self.error: Exception | None = None

    async def begin_record(self, record: Record) -> "asyncio.Task[None] | None":
        """Begin a record as soon as there is a place; its task, or ``None`` where the window has ended meanwhile."""
        await self._uncommitted.acquire()
        await self._places.acquire()
        if self.ended:
            self._places.release()
            self._uncommitted.release()
            return None
        task = asyncio.create_task(self._run_record(record))
        self._open.add(task)
        self._tasks.add(task)
        # Here too: a task that is cancelled before its first step runs none of its code, and would keep its place.
        task.add_done_callback(self._free_place)
        task.add_done_callback(self._forget_task)
        return task

    @property
    def running(self) -> int:
        """How many records have no row yet."""
        return len(self._open)

    def end(self, error: Exception | None = None) -> None:
        """Begin no further record and give the open ones up; rows that were handed in are still committed."""
        if not self.ended:
            self.ended, self.error = True, error
        # Not itself: the record whose error ends the window is about to return.
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    async def wait_for_rows(self) -> None:
        """Until every record that was begun has its row, which may still wait for its commit."""
        for _ in range(self._size):
            await self._places.acquire()
        for _ in range(self._size):
            self._places.release()

    async def wait_for_commits(self) -> None:
        """Until every record that was begun is over."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _run_record(self, record: Record) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            try:
                row = await self._make_row(record)
            finally:
                self._free_place(task)
            if row is not None:
                await self._commit(row)
        except Exception as error:
            self.end(error)

    def _forget_task(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._uncommitted.release()

    def _free_place(self, task: "asyncio.Task[None]") -> None:
        if task in self._open:
            self._open.discard(task)
            self._places.release()


async def make_rows(
    records: Iterable[Record],
    make_row: Callable[[Record], Awaitable[Row | None]],
    writer: RowWriter | None,
    size: int,
    stop: StopSignal,
    watch: Callable[[int], None] | None = None,
) -> None:
    """A whole job in this process: a row for each record, ``size`` at a time, committed by ``writer``.

    Without a writer ``make_row`` keeps what it finds itself. ``watch`` gets the number of open records a few times a
    second. Raises :class:`Stopped` after a stop, the first error of a row, what reading ``records`` raises, and
    ``OSError`` where rows cannot be committed. However it ends, the rows that were made are committed.
    """
    window = Window(size, make_row, _refuse_rows if writer is None else writer.add_row)
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    with stop.defer_stop(lambda: loop.call_soon_threadsafe(stopping.set)):
        feeding = asyncio.create_task(_feed_window(window, records, writer))
        asked = asyncio.create_task(stopping.wait())
        try:
            while not feeding.done():
                await asyncio.wait([feeding, asked], timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
                if watch is not None:
                    watch(window.running)
                stop.raise_if_asked()
            feeding.result()
            if window.error is not None:
                raise window.error
        finally:
            feeding.cancel()
            asked.cancel()
            window.end()
            await window.wait_for_commits()
            await asyncio.gather(feeding, asked, return_exceptions=True)
            if writer is not None:
                await writer.close()


async def _feed_window(window: Window[Record], records: Iterable[Record], writer: RowWriter | None) -> None:
    for record in records:
        if await window.begin_record(record) is None:
            return
    await window.wait_for_rows()
    if writer is not None:
        await writer.flush_rows()  # the last rows need not wait for their age
    await window.wait_for_commits()


async def _refuse_rows(row: Row) -> None:
    raise TypeError("a job without a writer has no rows")
