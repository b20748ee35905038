"""Damage to a file as a failing disk leaves it: a bit that is not what was written."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mics_ray.io.shards.kind import ShardError
from mics_ray.io.shards.reading import iter_rows


def flip(path: Path, column: str) -> None:
    """One bit of a column's data in a Parquet file."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    chunks = map(group.column, range(group.num_columns))
    chunk = next(chunk for chunk in chunks if chunk.path_in_schema.startswith(column))
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    path.write_bytes(data)


def count_found_flips(path: Path, rows: Sequence[dict[str, Any]], times: int) -> int:
    """Flip a drawn bit of a shard, alone in its folder, ``times`` over; returns how often that was found. What is not
    found must change none of its ``rows``."""
    whole, found, chance = path.read_bytes(), 0, random.Random(1)
    for _ in range(times):
        damaged, at = bytearray(whole), chance.randrange(len(whole))
        damaged[at] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            assert list(iter_rows(path.parent)) == rows
        except ShardError:
            found += 1
    return found
