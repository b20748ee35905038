"""Records of JSONL and Parquet files, one by one from any place on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mics_ray.io.embedded_pictures import (
    BATCH_BYTES,
    ROWS_LOOKED_AT,
    find_missed_paths,
    find_missed_pictures,
    find_picture_columns,
    list_leaves,
    list_unread_texts,
    name_pictures,
)
from mics_ray.io.input_files import InputError, InputFile, open_input, open_stored
from mics_ray.io.parquet_files import open_parquet
from mics_ray.io.records import is_picture_key, is_read_key

MAX_RECORD = 64 * 2**20
"""Bytes; a longer line or JSON record is rejected without being held in memory."""

BOM = b"\xef\xbb\xbf"
_BATCH = 256  # rows held in memory at once; one may carry megabytes of text
_CHUNK = 2**20
_WORD = 8
_LINE_FEED = ord("\n")
_BLANK = np.isin(np.arange(256), list(b" \t\n\r\x0b\x0c"))  # what bytes.strip() takes away

Places = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Of some records in their order the positions, and where reading can start again: as in :class:`Raw`."""
_NO_PLACES: Places = (np.empty(0, np.int64), np.empty(0, np.int64))


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


def read_jsonl(file: InputFile, start: int, first: int) -> Iterator[Raw]:
    """Lines from byte ``start`` on, which is line ``first``; blank ones are counted and skipped."""
    for position, begin, text in _split_lines(file, start, first):
        yield too_long(position, begin) if text is None else decode_record(position, begin, text)


def find_jsonl(file: InputFile) -> Iterator[Places]:
    """Where each record that :func:`read_jsonl` reads stands."""
    # In an array at a time: a line of Python for each of a million would be what a start waits for.
    with open_input(file.path) as stream:
        open_line = _OpenLine()
        while chunk := stream.read(_CHUNK):
            yield open_line.end_lines(chunk)
        yield open_line.end_file()


class _OpenLine:
    """The line of a file that is read so far: its number, where it starts, whether anything but blanks is in it."""

    def __init__(self) -> None:
        self._number, self._start, self._inked = 1, 0, False
        self._read = 0

    def end_lines(self, chunk: bytes) -> Places:
        """The records that end in the next bytes of the file."""
        if not self._read and chunk.startswith(BOM):
            chunk = b" " * len(BOM) + chunk[len(BOM) :]
        data = np.frombuffer(chunk, np.uint8)
        ends = _find_line_feeds(data)
        if not len(ends):
            self._go_on(chunk)
            return _NO_PLACES
        begins = ends[:-1] + 1
        first = data[begins]
        inked = np.concatenate([[self._inked or bool(chunk[: ends[0]].strip())], ~_BLANK[first]])
        for at in np.flatnonzero(_BLANK[first]).tolist():
            inked[at + 1] = bool(chunk[begins[at] : ends[at + 1]].strip())
        starts = np.concatenate([[self._start], self._read + begins])
        inked |= self._read + ends - starts > MAX_RECORD  # a record, whatever is in it
        numbers = np.arange(self._number, self._number + len(ends))
        self._number, self._start, self._inked = self._number + len(ends), self._read + int(ends[-1]) + 1, False
        self._read += int(ends[-1]) + 1
        self._go_on(chunk[ends[-1] + 1 :])
        return numbers[inked], starts[inked]

    def end_file(self) -> Places:
        """The record in the last line, where that has no line feed."""
        if not self._inked and self._read - self._start <= MAX_RECORD:
            return _NO_PLACES
        return np.array([self._number]), np.array([self._start])

    def _go_on(self, rest: bytes) -> None:
        self._inked = self._inked or bool(rest.strip())
        self._read += len(rest)


def _find_line_feeds(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Where in ``data`` they are."""
    found = data == _LINE_FEED
    # Eight bytes at a time, most of which hold none: half of the time that a look at each byte takes.
    whole = len(data) // _WORD * _WORD
    words = np.flatnonzero(found[:whole].view(np.uint64) != 0)
    hits = np.flatnonzero(found[:whole].reshape(-1, _WORD)[words])
    ends = words[hits // _WORD] * _WORD + hits % _WORD
    return np.concatenate([ends, whole + np.flatnonzero(found[whole:])])


def _split_lines(file: InputFile, start: int, first: int) -> Iterator[tuple[int, int, bytes | None]]:
    """Number, start and text of each line with something in it; ``None`` for one over the limit."""
    with open_input(file.path) as stream:
        stream.seek(start)
        position = first
        while line := stream.readline(MAX_RECORD + 1):
            # A line of exactly MAX_RECORD bytes and its line feed reads as MAX_RECORD + 1, and is allowed.
            if len(line) > MAX_RECORD and not line.endswith(b"\n"):
                line = b""
                yield position, start, None
                while (more := stream.readline(2**20)) and not more.endswith(b"\n"):
                    pass
            # A byte order mark can stand only at byte 0; within the file these bytes are text.
            elif text := (line if start else line.removeprefix(BOM)).strip():
                yield position, start, text
            position, start = position + 1, stream.tell()


def read_parquet(file: InputFile, start: int, first: int) -> Iterator[Raw]:
    """Rows from row ``start`` (from 0) on, numbered from ``first``; only the format's columns are read.

    Of pictures in the file only the places are (:mod:`mics_ray.io.embedded_pictures`).
    """
    # pre_buffer would load the chosen columns of all row groups ahead of the reading, no buffer whole column chunks.
    with open_stored(file.path) as stream, open_parquet(stream, buffer_size=2**20) as parquet:
        pictures = find_picture_columns(parquet.schema_arrow)
        if len(pictures) > 1:
            raise InputError(
                f"{file.path}: the columns {', '.join(pictures)} all hold pictures; put them into one list"
            )
        if missed := _find_missed(parquet):
            raise InputError(f"{file.path}: the column {missed[0]!r} holds pictures; call it images, or leave it out")
        columns = [name for name in list_read_columns(parquet.schema_arrow) if name not in pictures]
        columns += [leaf for name in pictures for leaf in list_leaves(parquet, name)]
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        row, group = 0, 0
        while group < len(sizes) and row + sizes[group] <= start:
            row, group = row + sizes[group], group + 1
        rows = _choose_batch(parquet) if pictures else _BATCH
        for batch in parquet.iter_batches(rows, list(range(group, len(sizes))), columns):
            begin = min(max(row, start), row + batch.num_rows)
            places = {
                name: name_pictures(file.name, begin + 1, batch.column(name).slice(begin - row)) for name in pictures
            }
            plain = batch.drop_columns(pictures).slice(begin - row)
            for at, (value, fault) in enumerate(_list_batch_rows(plain)):
                if isinstance(value, dict):
                    value |= {name: column[at] for name, column in places.items()}
                yield Raw(first + begin + at - start, begin + at, value, fault)
            row += batch.num_rows


def list_read_columns(schema: pa.Schema) -> list[str]:
    """The columns of a Parquet file that are read; beside pictures themselves the name of a picture is a remark."""
    pictures = find_picture_columns(schema)
    read = (name for name in schema.names if is_read_key(name))
    return [name for name in read if name in pictures or not (pictures and is_picture_key(name))]


def _find_missed(parquet: pq.ParquetFile) -> list[str]:
    """Columns of pictures, or paths of ones, under names that are not read."""
    missed, texts = find_missed_pictures(parquet.schema_arrow), list_unread_texts(parquet.schema_arrow)
    rows = next(parquet.iter_batches(ROWS_LOOKED_AT, columns=texts), None) if texts else None
    return missed or ([] if rows is None else find_missed_paths(rows))


def find_parquet(file: InputFile) -> Iterator[Places]:
    """Where each record that :func:`read_parquet` reads stands, from the file's footer."""
    with open_stored(file.path) as stream, open_parquet(stream) as parquet:
        rows = parquet.metadata.num_rows
    for first in range(0, rows, _CHUNK):
        starts = np.arange(first, min(rows, first + _CHUNK))
        yield starts + 1, starts


def _choose_batch(parquet: pq.ParquetFile) -> int:
    """Rows at a time of a file with pictures, whose bytes are read where no paths stand beside them."""
    groups = [parquet.metadata.row_group(at) for at in range(parquet.num_row_groups)]
    largest = max((group.total_byte_size / max(1, group.num_rows) for group in groups), default=1)
    return min(_BATCH, max(1, int(BATCH_BYTES / max(1, largest))))


def _list_batch_rows(batch: Any) -> list[tuple[object, str]]:
    """The rows of a batch; where one holds bytes that are no text, only that one is lost."""
    try:
        return [(row, "") for row in batch.to_pylist()]
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [(None, "not UTF-8 text")]
        return [row for at in range(batch.num_rows) for row in _list_batch_rows(batch.slice(at, 1))]
