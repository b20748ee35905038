"""Damage to a file as a failing disk leaves it: a bit that is not what was written."""

from pathlib import Path

import pyarrow.parquet as pq


def flip(path: Path, column: str) -> None:
    """One bit of a column's data in a Parquet file."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    chunks = map(group.column, range(group.num_columns))
    chunk = next(chunk for chunk in chunks if chunk.path_in_schema.startswith(column))
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    path.write_bytes(data)
