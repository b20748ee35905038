"""Packed records as Arrow tables, which is how Ray Data carries them."""

from collections.abc import Iterator

import pyarrow as pa

from mics_ray.io.dealt_records import DEAL_BYTES, PackedRecord, pack_record
from mics_ray.io.scan import Part, read_part

SCHEMA = pa.schema([("id", pa.string()), ("own_id", pa.string()), ("record", pa.large_binary())])
MOST_ROWS = 1024


def pack_part(part: Part) -> Iterator[pa.Table]:
    """The records of a part, about a megabyte at a time. Raises :class:`mics_ray.io.input_files.InputError`."""
    together: list[PackedRecord] = []
    size = 0
    for record in map(pack_record, read_part(part)):
        together.append(record)
        size += len(record.packed)
        if size >= DEAL_BYTES or len(together) >= MOST_ROWS:
            yield _make_table(together)
            together, size = [], 0
    # At least one table, as a part always has a record.
    if together:
        yield _make_table(together)


def unpack_block(block: pa.Table) -> Iterator[PackedRecord]:
    """The records of a table in their order."""
    for batch in block.to_batches():
        columns = (batch.column(name).to_pylist() for name in SCHEMA.names)
        for case_id, own_id, packed in zip(*columns, strict=True):
            yield PackedRecord(case_id, own_id, packed)


def _make_table(records: list[PackedRecord]) -> pa.Table:
    columns = [[getattr(record, name) for record in records] for name in PackedRecord.__slots__]
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA)
