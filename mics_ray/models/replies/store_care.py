"""Looking after stored replies: what there is (:func:`collect_stats`) and what is damaged (:func:`check_files`).

Both go on beside a run that writes, on any host: they lock, change and make nothing.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mics_ray.models.replies.closing import list_logs
from mics_ray.models.replies.earlier_file import count_lost_commits
from mics_ray.models.replies.reply_log import LOG_SUFFIX, scan_log
from mics_ray.models.replies.store_file import (
    connect_reader,
    list_store_files,
    name_token_details,
    reply_checksum,
)

_BY_MODEL = """SELECT model, COUNT(*), SUM(size), SUM(prompt_tokens), SUM(completion_tokens),
    MIN(stored), MAX(stored) FROM replies GROUP BY model"""


@dataclass(slots=True)
class ReplyTally:
    """Replies of one model: ``text_bytes`` of their texts, Unix seconds of the first and last (``None``: of none)."""

    entries: int = 0
    text_bytes: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    oldest: int | None = None
    newest: int | None = None

    def add_tally(self, other: "ReplyTally") -> None:
        """Count ``other`` in."""
        self.entries += other.entries
        self.text_bytes += other.text_bytes
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.oldest = min((at for at in (self.oldest, other.oldest) if at is not None), default=None)
        self.newest = max((at for at in (self.newest, other.newest) if at is not None), default=None)


@dataclass(slots=True)
class FileStats:
    """One file: its bytes on the disk, journal included, and its replies by model; ``problem`` where it is damaged."""

    name: str
    disk_bytes: int
    models: dict[str, ReplyTally] = field(default_factory=dict)
    problem: str | None = None


Found = TypeVar("Found")


def list_all_files(folder: Path) -> list[Path]:
    """The closed files and open logs of a cache, in order of their names; not those that were set aside."""
    return sorted([*list_store_files(folder), *list_logs(folder)])


def file_disk_bytes(path: Path) -> int:
    """A file's bytes on the disk, its journals included."""
    return sum(one.stat().st_size for suffix in ("", "-wal", "-journal") if (one := Path(f"{path}{suffix}")).exists())


def collect_stats(folder: Path) -> list[FileStats]:
    """Look into every file; a run may be writing meanwhile."""
    return _look_into_files(folder, _tally_file)


def total_by_model(found: list[FileStats]) -> dict[str, ReplyTally]:
    """The same over all files."""
    total: dict[str, ReplyTally] = {}
    for file in found:
        for model, tally in file.models.items():
            total.setdefault(model, ReplyTally()).add_tally(tally)
    return dict(sorted(total.items()))


def _tally_file(path: Path) -> FileStats:
    found = FileStats(path.name, file_disk_bytes(path))
    if path.suffix == LOG_SUFFIX:
        _tally_log(path, found)
        return found
    try:
        connection = connect_reader(path)
        try:
            rows = connection.execute(_BY_MODEL)
            found.models = {model: ReplyTally(*values) for model, *values in rows}
        finally:
            connection.close()
    except sqlite3.Error as error:
        found.problem = str(error)
    return found


def _look_into_files(folder: Path, look: Callable[[Path], Found]) -> list[Found]:
    """What ``look`` finds in each file; once more from the start where a run has put one into another meanwhile."""
    while True:
        paths = list_all_files(folder)
        try:
            found = [look(path) for path in paths]
        except FileNotFoundError:
            continue
        if all(path.exists() for path in paths):
            return found


def _tally_log(path: Path, found: FileStats) -> None:
    damaged = 0
    for _, row in scan_log(path):
        if row is None:
            damaged += 1
            continue
        _, model, stored, size, prompt, completion, *_ = row
        tally = ReplyTally(1, size, prompt, completion, stored, stored)
        found.models.setdefault(model, ReplyTally()).add_tally(tally)
    found.problem = f"{damaged} damaged" if damaged else None


KEY_BYTES = 32
COLUMNS = (
    "key", "model", "stored", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "finish",
    "text",
)  # fmt: skip
_ROWS = "SELECT key, model, stored, prompt_tokens, completion_tokens, {}, finish, text, crc FROM replies"


@dataclass(slots=True)
class FileCheck:
    """One file: rows read, how many of them are damaged, and what is wrong with the whole."""

    name: str
    rows: int = 0
    damaged: int = 0
    problem: str | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem is None and not self.damaged


def check_files(folder: Path) -> list[FileCheck]:
    """Check every file, one row in memory at a time."""
    return _look_into_files(folder, _check_file)


def list_set_aside(folder: Path) -> list[str]:
    """The files that a run found damaged and set aside."""
    return sorted(path.name for path in folder.glob("*.sqlite.damaged-*"))


def read_sound_replies(path: Path, found: FileCheck) -> Iterator[dict[str, Any]]:
    """The replies of one file with the columns :data:`COLUMNS`, in their order.

    Damaged rows are left out; ``found`` counts them. Raises :class:`sqlite3.Error`, :class:`OSError`.
    """
    for row in _read_log_rows(path) if path.suffix == LOG_SUFFIX else _read_raw_rows(path):
        found.rows += 1
        if row is None or _find_row_problem(row) is not None:
            found.damaged += 1
        else:
            key, model, stored, *tokens, finish, text, _ = row
            values = key.hex(), model.decode(), stored, *tokens, finish.decode(), text.decode("utf-8", "surrogatepass")
            yield dict(zip(COLUMNS, values, strict=True))


def _check_file(path: Path) -> FileCheck:
    found = FileCheck(path.name)
    if path.suffix == LOG_SUFFIX:
        for _ in read_sound_replies(path, found):
            pass
        return found
    try:
        connection = connect_reader(path)
        try:
            report = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        finally:
            connection.close()
        found.problem = None if report == "ok" else "the database is damaged (integrity check)"
        for row in _read_raw_rows(path):
            found.rows += 1
            found.damaged += _find_row_problem(row) is not None
        if lost := count_lost_commits(Path(f"{path}-wal")):
            found.problem = f"its journal is damaged: {lost} commits of replies behind the damage are lost"
    except sqlite3.Error as error:
        found.problem = str(error)
    return found


def _read_log_rows(path: Path) -> Iterator[tuple[Any, ...] | None]:
    """As :func:`_read_raw_rows`; ``None`` for a record that is not whole."""
    for _, row in scan_log(path):
        if row is None:
            yield None
            continue
        key, model, stored, _, *tokens, crc, finish, text = row
        yield key, model.encode(), stored, *tokens, finish.encode(), text.encode("utf-8", "surrogatepass"), crc


def _read_raw_rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """Rows with texts as the bytes that lie there, so that a broken one is found instead of raised."""
    connection = connect_reader(path)
    details = name_token_details(connection)
    connection.text_factory = bytes
    try:
        yield from connection.execute(_ROWS.format(details))
    finally:
        connection.close()


def _find_row_problem(row: tuple[Any, ...]) -> str | None:
    key, model, stored, prompt, completion, cached, reasoning, finish, text, crc = row
    tokens = prompt, completion, cached, reasoning
    if not (isinstance(key, bytes) and len(key) == KEY_BYTES):
        return "key"
    if not all(isinstance(number, int) and number >= 0 for number in (stored, *tokens)):
        return "number"
    try:
        model.decode()
        content = text.decode(), finish.decode()
    except (UnicodeDecodeError, AttributeError):
        return "text"
    return None if crc == reply_checksum(key, *content, tokens) else "checksum"
