"""The Ray Dataset of cases: Ray Data reads and parses the input side by side, the driver takes records out in order.

A datasource of our own: `read_json` fails where records differ in shape, `read_text` drops blank lines, neither tells
where a record stands. `streaming_split` would share the records out by itself, but never serves a worker again that was
lost; so the driver deals them, and keeps what it dealt until it has its rows.
"""

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any

import ray
from ray.data import Datasource, ExecutionResources, ReadTask
from ray.data.block import BlockMetadata
from ray.exceptions import RayTaskError

from mics_ray.errors import RefusedRun
from mics_ray.io.dealt_records import DealtSpan, ReadRecord, RejectedCount, deal_records
from mics_ray.io.index.ids import IdSet, SortedHashes
from mics_ray.io.index.input_index import InputIndex, PartCollector
from mics_ray.io.input_files import InputError
from mics_ray.io.packed_blocks import join_blocks, pack_part
from mics_ray.io.scan import Part

READERS = 4
"""Parts that are read at a time: parsing is far ahead of any search."""
BLOCK_BYTES = 4 * 2**20
"""Of a block in the object store, of which the driver has a few in memory."""
AHEAD_BYTES = 256 * 2**20
"""Of the object store that records read ahead may fill."""
SPANS_READ_AHEAD = 8
POLL_S = 0.5


class CaseSource(Datasource):  # type: ignore[misc] # Ray has no types here
    """The parts of the input, a read task each; blocks have the columns of :mod:`mics_ray.io.packed_blocks`."""

    def __init__(self, parts: Mapping[int, Part], done: IdSet) -> None:
        """``parts`` by their numbers, in their order."""
        super().__init__()
        self._parts = parts
        # Once for all tasks: a set of a million ids in each would cost more than its part.
        self._done = ray.put(done.sort_hashes())

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown before it is read."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """One for each part, whatever parallelism Ray Data proposes: a part is what can be read by itself."""
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(partial(_pack_part, part, n, self._done), unknown) for n, part in self._parts.items()]


class CaseStream:
    """The spans of a run as they come out of Ray Data, taken by a thread, so that the driver never waits for a file."""

    def __init__(self, parts: Sequence[Part], done: IdSet, index: InputIndex | None = None) -> None:
        """Begin to read ``parts`` but for the ids in ``done`` and the parts that hold no other, as ``index`` knows."""
        self._ready: Queue[DealtSpan] = Queue(SPANS_READ_AHEAD)
        self._read_all, self._stop = Event(), Event()
        self._error: BaseException | None = None
        self._rejected = RejectedCount()
        self._thread = Thread(target=self._read, args=(parts, done, index), name="cases", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether every span has been taken. Raises :class:`RefusedRun` where the input cannot be read any further."""
        # In this order: the thread may put a span between the two looks.
        whole = self._read_all.is_set() and self._ready.empty()
        if whole and self._error is not None:
            raise self._error
        return whole

    @property
    def rejected(self) -> RejectedCount | None:
        """What was read and is no case; ``None`` while, or where, not every record is read."""
        whole = self._read_all.is_set() and self._error is None and not self._stop.is_set()
        return self._rejected if whole else None

    def take_span(self) -> DealtSpan | None:
        """The next span; ``None`` where none is there yet, or none is left."""
        try:
            return self._ready.get_nowait()
        except Empty:
            return None

    def close(self) -> None:
        """Read no further. While Ray is there: the end of reading asks Ray."""
        self._stop.set()
        self._thread.join(10 * POLL_S)

    def _read(self, parts: Sequence[Part], done: IdSet, index: InputIndex | None) -> None:
        try:
            # The generator's end is the end of what Ray Data still does.
            with closing(iter_records(parts, done, index)) as records:
                for span in deal_records(records, done, parts):
                    self._rejected.add_span(span)
                    if not self._hand_over(span):
                        break
        except RayTaskError as error:
            cause = error.cause
            self._error = RefusedRun(str(cause)) if isinstance(cause, InputError) else error
        except InputError as error:
            self._error = RefusedRun(str(error))
        except Exception as error:
            self._error = error
        finally:
            self._read_all.set()

    def _hand_over(self, span: DealtSpan) -> bool:
        while not self._stop.is_set():
            try:
                self._ready.put(span, timeout=POLL_S)
                return True
            except Full:
                continue
        return False


def iter_records(
    parts: Sequence[Part], done: IdSet, index: InputIndex | None = None
) -> Generator[ReadRecord, None, None]:
    """The records of all parts in their order, read by Ray Data; those in ``done`` are not parsed, and the parts that
    the index knows to be done not read."""
    known = {} if index is None else index.find_done(done)
    left = {number: part for number, part in enumerate(parts) if number not in known}
    blocks = _read_blocks(left, done) if left else iter(())
    yield from join_blocks(blocks, known, len(parts), PartCollector(index))


def _read_blocks(parts: Mapping[int, Part], done: IdSet) -> Iterator[Any]:
    context = ray.data.DataContext.get_current().copy()
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it would tell of a Dataset that is none of the user's
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = BLOCK_BYTES
    context.execution_options.preserve_order = True
    context.execution_options.resource_limits = ExecutionResources.for_limits(object_store_memory=AHEAD_BYTES)
    with ray.data.DataContext.current(context):
        dataset = ray.data.read_datasource(
            CaseSource(parts, done), num_cpus=0, concurrency=min(READERS, len(parts)), override_num_blocks=len(parts)
        )
    return iter(dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1))


def _pack_part(part: Part, number: int, done: Any) -> Iterator[Any]:
    """A read task."""
    return pack_part(part, number, SortedHashes(ray.get(done)))
