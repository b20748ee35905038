"""Replies that were paid for, by content address: what one run asked, no later run pays for again.

SQLite, one file per writer in a shared folder (:mod:`~mics_ray.models.replies.store_file`), so that no two processes
write one file; every reader looks into all of them. The files are 0600, for they hold medical text. Nothing is held in
memory but SQLite's page cache (2 MB a file), so opening takes as long with ten million replies as with ten.
"""

import asyncio
import contextlib
import errno
import logging
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mics_ray.models.replies.store_file import (
    INSERT_REPLY,
    DamagedReply,
    Row,
    connect_reader,
    connect_writer,
    folder_bytes,
    read_reply,
    reply_checksum,
)
from mics_ray.models.types import Reply
from mics_ray.private_files import make_private_folder

log = logging.getLogger(__name__)

BATCH_S = 0.01  # how long the first of a batch waits for others to share its disk sync
GB = 10**9


class ReplyStoreFull(OSError):
    """The folder has reached its limit, and the reply that is asked for is not in it."""

    def __init__(self, size: int, limit: int) -> None:
        reached = f"{size / GB:.3g} GB of replies, cache.max_gb={limit / GB:g}"
        super().__init__(errno.EDQUOT, f"{reached}; give more, or free some with scripts/cache.py prune")


class ReplyStore:
    """The replies under ``folder``; this process writes ``<folder>/<name>.sqlite``. Used from one event loop.

    With ``max_bytes`` no new reply is bought once the whole folder is that large: :meth:`find_reply` raises.
    Replies that are under way are stored all the same, for they are paid; nothing is ever dropped to make room.
    """

    def __init__(self, folder: Path, name: str, max_bytes: int | None = None) -> None:
        """Open or make the files. A damaged one is set aside. Raises :class:`OSError` where nothing can be written."""
        make_private_folder(folder)
        self._path = folder / f"{name}.sqlite"
        self._writer = _open_writer(self._path)
        others = [path for path in sorted(folder.glob("*.sqlite")) if path != self._path]
        opened = {path: _open_reader(path) for path in [self._path, *others]}
        self._readers = {path: reader for path, reader in opened.items() if reader is not None}
        self._folder, self._max_bytes = folder, max_bytes
        self._bytes = folder_bytes(folder)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"cache-{name}")
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None

    def find_reply(self, key: bytes) -> Reply | None:
        """The reply under ``key``, marked as cached and costing nothing; ``None`` if nobody stored one.

        Raises :class:`ReplyStoreFull` instead of ``None`` where a new reply would go beyond the limit.
        """
        for path in self._readers:
            if (reply := self._read_file(path, key)) is not None:
                return reply
        if self._max_bytes is not None and self._bytes >= self._max_bytes:
            raise ReplyStoreFull(self._bytes, self._max_bytes)
        return None

    async def store_reply(self, key: bytes, model: str, reply: Reply) -> None:
        """Store; returns when the reply is on disk. Raises :class:`OSError` where it cannot be written."""
        stored = asyncio.get_running_loop().create_future()
        self._waiting.append((_make_row(key, model, reply), stored))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_batches())
        await stored

    async def close(self) -> None:
        """Store what waits and close the files."""
        if self._flusher is not None:
            await self._flusher
        self._thread.shutdown()
        for connection in [*self._readers.values(), self._writer]:  # the last to close folds the journal in
            connection.close()

    def _read_file(self, path: Path, key: bytes) -> Reply | None:
        """What one file holds under ``key``; a reply that is damaged counts as none, and is asked for again."""
        try:
            return read_reply(self._readers[path], key)
        except DamagedReply as damage:
            log.warning("response cache: a reply in %s is damaged (%s)", path.name, damage)
            return None

    async def _flush_batches(self) -> None:
        """Commit batch after batch: what arrives during one disk sync shares the next."""
        await asyncio.sleep(BATCH_S)
        while self._waiting:
            batch, self._waiting = self._waiting, []
            error: OSError | None = None
            try:
                rows = [row for row, _ in batch]
                await asyncio.get_running_loop().run_in_executor(self._thread, self._commit_rows, rows)
            except OSError as raised:
                error = raised
            for _, stored in batch:
                if not stored.done():  # its waiter may be cancelled
                    stored.set_exception(error) if error else stored.set_result(None)

    def _commit_rows(self, rows: list[Row]) -> None:
        """In the thread. A file that turns out to be damaged is replaced; what can be read of it still is."""
        try:
            try:
                _insert_rows(self._writer, rows)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                self._replace_damaged(error)
                _insert_rows(self._writer, rows)
        except sqlite3.Error as error:
            raise OSError(errno.EIO, f"response cache {self._path.name}: {error}") from None
        if self._max_bytes is not None:
            self._bytes = folder_bytes(self._folder)

    def _replace_damaged(self, error: sqlite3.DatabaseError) -> None:
        """Set the damaged file aside, go on reading what can be read of it, and begin another."""
        self._writer.close()
        damaged = _set_aside(self._path, error)
        self._writer = connect_writer(self._path)
        self._readers = {
            self._path: connect_reader(self._path),
            damaged: self._readers[self._path],
            **{path: reader for path, reader in self._readers.items() if path != self._path},
        }


def _make_row(key: bytes, model: str, reply: Reply) -> Row:
    tokens = reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens, reply.reasoning_tokens
    crc = reply_checksum(key, reply.text, reply.finish, tokens)
    size = len(reply.text.encode("utf-8", "surrogatepass"))
    return (key, model, int(time.time()), size, *tokens, crc, reply.finish, reply.text)


def _insert_rows(connection: sqlite3.Connection, rows: list[Row]) -> None:
    with connection:
        connection.executemany(INSERT_REPLY, rows)


def _open_writer(path: Path) -> sqlite3.Connection:
    try:
        return connect_writer(path)
    except sqlite3.OperationalError as error:
        raise OSError(f"response cache {path.name}: {error}") from None
    except sqlite3.DatabaseError as error:
        _set_aside(path, error)
        return connect_writer(path)


def _open_reader(path: Path) -> sqlite3.Connection | None:
    try:
        return connect_reader(path)
    except sqlite3.OperationalError as error:
        log.warning("response cache: %s is left out (%s)", path.name, error)
    except sqlite3.DatabaseError as error:
        _set_aside(path, error)
    return None


def _set_aside(path: Path, error: sqlite3.DatabaseError) -> Path:
    """Rename a damaged file and its journals, whose pages must not be replayed into its successor."""
    number = sum(1 for _ in path.parent.glob(f"{path.name}.damaged-*")) + 1
    log.warning("response cache: %s is damaged (%s) and set aside as .damaged-%d", path.name, error, number)
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{path}{suffix}.damaged-{number}")
    return path.with_name(f"{path.name}.damaged-{number}")
