"""Whether every reply of a response cache is what was stored: the file's structure, each row's form and checksum.

The request itself is not stored, so a key cannot be derived again; the checksum covers the key with the reply.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mics_ray.models.cache_file import checksum, connect_reader, layout
from mics_ray.models.cache_journal import lost_commits
from mics_ray.models.cache_stats import files

KEY_BYTES = 32
COLUMNS = ("key", "model", "stored", "prompt_tokens", "completion_tokens", "finish", "text")
_ROWS = "SELECT key, model, stored, prompt_tokens, completion_tokens, finish, text, crc FROM {rows}"


@dataclass(slots=True)
class FileCheck:
    """One file: rows read, how many of them are damaged or carry no checksum, and what is wrong with the whole."""

    name: str
    rows: int = 0
    damaged: int = 0
    unchecked: int = 0
    problem: str | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem is None and not self.damaged


def verify(folder: Path) -> list[FileCheck]:
    """Check every file, one row in memory at a time."""
    return [_check(path) for path in files(folder)]


def set_aside(folder: Path) -> list[str]:
    """The files that a run found damaged and set aside."""
    return sorted(path.name for path in folder.glob("*.sqlite.damaged-*"))


def replies(path: Path, found: FileCheck) -> Iterator[dict[str, Any]]:
    """The replies of one file with the columns :data:`COLUMNS`, in their order; ``stored`` is ``None`` if not noted.

    Damaged rows are left out; ``found`` counts them. Raises :class:`sqlite3.Error`.
    """
    for row in _raw(path):
        found.rows += 1
        if _problem(row) is not None:
            found.damaged += 1
        else:
            key, model, stored, prompt_tokens, completion_tokens, finish, text, _ = row
            values = key.hex(), model.decode(), stored or None, prompt_tokens, completion_tokens
            yield dict(zip(COLUMNS, (*values, finish.decode(), text.decode()), strict=True))


def _check(path: Path) -> FileCheck:
    found = FileCheck(path.name)
    try:
        connection = connect_reader(path)
        try:
            told = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        finally:
            connection.close()
        found.problem = None if told == "ok" else "the database is damaged (integrity check)"
        for row in _raw(path):
            found.rows += 1
            found.damaged += _problem(row) is not None
            found.unchecked += row[-1] is None
        if lost := lost_commits(Path(f"{path}-wal")):
            found.problem = f"its journal is damaged: {lost} commits of replies behind the damage are lost"
    except sqlite3.Error as error:
        found.problem = str(error)
    return found


def _raw(path: Path) -> Iterator[tuple[Any, ...]]:
    """Rows with texts as the bytes that lie there, so that a broken one is found instead of raised."""
    connection = connect_reader(path)
    connection.text_factory = bytes
    try:
        yield from connection.execute(_ROWS.format(rows=layout(connection).rows))
    finally:
        connection.close()


def _problem(row: tuple[Any, ...]) -> str | None:
    key, model, stored, prompt_tokens, completion_tokens, finish, text, crc = row
    if not (isinstance(key, bytes) and len(key) == KEY_BYTES):
        return "key"
    if not all(isinstance(number, int) and number >= 0 for number in (stored, prompt_tokens, completion_tokens)):
        return "number"
    try:
        model.decode()
        told = text.decode(), finish.decode()
    except (UnicodeDecodeError, AttributeError):
        return "text"
    return None if crc is None or crc == checksum(key, *told, prompt_tokens, completion_tokens) else "checksum"
