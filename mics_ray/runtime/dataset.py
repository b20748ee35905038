"""The cases as a Ray Dataset of spans of the input file: workers draw spans as they need them and read them themselves.

A map stage that reads the records would start processes of its own: 3 s before the first case (measured), for nothing.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from mics_ray.core.types import Case
from mics_ray.io.cases import Place, Rejection, Span, read_places

MOST_BLOCKS = 1024
"""Blocks of the dataset; a worker draws one at a time."""

Record = tuple[Place, Case | Rejection]
"""An input record and where it stands."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One worker's part: an iterator over numbers of spans, and the spans."""

    numbers: Any
    spans: "ray.ObjectRef[list[Span]]"


def shards(spans: Sequence[Span], workers: int) -> list[Shard]:
    """Share the records without a row out: a part for each worker, larger where a worker is faster."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    rows = [{"span": number} for number in range(len(spans))]
    numbers = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))
    kept = ray.put(list(spans))
    return [Shard(part, kept) for part in numbers.streaming_split(workers, equal=False)]


class Records:
    """The records of a worker's shard, read in a thread from construction on, at most ``ahead`` before they are wanted.

    Ray Data's own async map would hold results back until a whole block is done and block the event loop meanwhile.
    """

    def __init__(self, shard: Shard, ahead: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue = asyncio.Queue[Record | Exception | None](ahead)
        self._closed = threading.Event()
        threading.Thread(target=self._read, args=(shard,), name="cases", daemon=True).start()

    async def __aiter__(self) -> AsyncIterator[Record]:
        try:
            while (item := await self._queue.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self._closed.set()

    def _read(self, shard: Shard) -> None:
        try:
            spans = ray.get(shard.spans)
            for row in shard.numbers.iter_rows():
                for record in read_places(spans[row["span"]]):
                    self._put(record)
                    if self._closed.is_set():
                        return
            self._put(None)
        except Exception as error:
            self._put(error)

    def _put(self, item: Record | Exception | None) -> None:
        """Hand one item to the loop; waits while the queue is full, but not for a reader that has gone."""
        waiting = asyncio.run_coroutine_threadsafe(self._queue.put(item), self._loop)
        while not self._closed.is_set():
            try:
                waiting.result(timeout=1.0)
                return
            except TimeoutError:
                continue
