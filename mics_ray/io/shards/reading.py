"""The rows of committed shards, a few in memory at a time."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mics_ray.core.display import make_one_line
from mics_ray.io.parquet_files import open_parquet
from mics_ray.io.results.earlier_rows import Convert, UnknownSchema, make_converter
from mics_ray.io.results.python_rows import list_rows
from mics_ray.io.shards.kind import CASES, RowKind, ShardError

RESULTS = "results"
"""The folder of a run folder that holds its shards."""

_SHARD = re.compile(r"part-([0-9]{6,})\.parquet")
_LEVELS = r"\.list\.[^.]+"
_BATCH = 256


def list_shards(folder: Path) -> list[Path]:
    """The committed shards in the order of their numbers."""
    return [folder / name for name in list_names(folder)]


def has_shards(folder: Path) -> bool:
    """Whether anything is committed in ``folder``."""
    return bool(list_names(folder))


def list_names(folder: Path) -> list[str]:
    """The names of the committed shards, in the order of their numbers."""
    names = [match for name in os.listdir(folder) if (match := _SHARD.fullmatch(name))] if folder.is_dir() else []
    return [match[0] for match in sorted(names, key=lambda match: int(match[1]))]


def read_rows(run_dir: str | Path) -> Iterator[dict[str, Any]]:
    """All committed rows of a run folder, one dict a case, a few in memory at a time.

    The columns are those of docs/results.md; rows of schema version 2 come in the form of version 3 too.
    Raises :class:`FileNotFoundError` for a folder that is no run's, :class:`ShardError` for a damaged shard.
    """
    folder = Path(run_dir) / RESULTS
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; {run_dir} is not the folder of a run")
    return iter_rows(folder)


def iter_rows(folder: Path, columns: Sequence[str] | None = None, kind: RowKind = CASES) -> Iterator[dict[str, Any]]:
    """All committed rows, a few at a time, as :func:`read_shard` gives them. Raises :class:`ShardError`."""
    for path in list_shards(folder):
        yield from read_shard(path, columns or kind.schema.names, kind)


def read_shard(path: Path, columns: Sequence[str], kind: RowKind = CASES) -> Iterator[dict[str, Any]]:
    """The rows of one shard, a few at a time, page checksums verified. Raises :class:`ShardError`.

    Of a column of structs a part may be asked for by its path (``nodes.votes.verdict``), and the rest is not decoded;
    rows of an earlier schema have the column as a whole.
    """
    for rows in _read_batches(path, list(columns), kind, _list_converted):
        yield from rows


def read_keys(path: Path, kind: RowKind = CASES) -> Iterator[str]:
    """The keys of one shard's rows; every column is decoded and validated, page checksums verified. Raises
    :class:`ShardError`."""

    def list_keys(batch: pa.RecordBatch, _: Convert | None) -> list[Any]:
        # As Python values all columns would take thirty times as long, and show no more.
        batch.validate(full=True)
        keys: list[Any] = batch.column(kind.key).to_pylist()
        return keys

    for keys in _read_batches(path, kind.schema.names, kind, list_keys):
        yield from keys


def _list_converted(batch: pa.RecordBatch, convert: Convert | None) -> list[Any]:
    rows = list_rows(batch)
    return rows if convert is None else [convert(row) for row in rows]


def _list_leaves(file: pq.ParquetFile, columns: Sequence[str]) -> list[str]:
    """The columns and parts of columns as Parquet names them, with the levels of lists."""
    if all("." not in name for name in columns):
        return list(columns)
    schema = file.schema
    return _choose_leaves(tuple(schema.column(at).path for at in range(len(schema))), tuple(columns))


@lru_cache(16)  # the shards of a folder have the same columns
def _choose_leaves(paths: Sequence[str], columns: Sequence[str]) -> list[str]:
    begins = tuple(f"{one}." for one in columns)
    return [path for path in paths if f"{re.sub(_LEVELS, '', path)}.".startswith(begins)]


def _read_batches(
    path: Path, columns: list[str], kind: RowKind, take: Callable[[pa.RecordBatch, Convert | None], list[Any]]
) -> Iterator[list[Any]]:
    """What ``take`` makes of one shard's rows, batch after batch, and of what brings them into the form of ``kind``."""
    try:
        with open_parquet(path, page_checksum_verification=True) as file:
            schema = file.schema_arrow  # made anew at each look
            whole = list(dict.fromkeys(name.partition(".")[0] for name in columns))
            convert = make_converter(schema, kind.schema, kind.before, whole)
            missing = file.metadata.num_rows
            present = [name for name in whole if name in schema.names] if convert else _list_leaves(file, columns)
            # Threads cost more than they spare: a shard has some rows.
            for batch in file.iter_batches(_BATCH, columns=present, use_threads=False):
                missing -= batch.num_rows
                yield take(batch, convert)
            if missing:  # page headers have no checksum, and a damaged one can end the reading early
                raise ShardError(path, f"damaged: its rows are not all there; {kind.remedy}")
    except UnknownSchema as unknown:
        named = make_one_line(str(unknown))  # a damaged file may name anything
        problem = f"of another schema (column {named}); {kind.other}"
        raise ShardError(path, problem) from None
    except (OSError, ValueError, pa.ArrowException) as error:
        # The message of the library may quote what it read.
        raise ShardError(path, f"damaged or cut off ({type(error).__name__}); {kind.remedy}") from None
