"""Replies that were paid for, by content address: what one run asked, no later run pays for again.

A folder may lie on a disk that several hosts share (NFS, EFS, Lustre), and its writers run on several of them. So:

- Each writer, a process, appends to a log of its own (:mod:`~mics_ray.models.replies.reply_log`); a reply is on the
  disk before it is used. Nobody else writes to it, and reading it needs no lock.
- A log that is long enough, and the last one when its writer ends, becomes a closed SQLite file
  (:mod:`~mics_ray.models.replies.closing`). A closed file never changes, so it can be opened as immutable.
- What a killed writer left is read where it lies; the next session closes it under the run's lock.

SQLite written in place, as one file per writer, is no way: its write-ahead journal is indexed by memory that two hosts
do not share (the other host misses replies and takes a live file for damaged), its rollback journal needs locks that
many shared disks lack. A store on a local disk loses paid replies with the node; an actor that all replicas ask costs
a message a request.

The files are 0600, for they hold medical text. What is held in memory is where the replies of open logs lie (6 MB for
one of full length) and SQLite's page cache (2 MB a file), so opening takes as long with ten million replies as with
ten.
"""

import asyncio
import errno
import logging
import sqlite3
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from mics_ray.models.replies.closing import close_or_keep, draw_name, list_logs, name_writer
from mics_ray.models.replies.reply_log import LOG_SUFFIX, LeftLog, ReplyLog
from mics_ray.models.replies.store_file import (
    DamagedReply,
    Row,
    connect_reader,
    folder_bytes,
    list_store_files,
    read_reply,
    reply_checksum,
)
from mics_ray.models.types import Reply
from mics_ray.private_files import make_private_folder

log = logging.getLogger(__name__)

BATCH_S = 0.01
"""From one disk sync to the next, which what arrives meanwhile shares; a reply that comes alone waits for nothing."""
LONG_LOG = 32_000
"""Replies of a log that is closed into a file."""
LONG_LOG_BYTES = 2**27
GB = 10**9


class ReplyStoreFull(OSError):
    """The folder has reached its limit, and the reply that is asked for is not in it."""

    def __init__(self, size: int, limit: int) -> None:
        reached = f"{size / GB:.3g} GB of replies, cache.max_gb={limit / GB:g}"
        super().__init__(errno.EDQUOT, f"{reached}; give more, or free some with scripts/cache.py prune")


class ReplyStore:
    """The replies under ``folder``; this process writes those of ``name``. Used from one event loop.

    It looks up what writers whose name begins with ``kin`` had stored when it was opened, and all that it stores.

    With ``max_bytes`` no new reply is bought once the whole folder is that large: :meth:`find_reply` raises.
    Replies that are under way are stored all the same, for they are paid; nothing is ever dropped to make room.
    """

    def __init__(self, folder: Path, name: str, max_bytes: int | None = None, kin: str = "") -> None:
        """Open or make the files. Raises :class:`OSError` where nothing can be written."""
        make_private_folder(folder)
        self._folder, self._name, self._kin, self._max_bytes = folder, name, kin, max_bytes
        self._others: list[LeftLog] = []
        self._files: dict[Path, sqlite3.Connection] = {}
        self._full: list[ReplyLog] = []  # they wait to be closed into a file
        self._open_others()
        self._log: ReplyLog | None = self._begin_log()
        self._bytes = folder_bytes(folder)
        # Two threads: a reply must not wait while millions of others are copied.
        self._appending = ThreadPoolExecutor(1, thread_name_prefix=f"cache-{name}")
        self._closing = ThreadPoolExecutor(1, thread_name_prefix=f"closing-{name}")
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None

    def find_reply(self, key: bytes) -> Reply | None:
        """The reply under ``key``, marked as cached and costing nothing; ``None`` if nobody stored one.

        Raises :class:`ReplyStoreFull` instead of ``None`` where a new reply would go beyond the limit.
        """
        if (reply := self._search_logs(key) or self._search_files(key)) is not None:
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
        if self._log is not None and len(self._log):
            self._full.append(self._log)
        elif self._log is not None:
            self._log.close()
        self._log = None
        if self._closer is not None:
            await self._closer
        if self._full:
            await self._close_full_logs()
        self._appending.shutdown()
        self._closing.shutdown()
        for unclosed in self._full:
            unclosed.close()
        for other in self._others:
            other.close()
        for connection in self._files.values():
            connection.close()

    def _open_others(self) -> None:
        """Open what is there. Logs first: one that is closed meanwhile is among the files then."""
        while True:
            try:
                self._others = _open_logs(path for path in list_logs(self._folder) if self._is_read(path))
                self._files = _open_files(path for path in list_store_files(self._folder) if self._is_read(path))
            except FileNotFoundError:
                continue  # its writer has just put it into another file
            return

    def _is_read(self, path: Path) -> bool:
        name = name_writer(path)
        return name == self._name or name.startswith(self._kin)

    def _search_logs(self, key: bytes) -> Reply | None:
        for one in (self._log, *self._full, *self._others):
            try:
                if one is not None and (reply := one.find_reply(key)) is not None:
                    return reply
            except DamagedReply as damage:
                _warn_damaged(one.path, damage)  # type: ignore[union-attr]
        return None

    def _search_files(self, key: bytes) -> Reply | None:
        """A reply that is damaged counts as none, and is asked for again."""
        for path, connection in list(self._files.items()):
            try:
                if (reply := read_reply(connection, key)) is not None:
                    return reply
            except DamagedReply as damage:
                if path.exists():
                    _warn_damaged(path, damage)
                    continue
                # On another host's disk an open file may go: its replies are in the one that took its place.
                self._reopen_files()
                return self._search_files(key)
        return None

    def _reopen_files(self) -> None:
        for connection in self._files.values():
            connection.close()
        while True:
            try:
                self._files = _open_files(path for path in list_store_files(self._folder) if self._is_read(path))
            except FileNotFoundError:
                continue
            return

    def _begin_log(self) -> ReplyLog:
        return ReplyLog(draw_name(self._folder, self._name, LOG_SUFFIX))

    async def _flush_batches(self) -> None:
        """Commit batch after batch: what arrives until :data:`BATCH_S` after one disk sync shares the next."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            error: OSError | None = None
            try:
                rows = [row for row, _ in batch]
                await asyncio.get_running_loop().run_in_executor(self._appending, self._commit_rows, rows)
            except OSError as raised:
                error = raised
            for _, stored in batch:
                if not stored.done():  # its waiter may be cancelled
                    stored.set_exception(error) if error else stored.set_result(None)
            if self._log is not None and (len(self._log) >= LONG_LOG or self._log.size >= LONG_LOG_BYTES):
                self._retire_log()
            await asyncio.sleep(BATCH_S)

    def _commit_rows(self, rows: list[Row]) -> None:
        """In the thread."""
        try:
            if self._log is None:
                self._log = self._begin_log()
            self._log.append_rows(rows)
        except OSError as error:
            self._give_up_log()
            raise OSError(error.errno, f"response cache {self._name}: {error.strerror}") from None
        if self._max_bytes is not None:
            self._bytes = folder_bytes(self._folder)

    def _give_up_log(self) -> None:
        """After an error nothing is appended to it any more: what follows goes into another log."""
        if self._log is not None:
            given_up, self._log = self._log, None
            if len(given_up):
                self._full.append(given_up)
            else:
                given_up.close()

    def _retire_log(self) -> None:
        """Go on in another log, begun by the next reply, and close this one in the background."""
        self._give_up_log()
        if self._closer is None or self._closer.done():
            self._closer = asyncio.create_task(self._close_full_logs())

    async def _close_full_logs(self) -> None:
        logs = list(self._full)
        work = partial(close_or_keep, self._folder, self._name, [one.path for one in logs])
        closed = await asyncio.get_running_loop().run_in_executor(self._closing, work)
        if closed is None:
            return
        self._files |= _open_files([closed.path])
        self._full = [one for one in self._full if one not in logs]
        for one in logs:
            one.close()
        for path in closed.replaced:
            if (connection := self._files.pop(path, None)) is not None:
                connection.close()


def _make_row(key: bytes, model: str, reply: Reply) -> Row:
    tokens = reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens, reply.reasoning_tokens
    crc = reply_checksum(key, reply.text, reply.finish, tokens)
    size = len(reply.text.encode("utf-8", "surrogatepass"))
    return (key, model, int(time.time()), size, *tokens, crc, reply.finish, reply.text)


def _open_logs(paths: Iterable[Path]) -> list[LeftLog]:
    """Raises :class:`FileNotFoundError`."""
    opened = []
    for path in paths:
        try:
            opened.append(LeftLog(path))
        except FileNotFoundError:
            raise
        except OSError as error:
            log.warning("response cache: %s is left out (%s)", path.name, error.strerror)
            continue
        if opened[-1].damaged:
            log.warning("response cache: %d replies in %s are damaged", opened[-1].damaged, path.name)
    return opened


def _open_files(paths: Iterable[Path]) -> dict[Path, sqlite3.Connection]:
    """Raises :class:`FileNotFoundError`."""
    opened = {}
    for path in paths:
        try:
            opened[path] = connect_reader(path)
        except sqlite3.Error as error:
            if not path.exists():
                raise FileNotFoundError(path) from None
            log.warning("response cache: %s is left out (%s)", path.name, error)
    return opened


def _warn_damaged(path: Path, damage: DamagedReply) -> None:
    log.warning("response cache: a reply in %s is damaged (%s)", path.name, damage)
