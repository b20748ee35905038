"""Pictures inside Parquet files, as Hugging Face stores them: named by place where cases are read, read one by one.

A picture column holds a struct of ``bytes`` and ``path``, bare bytes, or a list of either. Cases come
without the bytes: ``FILE.parquet#ROW/NUMBER``, both from 1, is a picture's path, relative to the folder of the input.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from mics_ray.core.display import make_storable
from mics_ray.io.parquet_files import open_parquet
from mics_ray.io.records import is_picture_key, is_read_key
from mics_ray.io.records.keys import ID_FIELDS, fold_key, names_picture

BATCH_BYTES = 16 * 2**20
"""Of a picture column, about as much is in memory at a time; more where one page of the file holds more."""
ROWS_LOOKED_AT = 64
"""Rows in whose texts paths of pictures are looked for."""
_PLACE = re.compile(r"(.+\.parquet)#([1-9][0-9]{0,17})/([1-9][0-9]{0,8})", re.I | re.S)


@dataclass(frozen=True, slots=True)
class EmbeddedPicture:
    """The place of a picture: a Parquet file, the row in it, and which of the row's pictures; both from 1."""

    file: str
    row: int
    number: int

    def __str__(self) -> str:
        return f"{self.file}#{self.row}/{self.number}"


def find_embedded(relative: str) -> EmbeddedPicture | None:
    """The place that a picture's path names, if it names one inside a Parquet file."""
    match = _PLACE.fullmatch(relative)
    return EmbeddedPicture(match[1], int(match[2]), int(match[3])) if match else None


def find_picture_columns(schema: pa.Schema) -> list[str]:
    """The columns that hold pictures and not paths."""
    return [field.name for field in schema if is_picture_key(field.name) and _holds_pictures(field.type)]


def find_missed_pictures(schema: pa.Schema) -> list[str]:
    """Columns of Hugging Face pictures under names that are not read, in a file that names no pictures else."""
    if any(is_picture_key(name) for name in schema.names):
        return []
    return [field.name for field in schema if pa.types.is_struct(_inner(field.type)) and _holds_pictures(field.type)]


def list_unread_texts(schema: pa.Schema) -> list[str]:
    """Columns of texts that are not read, in a file that names no pictures: they may hold paths of ones."""
    if any(is_picture_key(name) for name in schema.names):
        return []
    return [field.name for field in schema if not is_read_key(field.name) and _is_text(_inner(field.type))]


def find_missed_paths(rows: pa.Table | pa.RecordBatch) -> list[str]:
    """Columns of :func:`list_unread_texts` with the path of a picture in the first :data:`ROWS_LOOKED_AT` rows."""
    first = rows.slice(0, ROWS_LOOKED_AT)
    return [
        name
        for name in list_unread_texts(first.schema)
        if any(names_picture(value.as_py()) for value in first.column(name))
    ]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _inner(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if _is_list(kind) else kind


def _holds_pictures(kind: pa.DataType) -> bool:
    inner = _inner(kind)
    if pa.types.is_struct(inner):
        return inner.get_field_index("bytes") >= 0 and _is_bytes(inner.field("bytes").type)
    return _is_bytes(inner)


def list_leaves(file: pq.ParquetFile, column: str) -> list[str]:
    """What to read of a picture column to count its pictures: their paths where there are any, not their bytes."""
    leaves = [file.schema.column(at).path for at in range(len(file.schema))]
    own = [leaf for leaf in leaves if leaf.partition(".")[0] == column]
    return [leaf for leaf in own if leaf.endswith(".path")][:1] or own


def name_pictures(name: str, first_row: int, column: pa.Array) -> list[list[str] | None]:
    """For each row of a batch the places of its pictures; ``None`` where it has none."""
    if _is_list(column.type):
        counts = column.value_lengths().to_pylist()
    else:
        counts = [int(there) for there in column.is_valid().to_pylist()]
    return [
        [str(EmbeddedPicture(name, row, number)) for number in range(1, count + 1)] if count else None
        for row, count in enumerate(counts, first_row)
    ]


def read_embedded(stream: BinaryIO, place: EmbeddedPicture) -> bytes | str:
    """The bytes of a picture, or the path of the file that holds it where the Parquet file has the path only.

    Raises ``LookupError`` where there is none, and what pyarrow raises on a damaged file.
    """
    # The buffer: without it a whole column chunk, which may be the file, is read at once.
    with open_parquet(stream, buffer_size=2**20) as file:
        column = next(iter(find_picture_columns(file.schema_arrow)), None)
        if column is None:
            raise LookupError("no column of pictures")
        for first, values in _iter_near(file, column, place.row - 1):
            if first <= place.row - 1 < first + len(values):
                return _take_picture(values[place.row - 1 - first], place.number)
    raise LookupError("no such row")


def read_row_id(stream: BinaryIO, place: EmbeddedPicture) -> str | None:
    """The id of the record that a picture stands in, if it has one. Raises what pyarrow raises on a damaged file."""
    with open_parquet(stream, buffer_size=2**20) as file:
        for name in list_id_columns(file.schema_arrow.names):
            for first, values in _iter_near(file, name, place.row - 1):
                at = place.row - 1 - first
                if 0 <= at < len(values) and values[at].is_valid:
                    return make_storable(str(values[at].as_py()))
    return None


def list_id_columns(names: Sequence[str]) -> list[str]:
    """The columns that an id is read from, the first that has one first."""
    exact = [name for name in ID_FIELDS if name in names]
    return exact + [name for name in names if name not in exact and fold_key(name) in map(fold_key, ID_FIELDS)]


def _iter_near(file: pq.ParquetFile, column: str, row: int) -> Iterator[tuple[int, pa.Array]]:
    """The batches of the row group that holds ``row``, each with its first row."""
    first = 0
    for at in range(file.num_row_groups):
        group = file.metadata.row_group(at)
        if row < first + group.num_rows:
            rows = max(1, BATCH_BYTES * group.num_rows // max(1, group.total_byte_size))
            for batch in file.iter_batches(min(rows, 1024), [at], [column]):
                yield first, batch.column(0)
                first += batch.num_rows
            return
        first += group.num_rows


def _take_picture(cell: Any, number: int) -> bytes | str:
    if _is_list(cell.type):
        if not cell.is_valid or number > len(cell.values):
            raise LookupError("no such picture in its row")
        cell = cell.values[number - 1]
    elif number > 1:
        raise LookupError("no such picture in its row")
    value = cell.as_py()
    data, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if not data and not path:
        raise LookupError("an empty picture")
    return bytes(data) if data else str(path)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
