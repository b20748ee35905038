"""Removing replies from a response cache: what would go, and letting it go so that the disk is free afterwards.

Nobody may be writing there: the caller holds the run's lock. Replies whose age is not noted count as old as the last
write to their file. Rows go a few thousand at a time and a file shrinks in place, so a full disk is no obstacle; only a
file of the older layout is written anew, which needs room for what is left of it.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mics_ray.models.cache_file import connect_reader, folder_bytes, layout
from mics_ray.models.cache_stats import disk_bytes, files

CHUNK = 5000
MINUTE = 60
_MINUTES = "SELECT model, stored / 60, COUNT(*), SUM(size) FROM {rows} GROUP BY 1, 2"
_DELETE = """DELETE FROM replies WHERE {id} IN (SELECT {id} FROM {rows} WHERE (?1 IS NULL OR model = ?1)
    AND (CASE stored WHEN 0 THEN ?2 ELSE stored END) < ?3 LIMIT ?4)"""


@dataclass(frozen=True, slots=True)
class Doomed:
    """What goes: replies of ``model`` (``None``: of all) stored before ``before`` (Unix seconds); how many by model,
    and about how many bytes of the disk."""

    model: str | None
    before: int
    entries: Counter[str]
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class _Heap:
    """Replies of one model and minute in one file, and their share of its bytes."""

    minute: int
    model: str
    entries: int
    bytes: float


def select(folder: Path, model: str | None, before: int, down_to: int | None = None) -> Doomed:
    """What a prune would remove; with ``down_to`` (bytes of the whole folder) the oldest, to the minute, and no more.

    Raises :class:`sqlite3.Error` where a file cannot be read.
    """
    heaps = sorted((heap for path in files(folder) for heap in _heaps(path)), key=lambda heap: heap.minute)
    heaps = [heap for heap in heaps if model in (None, heap.model) and heap.minute * MINUTE < before]
    if down_to is not None:
        before = min(before, _cutoff(heaps, folder_bytes(folder) - down_to))
    gone = [heap for heap in heaps if (heap.minute + 1) * MINUTE <= before]
    entries: Counter[str] = Counter()
    for heap in gone:
        entries[heap.model] += heap.entries
    return Doomed(model, before // MINUTE * MINUTE, entries, round(sum(heap.bytes for heap in gone)))


def prune(folder: Path, doomed: Doomed) -> int:
    """Remove it; returns how many replies went. Raises :class:`sqlite3.Error`."""
    return sum(_prune(path, doomed) for path in files(folder))


def _cutoff(heaps: Sequence[_Heap], excess: float) -> int:
    """The time before which replies must go so that ``excess`` bytes are freed."""
    end = 0
    for heap in heaps:
        if excess <= 0:
            break
        excess -= heap.bytes
        end = (heap.minute + 1) * MINUTE
    return end


def _heaps(path: Path) -> list[_Heap]:
    with closing(connect_reader(path)) as connection:
        found = connection.execute(_MINUTES.format(rows=layout(connection).rows)).fetchall()
    share = disk_bytes(path) / max(1, sum(size for *_, size in found))
    unknown = int(path.stat().st_mtime) // MINUTE
    return [_Heap(minute or unknown, model, count, size * share) for model, minute, count, size in found]


def _prune(path: Path, doomed: Doomed) -> int:
    unknown, gone = int(path.stat().st_mtime), 0
    with closing(sqlite3.connect(path)) as connection:
        form = layout(connection)
        delete = _DELETE.format(id="id" if form.dated else "key", rows=form.rows)
        while True:
            with connection:
                went = connection.execute(delete, (doomed.model, unknown, doomed.before, CHUNK)).rowcount
            gone += went
            if went < CHUNK:
                break
        if gone:
            _shrink(connection, form.dated)
    return gone


def _shrink(connection: sqlite3.Connection, in_place: bool) -> None:
    """Give free pages back to the disk, a few at a time so that the journal stays small too."""
    if not in_place:
        connection.execute("VACUUM")
    while in_place and connection.execute("PRAGMA freelist_count").fetchone()[0]:
        connection.executescript(f"PRAGMA incremental_vacuum({CHUNK})")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
