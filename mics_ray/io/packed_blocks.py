"""Packed records of parts of the input, as Arrow tables where Ray Data carries them."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class PartPiece:
    """Consecutive records of the part ``number`` from 0: what they bring, and what there is to do for each."""

    number: int
    ids: PartIds
    records: Iterable[PackedRecord | LeftOut]


def pack_part(part: Part, number: int, done: Container[int]) -> Iterator[pa.Table]:
    """The records of a part, which is the one ``number`` from 0, about a megabyte at a time.

    Records that bring an id whose ``hash_id`` is in ``done`` are left out. Raises
    :class:`mics_ray.io.input_files.InputError`.
    """
    for together in _gather_records(part, done):
        yield _make_table([(hashed, number, position, *_list_packed(one)) for hashed, position, one in together])


def read_pieces(part: Part, number: int, done: Container[int]) -> Iterator[PartPiece]:
    """:func:`pack_part` for who deals in the same process: Arrow loads pandas for the first list that it takes."""
    for together in _gather_records(part, done):
        hashes, positions, found = zip(*together, strict=True)
        ids = PartIds(np.array(hashes, np.uint64), np.array(positions, np.int64))
        records = (
            LeftOut(hashed, number, position) if one is None else one
            for hashed, position, one in zip(hashes, positions, found, strict=True)
        )
        yield PartPiece(number, ids, records)


def split_block(block: pa.Table) -> Iterator[PartPiece]:
    """What a table of :func:`pack_part`, or several joined, holds of each part."""
    numbers = block.column("part").to_numpy()
    bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    for begin, end in pairwise(bounds):
        if begin < end:
            rows = block.slice(begin, end - begin)
            yield PartPiece(int(numbers[begin]), _list_ids(rows), unpack_block(rows))


def join_pieces(
    pieces: Iterable[PartPiece], known: Mapping[int, PartIds], parts: int, collector: PartCollector
) -> Iterator[ReadRecord]:
    """The records of all ``parts`` in their order: of the ``known`` ones as they are, of the others from their pieces,
    which come in the order of the parts. ``collector`` hears of what the pieces hold."""
    at = 0
    for piece in pieces:
        yield from _list_known(known, at, piece.number)
        at = piece.number
        collector.add_records(piece.number, piece.ids)
        yield from piece.records
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


def _list_ids(rows: pa.Table) -> PartIds:
    return PartIds(rows.column("hashed").to_numpy(), rows.column("position").to_numpy())


def _gather_records(part: Part, done: Container[int]) -> Iterator[list[tuple[int, int, PackedRecord | None]]]:
    """Of each record the hash of the id that it brings, its position, and what it is unless that id is done."""
    together: list[tuple[int, int, PackedRecord | None]] = []
    size = 0
    for place, raw in read_raw_part(part):
        hashed = hash_id(find_raw_id(raw, place))
        packed = None if hashed in done else pack_record((place, parse_raw(raw, place)))
        together.append((hashed, place.position, packed))
        size += 0 if packed is None else len(packed.packed)
        if size >= DEAL_BYTES or len(together) >= MOST_ROWS:
            yield together
            together, size = [], 0
    if together:
        yield together


def _list_packed(record: PackedRecord | None) -> tuple[object, ...]:
    return (None,) * len(_PACKED) if record is None else (record.id, record.own_id, record.packed, record.rejected)


def _make_table(rows: list[tuple[object, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA)
