"""One SQLite file of paid replies: its schema, how it is opened, and what damage of it would go unseen.

SQLite itself has no checksum of a row, and it takes what follows a damaged frame of its write-ahead journal for never
written. So every reply carries a checksum, and :func:`count_lost_commits` reads the journal the way SQLite does.
"""

import contextlib
import os
import sqlite3
import struct
import zlib
from pathlib import Path
from typing import Any

from mics_ray.models.types import Reply
from mics_ray.private_files import create_private

LAYOUT = 3  # in user_version; files of layout 2 lack the columns of TOKEN_DETAILS
PAGE = 8192
"""Bytes: replies of 1.5 kB fill it to nine tenths."""
SCHEMA = """CREATE TABLE IF NOT EXISTS replies (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, model TEXT NOT NULL,
    stored INTEGER NOT NULL, size INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL DEFAULT 0, reasoning_tokens INTEGER NOT NULL DEFAULT 0,
    crc INTEGER NOT NULL, finish TEXT NOT NULL, text TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS replies_by_model ON replies (model, stored, size, prompt_tokens, completion_tokens);"""
TOKEN_DETAILS, TOKEN_DETAILS_OF_LAYOUT_2 = "cached_tokens, reasoning_tokens", "0, 0"
TO_LAYOUT_3 = f"""BEGIN;
    ALTER TABLE replies ADD COLUMN cached_tokens INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE replies ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0;
    PRAGMA user_version = {LAYOUT}; COMMIT;"""
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
    prompt, completion, cached, reasoning = tokens
    if crc != reply_checksum(key, text, finish, (prompt, completion, cached, reasoning)):
        raise DamagedReply("checksum")
    return Reply(text, finish, prompt, completion, cached=True, cached_tokens=cached, reasoning_tokens=reasoning)


def _select_reply(connection: sqlite3.Connection, key: bytes) -> Any:
    # Tried at every call: the file's writer may bring it to this layout while it is open here.
    try:
        return connection.execute(SELECT_REPLY, (key,)).fetchone()
    except sqlite3.OperationalError:
        return connection.execute(SELECT_REPLY_OF_LAYOUT_2, (key,)).fetchone()


def name_token_details(connection: sqlite3.Connection) -> str:
    """The columns of cached and reasoning tokens of an open file; zeros in their place where it has none."""
    names = {name for _, name, *_ in connection.execute("PRAGMA table_info(replies)")}
    return TOKEN_DETAILS if names >= set(TOKEN_DETAILS.split(", ")) else TOKEN_DETAILS_OF_LAYOUT_2


def check_layout(connection: sqlite3.Connection) -> None:
    """Raise :class:`sqlite3.DatabaseError` where an open file holds no replies or is damaged."""
    _select_reply(connection, b"")


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
        check_layout(connection)  # before the journal mode, which is written into the file of whoever made it
        _keep_journal(connection)
        if name_token_details(connection) != TOKEN_DETAILS:
            connection.executescript(TO_LAYOUT_3)
        connection.execute("PRAGMA synchronous = FULL")  # NORMAL does not sync the journal at a commit
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a file to read, others may write to it meanwhile. Raises :class:`sqlite3.Error`."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    try:
        check_layout(connection)
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


# The journal's format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
_HEAD, _FRAME = struct.Struct(">8I"), struct.Struct(">6I")
_BIG_ENDIAN = 0x377F0683  # the magic number whose lowest bit says that checksums are over big-endian words
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
            lost += not whole and size > 0  # a size is in the last frame of a commit and in no other
    return lost


def _extend_checksum(start: tuple[int, int], data: bytes, order: str) -> tuple[int, int]:
    """SQLite's running checksum."""
    first, second = start
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for one, two in zip(words, words, strict=True):
        first = (first + one + second) & _MASK
        second = (second + two + first) & _MASK
    return first, second
