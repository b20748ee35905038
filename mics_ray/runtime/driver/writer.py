"""The one committer: rows gather in it and are written as shards; a sender waits until its row is on disk."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import ray

from mics_ray.io.shards import ShardStore, iter_rows
from mics_ray.jobs.lock import LockHeld, RunLock
from mics_ray.runtime.driver.cluster import own_node
from mics_ray.runtime.monitor import metrics
from mics_ray.runtime.monitor.logs import CaseLog, count_lost_calls

ROWS_PER_SHARD = 64  # more: a crash repeats more searches (from the cache); fewer: more files and syncs
FIRST_AGE_S, LAST_AGE_S, AGE_SHARE = 2.0, 60.0, 0.02
"""A waiting row leaves after 2 s at first and after 60 s in long runs: 2 % of the run's age, so shards stay few."""
LOCK_PATIENCE_S = 30.0


class WriterActor:
    """Commits rows to ``folder``; it refuses ids that are committed already, so a row may be sent twice.

    For each case that it commits it writes a line into the case log in ``log_folder``.
    """

    def __init__(self, folder: str, log_folder: str) -> None:
        self._folder = Path(folder)
        self._case_log = CaseLog(Path(log_folder))
        self._meters = metrics.RunMetrics(metrics.run_name(folder)).start()
        self._lock = self._take_over()
        self._store = ShardStore(self._folder)
        self._rows: list[tuple[dict[str, Any], asyncio.Future[None]]] = []
        self._started = time.monotonic()
        self._oldest = 0.0
        self._flusher: asyncio.Task[None] | None = None
        self._committing = asyncio.Lock()
        # Read, not begun at 0: this process may have followed one that was killed.
        self._outcomes = Counter(row["outcome"] for row in iter_rows(self._folder, ["outcome"]))
        self._failure: OSError | None = None

    def _take_over(self) -> RunLock:
        """Take the folder's lock. The writer of a driver that was just killed may hold it for a moment."""
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while True:
            try:
                return RunLock(self._folder / ".writer.lock")
            except LockHeld:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    async def add_row(self, row: dict[str, Any]) -> None:
        """Take a row; returns when it is committed. Raises ``OSError`` when nothing can be written."""
        if self._failure is not None:
            raise self._failure
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._rows:
            self._oldest = time.monotonic()
        self._rows.append((row, future))
        if len(self._rows) >= ROWS_PER_SHARD:
            await self.flush_rows()
        elif self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_by_age())
        await future

    async def flush_rows(self) -> None:
        """Commit all waiting rows, in one shard."""
        async with self._committing:
            batch, self._rows = self._rows, []
            if not batch:
                return
            rows = [row for row, _ in batch]
            try:
                commit = await asyncio.to_thread(self._store.commit, rows)
            except OSError as error:
                self._failure = error
                for _, future in batch:
                    future.set_exception(error)
                return
            for _, future in batch:
                future.set_result(None)
            written = set(commit.written)
            fresh = [row for row in rows if row["case_id"] in written]
            self._outcomes.update(row["outcome"] for row in fresh)
            await asyncio.to_thread(self._report_committed, fresh)

    def _report_committed(self, rows: list[dict[str, Any]]) -> None:
        """Log and count cases that were just committed."""
        self._case_log.append_rows(rows)
        for row in rows:
            self._meters.add_count(metrics.CASES, 1, row["outcome"], row["quality"])
            for kind, count in count_lost_calls(row).items():
                self._meters.add_count(metrics.LOST, count, kind)

    async def read_counts(self) -> dict[str, Any]:
        """The committed rows of the folder by outcome, and whether writing failed."""
        return {
            "outcomes": dict(self._outcomes),
            "failure": None if self._failure is None else f"{self._failure.strerror} ({self._failure.filename})",
        }

    async def _flush_by_age(self) -> None:
        while self._rows:
            age = min(LAST_AGE_S, max(FIRST_AGE_S, AGE_SHARE * (time.monotonic() - self._started)))
            wait = self._oldest + age - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                await self.flush_rows()


def start_writer(folder: Path, log_folder: Path) -> Any:
    """Start the writer on the driver's own node, where the run's folder is."""
    options = {"num_cpus": 0, "max_restarts": -1, "max_concurrency": 1000, "scheduling_strategy": own_node()}
    return ray.remote(WriterActor).options(**options).remote(str(folder), str(log_folder))
