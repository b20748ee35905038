"""Records of JSONL and Parquet files, one by one from any place on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from mics_ray.io.input_files import open_input
from mics_ray.io.records import FIELDS

MAX_RECORD = 64 * 2**20
"""Bytes; a longer line or JSON record is rejected without being held in memory."""

BOM = b"\xef\xbb\xbf"
_BATCH = 256  # rows held in memory at once; one may carry megabytes of text


@dataclass(frozen=True, slots=True)
class Raw:
    """One record as it stands: its number from 1, where reading can start again (byte offset, or row), its value.

    ``fault`` says why there is no value.
    """

    position: int
    start: int
    value: object
    fault: str = ""


def decode_record(position: int, start: int, text: bytes) -> Raw:
    """A JSON record from its bytes; faults quote nothing of it."""
    try:
        return Raw(position, start, json.loads(text.decode()))
    except UnicodeDecodeError:
        return Raw(position, start, None, "not UTF-8 text")
    except json.JSONDecodeError as error:
        return Raw(position, start, None, f"broken JSON ({error.msg}, character {error.pos + 1})")
    # ValueError: Python refuses to convert integers of more than 4,300 digits.
    except (ValueError, RecursionError):
        return Raw(position, start, None, "broken JSON (a number too long or a value too deep)")


def too_long(position: int, start: int) -> Raw:
    """A record over :data:`MAX_RECORD`."""
    return Raw(position, start, None, f"longer than {MAX_RECORD // 2**20} MB")


def read_jsonl(path: str, start: int, first: int) -> Iterator[Raw]:
    """Lines from byte ``start`` on, which is line ``first``; blank ones are counted and skipped."""
    with open_input(path) as file:
        file.seek(start)
        position = first
        while line := file.readline(MAX_RECORD + 1):
            # A line of exactly MAX_RECORD bytes and its line feed reads as MAX_RECORD + 1, and is allowed.
            if len(line) > MAX_RECORD and not line.endswith(b"\n"):
                line = b""
                yield too_long(position, start)
                while (more := file.readline(2**20)) and not more.endswith(b"\n"):
                    pass
            # A byte order mark can stand only at byte 0; within the file these bytes are text.
            elif text := (line if start else line.removeprefix(BOM)).strip():
                yield decode_record(position, start, text)
            position, start = position + 1, file.tell()


def read_parquet(path: str, start: int, first: int) -> Iterator[Raw]:
    """Rows from row ``start`` (from 0) on, numbered from ``first``; only the format's columns are read."""
    # pre_buffer would load the chosen columns of all row groups ahead of the reading.
    with pq.ParquetFile(path, pre_buffer=False) as file:
        columns = [name for name in file.schema_arrow.names if name in FIELDS]
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        row, group = 0, 0
        while group < len(sizes) and row + sizes[group] <= start:
            row, group = row + sizes[group], group + 1
        for batch in file.iter_batches(_BATCH, list(range(group, len(sizes))), columns):
            begin = min(max(row, start), row + batch.num_rows)
            for at, (value, fault) in enumerate(_list_batch_rows(batch.slice(begin - row)), begin):
                yield Raw(first + at - start, at, value, fault)
            row += batch.num_rows


def _list_batch_rows(batch: Any) -> list[tuple[object, str]]:
    """The rows of a batch; where one holds bytes that are no text, only that one is lost."""
    try:
        return [(row, "") for row in batch.to_pylist()]
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [(None, "not UTF-8 text")]
        return [row for at in range(batch.num_rows) for row in _list_batch_rows(batch.slice(at, 1))]
