"""Committed results: Parquet shards, each of which is there whole or not at all. They alone say what is done."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mics_ray.core.display import make_one_line
from mics_ray.io.index.file_state import FileState, read_file_state
from mics_ray.io.index.ids import IdSet, hash_id
from mics_ray.io.index.shard_index import ShardEntry, ShardIndex
from mics_ray.io.parquet_files import open_parquet
from mics_ray.io.results.earlier_rows import Convert, UnknownSchema, make_converter
from mics_ray.io.results.python_rows import list_rows
from mics_ray.io.row_schema import BEFORE, SCHEMA
from mics_ray.private_files import replace_file, sync_folder

RESULTS = "results"
"""The folder of a run folder that holds its shards."""

_SHARD = re.compile(r"part-([0-9]{6,})\.parquet")
# Files set aside (part-000003.parquet.damaged) count too, so that their numbers are never given again.
_NUMBER = re.compile(r"part-([0-9]{6,})\.")
_LEVELS = r"\.list\.[^.]+"
_BATCH = 256
_OPENED = 4  # shards at a time whose keys alone are read


class ShardError(Exception):
    """A shard cannot be read: damaged, or of another schema. ``path`` is its file."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


@dataclass(frozen=True, slots=True)
class RowKind:
    """What the rows of a folder are: their Arrow schema, and the string column that is unique over all of them.

    ``remedy`` says what to do about a damaged shard, ``other`` about one of another schema, ``before`` what fields hold
    in rows that were written without them, by path. ``counted`` is a column of few values, counted over the folder.
    """

    schema: pa.Schema
    key: str
    remedy: str = "move it away and run again"
    before: Mapping[str, object] = field(default_factory=dict)
    other: str = "read it with the version of the code that wrote it"
    counted: str = ""

    def to_table(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """Rows as a table of the schema. Raises ``ValueError`` for a row with other columns, ``ArrowInvalid`` for
        values of other types."""
        rows = list(rows)
        for row in rows:
            # from_pylist fills missing columns with nulls and drops unknown ones without a word.
            if set(row) != set(self.schema.names):
                wrong = sorted(set(row) ^ set(self.schema.names))
                raise ValueError(f"columns of a row differ from the schema: {wrong}")
        return pa.Table.from_pylist(rows, schema=self.schema)


CASES = RowKind(
    SCHEMA,
    "case_id",
    remedy="scripts/verify.py run.dir=… --repair rebuilds its rows from the record",
    before=BEFORE,
    counted="outcome",
)


@dataclass(frozen=True, slots=True)
class Commit:
    """What one commit did: the shard (``None`` when there was nothing to write) and the keys of both kinds of rows."""

    path: Path | None
    written: tuple[str, ...]
    skipped: tuple[str, ...]


class ShardStore:
    """The one committing writer of a folder; the caller's lock sees to that."""

    def __init__(self, folder: Path, kind: RowKind = CASES) -> None:
        """Create or take up the folder, without what a killed writer left. Raises :class:`ShardError`, ``OSError``."""
        self._folder, self._kind = folder, kind
        # pyarrow loads pandas for its first table, 0.4 s: here, and not while others wait for a commit.
        kind.to_table(())
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # rows hold medical text, and mkdir's mode would not change a folder that exists
        for leftover in folder.glob("part-*.tmp"):
            leftover.unlink()
        found = read_committed(folder, kind)
        self._ids, self._counts = found.ids, found.counts
        self._index = _index_shards(folder, kind)
        self._indexed = keep_index(folder, found, kind)
        self._next = 1 + max((int(match[1]) for match in map(_NUMBER.match, os.listdir(folder)) if match), default=-1)

    @property
    def key(self) -> str:
        """The column that is unique over all rows of the folder."""
        return self._kind.key

    @property
    def counts(self) -> Counter[str]:
        """How often each value of the counted column stands in the committed rows."""
        return self._counts

    def commit(self, rows: Sequence[Mapping[str, Any]]) -> Commit:
        """Write the rows whose key has no committed row; nothing is visible unless all of them are on the disk.

        Raises ``OSError`` (disk full, say) with nothing committed.
        """
        key = self._kind.key
        fresh: list[Mapping[str, Any]] = []
        skipped: list[Mapping[str, Any]] = []
        batch = IdSet()
        for row in rows:
            # A batch of its own: ids count as committed only once the shard is on the disk.
            known = row[key] in self._ids or not batch.add(row[key])
            (skipped if known else fresh).append(row)
        path = self._write_shard(self._kind.to_table(fresh)) if fresh else None
        written = tuple(row[key] for row in fresh)
        for one in written:
            self._ids.add(one)
        # The rename itself is durable only when the folder is.
        if path:
            sync_folder(self._folder)
            self._note_shard(path, fresh)
        return Commit(path, written, tuple(row[key] for row in skipped))

    def _write_shard(self, table: pa.Table) -> Path:
        path = self._folder / f"part-{self._next:06d}.parquet"
        write_table(path, table)
        self._next += 1
        return path

    def _note_shard(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        entry = _make_entry(self._kind, path, read_file_state(path), rows)
        # Another object, for other threads may be reading the one that is there.
        self._counts = self._counts + Counter(entry.counts)
        try:
            if self._indexed:
                self._index.append_entry(entry)
        except OSError:
            # The rows are committed; without an entry they are read at the next start.
            self._indexed = False


def write_table(path: Path, table: pa.Table) -> None:
    """Write a shard through a temporary file beside it, which is brought to the disk, then renamed."""
    with replace_file(path, sync=True) as file:
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)


def list_shards(folder: Path) -> list[Path]:
    """The committed shards in the order of their numbers."""
    return [folder / name for name in _list_names(folder)]


def has_shards(folder: Path) -> bool:
    """Whether anything is committed in ``folder``."""
    return bool(_list_names(folder))


def _list_names(folder: Path) -> list[str]:
    names = [match for name in os.listdir(folder) if (match := _SHARD.fullmatch(name))] if folder.is_dir() else []
    return [match[0] for match in sorted(names, key=lambda match: int(match[1]))]


@dataclass(frozen=True, slots=True)
class Committed:
    """What the shards of a folder hold: the keys of their rows, and how often each value of the counted column.

    ``entries`` are what an index of them has; ``indexed``: the folder's index has just these.
    """

    ids: IdSet
    counts: Counter[str]
    entries: tuple[ShardEntry, ...]
    indexed: bool


def read_committed(folder: Path, kind: RowKind = CASES) -> Committed:
    """What is committed; only shards that the folder's index lacks are opened. Raises :class:`ShardError`."""
    names = _list_names(folder)
    known, only = _index_shards(folder, kind).find_entries(names)
    read = _read_entries(kind, [folder / name for name in names if name not in known])
    return _join_entries([*known.values(), *read], only and not read)


def keep_index(folder: Path, found: Committed, kind: RowKind = CASES) -> bool:
    """Bring the index up to date; whether it is. The caller holds the folder's writer lock."""
    if not found.indexed:
        try:
            _index_shards(folder, kind).write_entries(found.entries)
        except OSError:
            return False
    return True


def committed_ids(folder: Path, kind: RowKind = CASES) -> IdSet:
    """The keys of all committed rows, read from the shards themselves. Raises :class:`ShardError`."""
    return _join_entries(_read_entries(kind, list_shards(folder)), False).ids


def _index_shards(folder: Path, kind: RowKind) -> ShardIndex:
    # A shard of another schema is refused when it is read: entries that were made for one are nothing to go by.
    made_by = repr((kind.key, kind.counted, sorted(kind.before.items()))) + str(kind.schema)
    return ShardIndex(folder, hashlib.blake2b(made_by.encode(), digest_size=16).digest())


def _join_entries(entries: Sequence[ShardEntry], indexed: bool) -> Committed:
    ids, counts = IdSet(), Counter[str]()
    if entries:
        ids.add_hashes(np.concatenate([entry.hashes for entry in entries]))
    for entry in entries:
        counts.update(entry.counts)
    return Committed(ids, counts, tuple(entries), indexed)


def _read_entries(kind: RowKind, shards: Sequence[Path]) -> list[ShardEntry]:
    # To open a shard takes longer than to read its keys, and lets other threads run meanwhile.
    with ThreadPoolExecutor(_OPENED) as opened:
        return list(opened.map(partial(_read_entry, kind), shards))


def _read_entry(kind: RowKind, path: Path) -> ShardEntry:
    # Before it is read: what takes its place meanwhile is another file then.
    state = read_file_state(path)
    columns = [kind.key, kind.counted] if kind.counted else [kind.key]
    return _make_entry(kind, path, state, list(read_shard(path, columns, kind)))


def _make_entry(kind: RowKind, path: Path, state: FileState, rows: Sequence[Mapping[str, Any]]) -> ShardEntry:
    hashes = np.array([hash_id(row[kind.key]) for row in rows], np.uint64)
    counts = Counter(row[kind.counted] for row in rows) if kind.counted else {}
    return ShardEntry(path.name, state, hashes, dict(counts))


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
