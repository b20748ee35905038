"""Cached replies as one file of a table format: Parquet, or JSON lines where the name says so. Mode 0600."""

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from mics_ray.private_files import replace_file

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("model", pa.string()),
        ("stored", pa.int64()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("cached_tokens", pa.int64()),
        ("reasoning_tokens", pa.int64()),
        ("finish", pa.string()),
        ("text", pa.string()),
    ]
)
"""``key`` in hex digits; ``stored`` in Unix seconds, null where it was not noted."""
SUFFIXES = (".parquet", ".jsonl")
_GROUP = 5000  # rows of one Parquet row group, and what is in memory at once


def write_replies(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write ``rows`` to a file of one of :data:`SUFFIXES`, a few thousand in memory; it is there whole or not at all.

    Returns how many they were. Raises ``OSError``.
    """
    write = _write_parquet if path.suffix == ".parquet" else _write_json_lines
    with replace_file(path) as file:
        return write(file, rows)


def _write_parquet(file: BinaryIO, rows: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        waiting = iter(rows)
        while group := list(islice(waiting, _GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=SCHEMA))
            count += len(group)
    return count


def _write_json_lines(file: BinaryIO, rows: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        count += 1
    return count
