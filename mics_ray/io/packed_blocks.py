"""Packed records as Arrow tables, which is how Ray Data carries them."""

from collections.abc import Container, Iterator

import pyarrow as pa

from mics_ray.io.dealt_records import DEAL_BYTES, LeftOut, PackedRecord, pack_record
from mics_ray.io.index.ids import hash_id
from mics_ray.io.scan import Part, find_raw_id, parse_raw, read_raw_part

_PACKED = [("id", pa.string()), ("own_id", pa.string()), ("record", pa.large_binary()), ("rejected", pa.bool_())]
_LEFT_OUT = [("hashed", pa.uint64()), ("part", pa.int32()), ("position", pa.int64())]
SCHEMA = pa.schema(_PACKED + _LEFT_OUT)
"""Of a row, the one columns or the other are null."""
MOST_ROWS = 4096


def pack_part(part: Part, number: int, done: Container[int]) -> Iterator[pa.Table]:
    """The records of a part, which is the one ``number`` from 0, about a megabyte at a time.

    Records that bring an id whose ``hash_id`` is in ``done`` are left out. Raises
    :class:`mics_ray.io.input_files.InputError`.
    """
    together: list[tuple[object, ...]] = []
    size = 0
    for record in _read_records(part, number, done):
        if isinstance(record, LeftOut):
            together.append((None, None, None, None, record.hashed, record.part, record.position))
        else:
            together.append((record.id, record.own_id, record.packed, record.rejected, None, None, None))
            size += len(record.packed)
        if size >= DEAL_BYTES or len(together) >= MOST_ROWS:
            yield _make_table(together)
            together, size = [], 0
    # At least one table, as a part always has a record.
    if together:
        yield _make_table(together)


def unpack_block(block: pa.Table) -> Iterator[PackedRecord | LeftOut]:
    """The records of a table in their order."""
    for batch in block.to_batches():
        columns = (batch.column(name).to_pylist() for name in SCHEMA.names)
        for *packed, hashed, part, position in zip(*columns, strict=True):
            yield PackedRecord(*packed) if hashed is None else LeftOut(hashed, part, position)


def _read_records(part: Part, number: int, done: Container[int]) -> Iterator[PackedRecord | LeftOut]:
    for place, raw in read_raw_part(part):
        hashed = hash_id(find_raw_id(raw, place))
        if hashed in done:
            yield LeftOut(hashed, number, place.position)
        else:
            yield pack_record((place, parse_raw(raw, place)))


def _make_table(rows: list[tuple[object, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA)
