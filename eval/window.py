"""The open items of an evaluation: a window of them at a time, rows onto the disk in batches."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from eval.prepare import Question
from eval.types import Kind
from mics_ray.io.shards import ShardStore

Row = dict[str, Any]
Score = Callable[[Sequence[str], Sequence[str]], list[float]]
"""BERTScore: the F1 of each candidate against its reference."""

POLL_S = 0.25
ROWS_PER_SHARD = 64
FIRST_AGE_S, LAST_AGE_S, AGE_SHARE = 2.0, 60.0, 0.02
"""A waiting row leaves after 2 s at first and after 60 s in long runs: 2 % of the run's age, so shards stay few."""


class Stopped(Exception):
    """The person asked for a stop."""


class Batches:
    """Rows that wait for the disk; ``verdicts`` counts what is committed. One committer: the folder's lock is ours."""

    def __init__(self, store: ShardStore, score: Score | None) -> None:
        self._store, self._score = store, score
        self._rows: list[Row] = []
        self._started = self._oldest = time.monotonic()
        self.verdicts: Counter[str] = Counter()

    def add(self, row: Row) -> None:
        """Take a row in."""
        if not self._rows:
            self._oldest = time.monotonic()
        self._rows.append(row)

    async def flush_when_due(self) -> None:
        """Commit a full batch, or one that has waited long enough. Raises ``OSError``."""
        at = time.monotonic()
        age = min(LAST_AGE_S, max(FIRST_AGE_S, AGE_SHARE * (at - self._started)))
        if len(self._rows) >= ROWS_PER_SHARD or (self._rows and at - self._oldest >= age):
            await self.flush()

    async def flush(self) -> None:
        """Commit everything that waits, in one shard. Raises ``OSError``."""
        batch, self._rows = self._rows, []
        if batch:
            await asyncio.to_thread(self._commit, batch)
            self.verdicts.update(row["verdict"] for row in batch)

    def _commit(self, batch: list[Row]) -> None:
        if self._score is not None:
            rows = [row for row in batch if row["kind"] == Kind.OPEN and row["output"]]
            found = self._score([row["parsed"] for row in rows], [row["gold"] for row in rows])
            for row, value in zip(rows, found, strict=True):
                row["bert_score"] = value
        self._store.commit(batch)


async def answer_all(
    questions: Sequence[Question],
    answer: Callable[[Question], Awaitable[Row]],
    batches: Batches,
    size: int,
    look: Callable[[int], bool],
) -> None:
    """Answer every question, ``size`` open at a time: a slow one holds up nobody but itself.

    ``look`` gets the number of open ones a few times a second; when it returns true, the open ones are given up and
    :class:`Stopped` is raised. However it ends, what was answered is committed. Raises also what ``answer`` raises.
    """
    waiting = iter(questions)
    running: set[asyncio.Future[Row]] = set()
    try:
        while True:
            while len(running) < size and (question := next(waiting, None)) is not None:
                running.add(asyncio.ensure_future(answer(question)))
            if not running:
                return
            done, running = await asyncio.wait(running, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
            await _take(done, batches)
            if look(len(running)):
                raise Stopped
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await batches.flush()


async def _take(done: set["asyncio.Future[Row]"], batches: Batches) -> None:
    """Keep the rows of ended tasks, then raise the first of their errors."""
    errors = [error for task in done if (error := task.exception()) is not None]
    for task in done:
        if task.exception() is None:
            batches.add(task.result())
    if errors:
        raise errors[0]
    await batches.flush_when_due()
