"""Packed records as Arrow tables, which is how Ray Data carries them."""

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import pairwise

import numpy as np
import pyarrow as pa

from mics_ray.io.dealt_records import DEAL_BYTES, KnownRecords, LeftOut, PackedRecord, ReadRecord, pack_record
from mics_ray.io.index.ids import hash_id
from mics_ray.io.index.input_index import PartCollector, PartIds, join_ids
from mics_ray.io.scan import Part, find_raw_id, parse_raw, read_raw_part

_PLACE = [("hashed", pa.uint64()), ("part", pa.int64()), ("position", pa.int64())]
_PACKED = [("id", pa.string()), ("own_id", pa.string()), ("record", pa.large_binary()), ("rejected", pa.bool_())]
SCHEMA = pa.schema(_PLACE + _PACKED)
"""Of a record that is left out the columns from ``id`` on are null."""
MOST_ROWS = 4096


def pack_part(part: Part, number: int, done: Container[int]) -> Iterator[pa.Table]:
    """The records of a part, which is the one ``number`` from 0, about a megabyte at a time.

    Records that bring an id whose ``hash_id`` is in ``done`` are left out. Raises
    :class:`mics_ray.io.input_files.InputError`.
    """
    together: list[tuple[object, ...]] = []
    size = 0
    for hashed, position, record in _read_records(part, done):
        if record is None:
            together.append((hashed, number, position, None, None, None, None))
        else:
            together.append((hashed, number, position, record.id, record.own_id, record.packed, record.rejected))
            size += len(record.packed)
        if size >= DEAL_BYTES or len(together) >= MOST_ROWS:
            yield _make_table(together)
            together, size = [], 0
    # At least one table, as a part always has a record.
    if together:
        yield _make_table(together)


def join_blocks(
    blocks: Iterable[pa.Table], known: Mapping[int, PartIds], parts: int, collector: PartCollector
) -> Iterator[ReadRecord]:
    """The records of all ``parts`` in their order: of the ``known`` ones as they are, of the others from their blocks,
    which come in the order of the parts. ``collector`` hears of what the blocks hold."""
    at = 0
    for block in blocks:
        for number, rows in _split_block(block):
            yield from _list_known(known, at, number)
            at = number
            collector.add_records(number, _list_ids(rows))
            yield from unpack_block(rows)
    collector.end_part()
    yield from _list_known(known, at, parts)


def unpack_block(block: pa.Table) -> Iterator[PackedRecord | LeftOut]:
    """The records of a table in their order."""
    for batch in block.to_batches():
        columns = (batch.column(name).to_pylist() for name in SCHEMA.names)
        for hashed, part, position, *packed in zip(*columns, strict=True):
            yield LeftOut(hashed, part, position) if packed[0] is None else PackedRecord(*packed)


def _list_known(known: Mapping[int, PartIds], begin: int, end: int) -> Iterator[KnownRecords]:
    if numbers := [number for number in range(begin, end) if number in known]:
        ids = join_ids([known[number] for number in numbers])
        counts = [len(known[number].hashes) for number in numbers]
        yield KnownRecords(ids.hashes, np.repeat(np.array(numbers), counts), ids.positions)


def _split_block(block: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each part."""
    numbers = block.column("part").to_numpy()
    bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    for begin, end in pairwise(bounds):
        if begin < end:
            yield int(numbers[begin]), block.slice(begin, end - begin)


def _list_ids(rows: pa.Table) -> PartIds:
    return PartIds(rows.column("hashed").to_numpy(), rows.column("position").to_numpy())


def _read_records(part: Part, done: Container[int]) -> Iterator[tuple[int, int, PackedRecord | None]]:
    """Of each record the hash of the id that it brings, its position, and what it is unless that id is done."""
    for place, raw in read_raw_part(part):
        hashed = hash_id(find_raw_id(raw, place))
        packed = None if hashed in done else pack_record((place, parse_raw(raw, place)))
        yield hashed, place.position, packed


def _make_table(rows: list[tuple[object, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA)
