"""Records that come as Arrow tables, kept in one Parquet file."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mics_ray.io.embedded_pictures import find_missed_paths, find_missed_pictures
from mics_ray.io.input_files import InputError
from mics_ray.io.records import is_read_key
from mics_ray.private_files import replace_file


def write_records(path: Path, tables: Iterable[pa.Table]) -> int:
    """Write the format's columns of ``tables``, one in memory at a time; returns how many records there are.

    Raises :class:`InputError` for tables without such a column, of unlike columns, or with pictures in another;
    ``OSError``.
    """
    count, schema, writer = 0, None, None
    with replace_file(path, sync=True) as file:
        try:
            for table in tables:
                if missed := find_missed_pictures(table.schema) or find_missed_paths(table):
                    raise InputError(f"dataset: the column {missed[0]!r} holds pictures; call it images, or drop it")
                kept = table.select([name for name in table.column_names if is_read_key(name)])
                if writer is None:
                    if not kept.column_names:
                        raise InputError("dataset: none of the columns of a case, such as rid, messages and images")
                    schema, writer = kept.schema, pq.ParquetWriter(file, kept.schema, compression="zstd")
                writer.write_table(_align_columns(kept, schema))
                count += table.num_rows
        finally:
            if writer is not None:
                writer.close()
    return count


def _align_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    try:
        # Also where a block has one more: pictures that only later blocks have would be left out.
        if set(table.column_names) == set(schema.names):
            return table.select(schema.names).cast(schema)
    except pa.ArrowException:
        pass  # its message may quote a value
    raise InputError("dataset: its columns or their types change from block to block; give it one schema")
