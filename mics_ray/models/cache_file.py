"""A file of the response cache: what is in it, and how it is opened.

A SQLite database ``<writer>.sqlite`` (WAL where the file system can, mode 0600), table ``replies``, a row a reply:
``key`` (:attr:`Request.key`, 32 bytes, unique), ``model``, ``stored`` (Unix seconds), ``size`` (bytes of the text),
``prompt_tokens``, ``completion_tokens``, ``crc`` (:func:`checksum`), ``finish``, ``text``. Rows lie in the order of
their arrival and are found by an index of keys; a second index answers what is asked about models and ages without
their texts. :func:`find` reads one reply and holds it against its checksum.

Files of another layout (``PRAGMA user_version`` 0: clustered by ``key``, no ``stored``, ``size``, ``crc``) are read and
continued as they are.
"""

import contextlib
import os
import sqlite3
import zlib
from dataclasses import dataclass
from pathlib import Path

from mics_ray.models.types import Reply

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


def checksum(key: bytes, text: str, finish: str, prompt_tokens: int, completion_tokens: int) -> int:
    """CRC-32 of a reply: SQLite has no checksum of its own, and a flipped bit in a text would go unseen."""
    told = f"{finish}\0{prompt_tokens}\0{completion_tokens}\0{text}"
    return zlib.crc32(told.encode("utf-8", "surrogatepass"), zlib.crc32(key))


class DamagedReply(Exception):
    """What lies under a key is not what was stored."""


def find(connection: sqlite3.Connection, select: str, key: bytes) -> Reply | None:
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
    if crc is not None and crc != checksum(key, text, finish, prompt_tokens, completion_tokens):
        raise DamagedReply("checksum")
    return Reply(text, finish, prompt_tokens, completion_tokens, cached=True)


def layout(connection: sqlite3.Connection) -> Layout:
    """The layout of an open file. Raises :class:`sqlite3.DatabaseError` where it holds no replies or is damaged."""
    found = NEW if connection.execute("PRAGMA user_version").fetchone()[0] == LAYOUT else OLD
    connection.execute(found.select, (b"",)).fetchone()
    return found


def connect_writer(path: Path) -> sqlite3.Connection:
    """Make or take up a file to write to. Raises :class:`sqlite3.Error`."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
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
