"""Whether SQLite would read all of a write-ahead journal: it takes what follows a damaged frame for never written."""

import contextlib
import os
import sqlite3
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from mics_ray.models.types import Reply
from mics_ray.private_files import create_private

LAYOUT = 2
PAGE = 8192
"""Bytes: replies of 1.5 kB fill it to nine tenths."""
SCHEMA = """CREATE TABLE IF NOT EXISTS replies (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, model TEXT NOT NULL,
    stored INTEGER NOT NULL, size INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    crc INTEGER NOT NULL, finish TEXT NOT NULL, text TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS replies_by_model ON replies (model, stored, size, prompt_tokens, completion_tokens);"""
SELECT = "SELECT text, finish, prompt_tokens, completion_tokens{crc} FROM replies WHERE key = ?"
_OLD_ROWS = """(SELECT key, model, 0 AS stored, length(CAST(text AS BLOB)) AS size, prompt_tokens, completion_tokens,
    NULL AS crc, finish, text FROM replies)"""

Row = tuple[bytes, str, int, int, int, int, int, str, str]
"""The columns of :data:`SCHEMA` but ``id``, in its order."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is spoken to: ``rows`` is a table expression with the columns of :data:`Row` (``stored`` 0 and ``crc``
    null where they are not known)."""

    select: str
    insert: str
    rows: str
    dated: bool


NEW = Layout(
    SELECT.format(crc=", crc"),
    "INSERT OR REPLACE INTO replies (key, model, stored, size, prompt_tokens, completion_tokens, crc, finish, text)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    "replies",
    True,
)
OLD = Layout(
    SELECT.format(crc=", NULL"),
    "INSERT OR REPLACE INTO replies (key, model, prompt_tokens, completion_tokens, finish, text)"
    " VALUES (?1, ?2, ?5, ?6, ?8, ?9)",
    _OLD_ROWS,
    False,
)


def reply_checksum(key: bytes, text: str, finish: str, prompt_tokens: int, completion_tokens: int) -> int:
    """CRC-32 of a reply: SQLite has no checksum of its own, and a flipped bit in a text would go unseen."""
    told = f"{finish}\0{prompt_tokens}\0{completion_tokens}\0{text}"
    return zlib.crc32(told.encode("utf-8", "surrogatepass"), zlib.crc32(key))


class DamagedReply(Exception):
    """What lies under a key is not what was stored."""


def read_reply(connection: sqlite3.Connection, select: str, key: bytes) -> Reply | None:
    """The reply under ``key``, marked as cached and costing nothing; ``select`` is the layout's of that file.

    Raises :class:`DamagedReply`, also where the database cannot be read at that place.
    """
    try:
        row = connection.execute(select, (key,)).fetchone()
    except sqlite3.DatabaseError as error:
        raise DamagedReply(str(error)) from None
    if row is None:
        return None
    text, finish, prompt_tokens, completion_tokens, crc = row
    if crc is not None and crc != reply_checksum(key, text, finish, prompt_tokens, completion_tokens):
        raise DamagedReply("checksum")
    return Reply(text, finish, prompt_tokens, completion_tokens, cached=True)


def layout(connection: sqlite3.Connection) -> Layout:
    """The layout of an open file. Raises :class:`sqlite3.DatabaseError` where it holds no replies or is damaged."""
    found = NEW if connection.execute("PRAGMA user_version").fetchone()[0] == LAYOUT else OLD
    connection.execute(found.select, (b"",)).fetchone()
    return found


def connect_writer(path: Path) -> sqlite3.Connection:
    """Make or take up a file to write to. Raises :class:`sqlite3.Error`."""
    create_private(path)
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        if not connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
            connection.execute(f"PRAGMA page_size = {PAGE}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that a full disk can be freed without a copy
            _keep_journal(connection)
            connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {LAYOUT}; COMMIT;")
        _keep_journal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        layout(connection)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a file to read, others may write to it meanwhile. Raises :class:`sqlite3.Error`."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    try:
        layout(connection)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def folder_bytes(folder: Path) -> int:
    """What the files of a cache take on the disk, journals and files that were set aside included."""
    total = 0
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):  # a journal that was folded in
            total += entry.stat().st_size if ".sqlite" in entry.name else 0
    return total


def _keep_journal(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.OperationalError):  # some network file systems cannot; the default journal can
        connection.execute("PRAGMA journal_mode = WAL")


_HEAD, _FRAME = struct.Struct(">8I"), struct.Struct(">6I")
_BIG_ENDIAN = 0x377F0683
_MASK = 0xFFFFFFFF


def count_lost_commits(journal: Path) -> int:
    """Commits that lie behind a frame whose checksum is wrong; a torn end, which nobody was promised, has none."""
    if not journal.exists() or journal.stat().st_size < _HEAD.size:
        return 0
    with journal.open("rb") as file:
        head = file.read(_HEAD.size)
        magic, _, page, _, salt, other, first, second = _HEAD.unpack(head)
        order = ">" if magic == _BIG_ENDIAN else "<"
        running, lost = _extend_checksum((0, 0), head[:24], order), 0
        whole = running == (first, second)
        while len(frame := file.read(_FRAME.size + page)) == _FRAME.size + page:
            _, size, one, two, first, second = _FRAME.unpack_from(frame)
            if (one, two) != (salt, other):
                break  # left over from before the journal began anew
            if whole:
                running = _extend_checksum(_extend_checksum(running, frame[:8], order), frame[_FRAME.size :], order)
                whole = running == (first, second)
            lost += not whole and size > 0
    return lost


def _extend_checksum(start: tuple[int, int], data: bytes, order: str) -> tuple[int, int]:
    """SQLite's running checksum."""
    first, second = start
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for one, two in zip(words, words, strict=True):
        first = (first + one + second) & _MASK
        second = (second + two + first) & _MASK
    return first, second
