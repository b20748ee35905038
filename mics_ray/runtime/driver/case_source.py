"""The Ray Dataset of cases: Ray Data reads and parses parts of the input side by side, blocks come out in their order.

A datasource of our own: `read_json` fails where records differ in shape, `read_text` drops blank lines, neither tells
where a record stands. Importing this module loads Ray Data and pandas (a second and a half), so
:mod:`mics_ray.runtime.driver.dataset` does it when the first part of the input is read.
"""

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import ray
import ray.data
from ray.data import Datasource, ExecutionResources, ReadTask
from ray.data.block import BlockMetadata

from mics_ray.io.index.ids import IdSet, SortedHashes
from mics_ray.io.packed_blocks import pack_part
from mics_ray.io.scan import Part

READERS = 4
"""Parts that are read at a time: parsing is far ahead of any search."""
BLOCK_BYTES = 4 * 2**20
"""Of a block in the object store, of which the driver has a few in memory."""
AHEAD_BYTES = 256 * 2**20
"""Of the object store that records read ahead may fill."""


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


def read_blocks(parts: Mapping[int, Part], done: IdSet) -> Iterator[Any]:
    """The blocks of ``parts``, by their numbers, in their order; Ray Data begins to read at the first one asked for."""
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
    yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)


def _pack_part(part: Part, number: int, done: Any) -> Iterator[Any]:
    """A read task."""
    return pack_part(part, number, SortedHashes(ray.get(done)))
