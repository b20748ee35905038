"""Removing stored replies: :func:`plan_prune`, then :func:`prune_replies`.

The caller holds the run's lock. Rows go a few thousand at a time and a file shrinks in place, so that a full disk is no
obstacle.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mics_ray.models.replies.reply_log import LOG_SUFFIX, scan_log
from mics_ray.models.replies.store_care import file_disk_bytes, list_all_files
from mics_ray.models.replies.store_file import connect_reader, folder_bytes, list_store_files

CHUNK = 5000
MINUTE = 60
_MINUTES = "SELECT model, stored / 60, COUNT(*), SUM(size) FROM replies GROUP BY 1, 2"
_DELETE = """DELETE FROM replies WHERE id IN (SELECT id FROM replies
    WHERE (?1 IS NULL OR model = ?1) AND stored < ?2 LIMIT ?3)"""


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What goes: replies of ``model`` (``None``: of all) stored before ``before`` (Unix seconds); how many by model,
    and about how many bytes of the disk."""

    model: str | None
    before: int
    entries: Counter[str]
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class _MinuteShare:
    """Replies of one model and minute in one file, and their share of its bytes."""

    minute: int
    model: str
    entries: int
    bytes: float


def plan_prune(folder: Path, model: str | None, before: int, down_to: int | None = None) -> PrunePlan:
    """What a prune would remove; with ``down_to`` (bytes of the whole folder) the oldest, to the minute, and no more.

    Raises :class:`sqlite3.Error` where a file cannot be read.
    """
    shares = sorted(
        (share for path in list_all_files(folder) for share in _measure_minutes(path)), key=lambda share: share.minute
    )
    shares = [share for share in shares if model in (None, share.model) and share.minute * MINUTE < before]
    if down_to is not None:
        before = min(before, _find_cutoff(shares, folder_bytes(folder) - down_to))
    gone = [share for share in shares if (share.minute + 1) * MINUTE <= before]
    entries: Counter[str] = Counter()
    for share in gone:
        entries[share.model] += share.entries
    return PrunePlan(model, before // MINUTE * MINUTE, entries, round(sum(share.bytes for share in gone)))


def prune_replies(folder: Path, plan: PrunePlan) -> int:
    """Remove it from the closed files; returns how many replies went. Raises :class:`sqlite3.Error`."""
    return sum(_prune_file(path, plan) for path in list_store_files(folder))


def _find_cutoff(shares: Sequence[_MinuteShare], excess: float) -> int:
    """The time before which replies must go so that ``excess`` bytes are freed."""
    end = 0
    for share in shares:
        if excess <= 0:
            break
        excess -= share.bytes
        end = (share.minute + 1) * MINUTE
    return end


def _measure_minutes(path: Path) -> list[_MinuteShare]:
    if path.suffix == LOG_SUFFIX:
        return _measure_log(path)
    with closing(connect_reader(path)) as connection:
        found = connection.execute(_MINUTES).fetchall()
    share = file_disk_bytes(path) / max(1, sum(size for *_, size in found))
    return [_MinuteShare(minute, model, count, size * share) for model, minute, count, size in found]


def _measure_log(path: Path) -> list[_MinuteShare]:
    counted: dict[tuple[str, int], list[int]] = {}
    for _, row in scan_log(path):
        if row is not None:
            both = counted.setdefault((row[1], row[2] // MINUTE), [0, 0])
            both[0] += 1
            both[1] += row[3]
    share = path.stat().st_size / max(1, sum(size for _, size in counted.values()))
    return [_MinuteShare(minute, model, count, size * share) for (model, minute), (count, size) in counted.items()]


def _prune_file(path: Path, plan: PrunePlan) -> int:
    gone = 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # no shared memory in files of earlier versions
        while True:
            with connection:
                went = connection.execute(_DELETE, (plan.model, plan.before, CHUNK)).rowcount
            gone += went
            if went < CHUNK:
                break
        if gone:
            _shrink_file(connection)
    return gone


def _shrink_file(connection: sqlite3.Connection) -> None:
    """Give free pages back to the disk, a few at a time so that the journal stays small too."""
    while connection.execute("PRAGMA freelist_count").fetchone()[0]:
        connection.executescript(f"PRAGMA incremental_vacuum({CHUNK})")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
