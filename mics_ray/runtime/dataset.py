"""The cases as a Ray Dataset: spans of the input file, read by Ray's tasks and never held in the driver."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import ray

from mics_ray.core.types import Case, Note
from mics_ray.io.cases import Rejection, Span, read_span


def dataset(spans: Sequence[Span]) -> "ray.data.Dataset":
    """One row per input record that is not committed yet: its JSON form under ``record``."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    indices = ray.data.from_items([{"span": number} for number in range(len(spans))], override_num_blocks=len(spans))
    kept = ray.put(list(spans))
    return indices.flat_map(_read, fn_kwargs={"spans": kept}, num_cpus=0.1)


def unpack(record: str) -> Case | Rejection:
    """The record that a row of :func:`dataset` holds."""
    kind, fields = json.loads(record)
    if kind == "rejection":
        return Rejection(**fields | {"images": tuple(fields["images"])})
    notes = tuple(Note(**note) for note in fields["notes"])
    return Case(**fields | {"images": tuple(fields["images"]), "notes": notes})


class Records:
    """The records of a worker's shard, read in a thread from construction on, at most ``ahead`` before they are wanted.

    Ray Data's own async map would hold results back until a whole block is done and block the event loop meanwhile.
    """

    def __init__(self, shard: Any, ahead: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue = asyncio.Queue[str | BaseException | None](ahead)
        self._closed = threading.Event()
        threading.Thread(target=self._read, args=(shard,), name="cases", daemon=True).start()

    async def __aiter__(self) -> AsyncIterator[str]:
        try:
            while (item := await self._queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self._closed.set()

    def _read(self, shard: Any) -> None:
        try:
            for row in shard.iter_rows():
                self._put(row["record"])
                if self._closed.is_set():
                    return
            self._put(None)
        except Exception as error:
            self._put(error)

    def _put(self, item: str | BaseException | None) -> None:
        """Hand one item to the loop; waits while the queue is full, but not for a reader that has gone."""
        waiting = asyncio.run_coroutine_threadsafe(self._queue.put(item), self._loop)
        while not self._closed.is_set():
            try:
                waiting.result(timeout=1.0)
                return
            except TimeoutError:
                continue


def _read(row: dict[str, Any], spans: "ray.ObjectRef[list[Span]]") -> Iterator[dict[str, str]]:
    for record in read_span(ray.get(spans)[row["span"]]):
        kind = "case" if isinstance(record, Case) else "rejection"
        yield {"record": json.dumps([kind, asdict(record)])}
