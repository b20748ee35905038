"""The cases as a Ray Dataset of spans of the input file: the driver assigns spans, workers read the records.

A map stage that reads the records would start processes of its own: 3 s before the first case (measured), for nothing.
`streaming_split` would share the spans out by itself, but it never serves a worker that was lost and started again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Generator, Sequence

import ray

from mics_ray.core.types import Case
from mics_ray.io.cases import RecordPlace, Rejection, Span, read_places

MOST_BLOCKS = 1024  # Ray Data plans each block by itself: a million spans need not be a million blocks

PlacedRecord = tuple[RecordPlace, Case | Rejection]
"""An input record and where it stands."""


def stream_spans(spans: Sequence[Span]) -> Generator[Span, None, None]:
    """The spans in their order, through Ray Data; to be closed while Ray is there: its end asks Ray."""
    context = ray.data.DataContext.get_current()
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it would tell of a Dataset that is none of the user's
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    rows = [{"span": number} for number in range(len(spans))]
    numbers = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))
    for row in numbers.iter_rows():
        yield spans[row["span"]]


async def iter_records(span: Span) -> AsyncIterator[PlacedRecord]:
    """The pending records of a span, each read in a thread when it is asked for. Raises ``InputError``."""
    found = read_places(span)
    while (record := await asyncio.to_thread(next, found, None)) is not None:
        yield record
