"""The one committer of a folder: rows gather in memory and leave as shards, by one policy for every job."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from mics_ray.io.shards.store import ShardStore

Row = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CommitPolicy:
    """When waiting rows leave: as soon as they fill a shard, or when the oldest has waited long enough.

    That is 2 s at first and 60 s in long runs: 2 % of the run's age, so that shards stay few and a kill costs little.
    """

    rows_per_shard: int = 64  # more: a crash repeats more searches (from the cache); fewer: more files and syncs
    first_age_s: float = 2.0
    last_age_s: float = 60.0
    age_share: float = 0.02

    def longest_wait_s(self, run_s: float) -> float:
        """How long a row may wait in a run that is ``run_s`` seconds old."""
        return min(self.last_age_s, max(self.first_age_s, self.age_share * run_s))


DEFAULT_POLICY = CommitPolicy()


class RowWriter:
    """Commits rows in batches; whoever hands one in may wait until it is on the disk. Used from one event loop.

    ``complete`` fills in what a batch is still to be given; ``report`` hears of the rows that were written, those
    that had a committed row already left out. Both run in a thread. ``failure`` is the error that ended the writing.
    """

    def __init__(
        self,
        store: ShardStore,
        policy: CommitPolicy = DEFAULT_POLICY,
        complete: Callable[[Sequence[Row]], None] | None = None,
        report: Callable[[Sequence[Row]], None] | None = None,
    ) -> None:
        self._store, self._policy, self._complete, self._report = store, policy, complete, report
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._started = self._oldest = time.monotonic()
        self._full = asyncio.Event()
        self._committing = asyncio.Lock()
        # One thread for all: the allocator keeps freed memory for each thread.
        self._thread = ThreadPoolExecutor(1, "commits")
        self._flusher: asyncio.Task[None] | None = None
        self.failure: Exception | None = None

    async def add_row(self, row: Row) -> None:
        """Hand a row in; returns when it is committed. A caller that is cancelled takes nothing back.

        Raises ``OSError`` when nothing can be written.
        """
        if self.failure is not None:
            raise self.failure
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._oldest = time.monotonic()
        self._waiting.append((row, committed))
        if len(self._waiting) >= self._policy.rows_per_shard:
            self._full.set()
        if self._flusher is None or self._flusher.done():
            # A task of its own: a cancelled caller would leave a commit behind that still runs in its thread.
            self._flusher = asyncio.create_task(self._flush_when_due())
        await committed

    async def flush_rows(self) -> None:
        """Commit everything that waits, in one shard. An error goes to those who handed the rows in."""
        async with self._committing:
            batch, self._waiting = self._waiting, []
            self._full.clear()
            if not batch:
                return
            rows = [row for row, _ in batch]
            try:
                fresh = await self._run_in_thread(self._commit_batch, rows)
            except Exception as error:
                self.failure = error
                for _, committed in batch:
                    if not committed.done():
                        committed.set_exception(error)
                return
            for _, committed in batch:
                if not committed.done():  # it is cancelled where its caller was
                    committed.set_result(None)
            # After the callers are told: their places are free while the report is written.
            if self._report is not None:
                await self._run_in_thread(self._report, fresh)

    async def close(self) -> None:
        """Commit what waits. Raises the error of any commit that failed."""
        await self.flush_rows()
        if self.failure is not None:
            raise self.failure

    async def _run_in_thread(self, work: Callable[[list[Row]], T], rows: list[Row]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, rows)

    def _commit_batch(self, rows: list[Row]) -> list[Row]:
        if self._complete is not None:
            self._complete(rows)
        # Of two rows of one key in a batch the first is written.
        first = {row[self._store.key]: row for row in reversed(rows)}
        return [first[key] for key in self._store.commit(rows).written]

    async def _flush_when_due(self) -> None:
        while self._waiting:
            longest_s = self._policy.longest_wait_s(time.monotonic() - self._started)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), self._oldest + longest_s - time.monotonic())
            await self.flush_rows()
