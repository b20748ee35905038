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


async def rows(shard: Any, ahead: int) -> AsyncIterator[str]:
    """The records of a worker's shard, read in a thread, at most ``ahead`` of them before they are wanted.

    Ray Data's own async map would hold results back until a whole block is done and block the event loop meanwhile.
    """
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[str | BaseException | None](ahead)
    closed = threading.Event()

    def put(item: str | BaseException | None) -> None:
        if not closed.is_set():
            asyncio.run_coroutine_threadsafe(queue.put(item), loop).result()

    def read() -> None:
        try:
            for row in shard.iter_rows():
                if closed.is_set():
                    return
                put(row["record"])
            put(None)
        except Exception as error:
            put(error)

    threading.Thread(target=read, name="cases", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()


def _read(row: dict[str, Any], spans: "ray.ObjectRef[list[Span]]") -> Iterator[dict[str, str]]:
    for record in read_span(ray.get(spans)[row["span"]]):
        kind = "case" if isinstance(record, Case) else "rejection"
        yield {"record": json.dumps([kind, asdict(record)])}
