"""One closed SQLite file of paid replies: its schema, how it is made and read.

A closed file never changes. It is opened as immutable: SQLite then takes no lock and makes no file beside it, so that
any host may read it on any file system. SQLite has no checksum of a row, so every reply carries one.
"""

import contextlib
import logging
import os
import sqlite3
import zlib
from pathlib import Path
from typing import Any

from mics_ray.models.replies.earlier_file import connect_copy, fold_journal, has_journal
from mics_ray.models.types import Reply
from mics_ray.private_files import create_private

log = logging.getLogger(__name__)

LAYOUT = 3  # in user_version; files of layout 2 lack the columns of TOKEN_DETAILS
PAGE = 8192
"""Bytes: replies of 1.5 kB fill it to nine tenths."""
SCHEMA = """CREATE TABLE IF NOT EXISTS replies (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, model TEXT NOT NULL,
    stored INTEGER NOT NULL, size INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL DEFAULT 0, reasoning_tokens INTEGER NOT NULL DEFAULT 0,
    crc INTEGER NOT NULL, finish TEXT NOT NULL, text TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS replies_by_model ON replies (model, stored, size, prompt_tokens, completion_tokens);"""
TOKEN_DETAILS, TOKEN_DETAILS_OF_LAYOUT_2 = "cached_tokens, reasoning_tokens", "0, 0"
SELECT = "SELECT text, finish, prompt_tokens, completion_tokens, {}, crc FROM replies WHERE key = ?"
SELECT_REPLY, SELECT_REPLY_OF_LAYOUT_2 = SELECT.format(TOKEN_DETAILS), SELECT.format(TOKEN_DETAILS_OF_LAYOUT_2)
INSERT_REPLY = """INSERT OR REPLACE INTO replies (key, model, stored, size, prompt_tokens, completion_tokens,
    cached_tokens, reasoning_tokens, crc, finish, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"""

Row = tuple[bytes, str, int, int, int, int, int, int, int, str, str]
"""The columns of :data:`SCHEMA` but ``id``, in its order."""

Tokens = tuple[int, int, int, int]
"""Of a reply: prompt, completion, cached, reasoning."""


def reply_checksum(key: bytes, text: str, finish: str, tokens: Tokens) -> int:
    """CRC-32 of a reply with its key: SQLite would hand a flipped bit in a text out as it lies."""
    # Without counts that are 0 in files of layout 2: what was stored there keeps its checksum.
    counted = tokens if any(tokens[2:]) else tokens[:2]
    content = "\0".join([finish, *map(str, counted), text])
    return zlib.crc32(content.encode("utf-8", "surrogatepass"), zlib.crc32(key))


class DamagedReply(Exception):
    """What lies under a key is not what was stored."""


def read_reply(connection: sqlite3.Connection, key: bytes) -> Reply | None:
    """The reply under ``key``, marked as cached and costing nothing.

    Raises :class:`DamagedReply`, also where the database cannot be read at that place.
    """
    try:
        row = _select_reply(connection, key)
    except sqlite3.DatabaseError as error:
        raise DamagedReply(str(error)) from None
    if row is None:
        return None
    text, finish, *tokens, crc = row
    return _build_reply(key, text, finish, tokens, crc)


def make_reply(row: Row) -> Reply:
    """The reply of a whole row, as :func:`read_reply` gives it. Raises :class:`DamagedReply`."""
    key, _, _, _, *tokens, crc, finish, text = row
    return _build_reply(key, text, finish, tokens, crc)


def _build_reply(key: bytes, text: str, finish: str, tokens: list[Any], crc: int) -> Reply:
    prompt, completion, cached, reasoning = tokens
    if crc != reply_checksum(key, text, finish, (prompt, completion, cached, reasoning)):
        raise DamagedReply("checksum")
    return Reply(text, finish, prompt, completion, cached=True, cached_tokens=cached, reasoning_tokens=reasoning)


def _select_reply(connection: sqlite3.Connection, key: bytes) -> Any:
    try:
        return connection.execute(SELECT_REPLY, (key,)).fetchone()
    except sqlite3.OperationalError:
        return connection.execute(SELECT_REPLY_OF_LAYOUT_2, (key,)).fetchone()


def name_token_details(connection: sqlite3.Connection, schema: str = "main") -> str:
    """The columns of cached and reasoning tokens of an open file; zeros in their place where it has none."""
    names = {name for _, name, *_ in connection.execute(f"PRAGMA {schema}.table_info(replies)")}
    return TOKEN_DETAILS if names >= set(TOKEN_DETAILS.split(", ")) else TOKEN_DETAILS_OF_LAYOUT_2


def check_layout(connection: sqlite3.Connection) -> None:
    """Raise :class:`sqlite3.DatabaseError` where an open file holds no replies or is damaged."""
    _select_reply(connection, b"")


def create_file(path: Path) -> sqlite3.Connection:
    """Make a file that nobody else knows of yet; it is not safe on the disk before its maker syncs it.

    Raises :class:`sqlite3.Error`.
    """
    create_private(path)
    # As an address, so that other files can be attached as immutable.
    connection = sqlite3.connect(path.absolute().as_uri(), uri=True, check_same_thread=False)
    connection.execute(f"PRAGMA page_size = {PAGE}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that a full disk can be freed without a copy
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {LAYOUT}; COMMIT;")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a closed file to read: without lock, journal or shared memory, and without making a file beside it.

    Raises :class:`sqlite3.Error`.
    """
    return _checked(connect_copy(path)) if has_journal(path) else _connect_unchanged(path)


def close_earlier_file(path: Path) -> None:
    """Fold the journal of a file of an earlier version in; for who holds the run's lock.

    One that holds no replies, whose journal is damaged or that somebody has open stays as it is, with a warning.
    """
    try:
        try:
            _connect_unchanged(path).close()
        except sqlite3.Error:  # all of it may still be in the journal
            _checked(connect_copy(path)).close()
        fold_journal(path)
    except sqlite3.Error as error:
        log.warning("response cache: the journal of %s cannot be folded in (%s)", path.name, error)


def _connect_unchanged(path: Path) -> sqlite3.Connection:
    return _checked(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True, check_same_thread=False))


def _checked(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        check_layout(connection)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def list_store_files(folder: Path) -> list[Path]:
    """The closed files of a cache, in order of their names; those that were set aside are not among them."""
    return sorted(folder.glob("*.sqlite"))


def folder_bytes(folder: Path) -> int:
    """What the files of a cache take on the disk, logs, journals and files that were set aside included."""
    total = 0
    for entry in os.scandir(folder):
        counted = ".sqlite" in entry.name or entry.name.endswith(".replies")
        with contextlib.suppress(FileNotFoundError):  # a log that was closed into a file
            total += entry.stat().st_size if counted and not entry.name.endswith(".tmp") else 0
    return total
