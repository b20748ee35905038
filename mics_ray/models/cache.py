"""Replies that were paid for, by content address: what one run asked, no later run pays for again.

SQLite, one file per writer in a shared folder, so that no two processes write one file; every reader looks into all
of them. The files are 0600, for they hold medical text.
"""

import asyncio
import contextlib
import logging
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mics_ray.models.types import Reply

log = logging.getLogger(__name__)

BATCH_S = 0.002  # how long the first of a batch waits for others to share its disk sync
SCHEMA = """CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, model TEXT NOT NULL, text TEXT NOT NULL,
    finish TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL) WITHOUT ROWID"""
SELECT = "SELECT text, finish, prompt_tokens, completion_tokens FROM replies WHERE key = ?"
INSERT = "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?)"

Row = tuple[bytes, str, str, str, int, int]


class ResponseCache:
    """The replies under ``folder``; this process writes ``<folder>/<name>.sqlite``. Used from one event loop."""

    def __init__(self, folder: Path, name: str) -> None:
        """Open or make the files. A damaged one is set aside. Raises :class:`OSError` where nothing can be written."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{name}.sqlite"
        self._writer = _open_writer(self._path)
        others = [path for path in sorted(folder.glob("*.sqlite")) if path != self._path]
        opened = {path: _open_reader(path) for path in [self._path, *others]}
        self._readers = {path: reader for path, reader in opened.items() if reader is not None}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"cache-{name}")
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None

    def get(self, key: bytes) -> Reply | None:
        """The reply under ``key``, marked as cached and costing nothing; ``None`` if nobody stored one."""
        for path, reader in list(self._readers.items()):
            try:
                row = reader.execute(SELECT, (key,)).fetchone()
            except sqlite3.DatabaseError as error:
                log.warning("response cache: a reply in %s cannot be read (%s)", path.name, error)
                continue
            if row is not None:
                text, finish, prompt_tokens, completion_tokens = row
                return Reply(text, finish, prompt_tokens, completion_tokens, cached=True)
        return None

    async def put(self, key: bytes, model: str, reply: Reply) -> None:
        """Store; returns when the reply is on disk. Raises :class:`OSError` where it cannot be written."""
        stored = asyncio.get_running_loop().create_future()
        row = (key, model, reply.text, reply.finish, reply.prompt_tokens, reply.completion_tokens)
        self._waiting.append((row, stored))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        await stored

    async def close(self) -> None:
        """Store what waits and close the files."""
        if self._flusher is not None:
            await self._flusher
        self._thread.shutdown()
        for connection in [*self._readers.values(), self._writer]:  # the last to close folds the journal in
            connection.close()

    async def _flush(self) -> None:
        """Commit batch after batch: what arrives during one disk sync shares the next."""
        await asyncio.sleep(BATCH_S)
        while self._waiting:
            batch, self._waiting = self._waiting, []
            error: OSError | None = None
            try:
                rows = [row for row, _ in batch]
                await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, rows)
            except OSError as raised:
                error = raised
            for _, stored in batch:
                if not stored.done():  # its waiter may be cancelled
                    stored.set_exception(error) if error else stored.set_result(None)

    def _commit(self, rows: list[Row]) -> None:
        """In the thread. A file that turns out to be damaged is replaced; what can be read of it still is."""
        try:
            try:
                _insert(self._writer, rows)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                self._writer.close()
                damaged = _set_aside(self._path, error)
                self._writer = _connect_writer(self._path)
                self._readers[damaged] = self._readers.pop(self._path)
                self._readers[self._path] = _connect_reader(self._path)
                _insert(self._writer, rows)
        except sqlite3.Error as error:
            raise OSError(f"response cache {self._path.name}: {error}") from None


def _insert(connection: sqlite3.Connection, rows: list[Row]) -> None:
    with connection:
        connection.executemany(INSERT, rows)


def _open_writer(path: Path) -> sqlite3.Connection:
    try:
        return _connect_writer(path)
    except sqlite3.OperationalError as error:
        raise OSError(f"response cache {path.name}: {error}") from None
    except sqlite3.DatabaseError as error:
        _set_aside(path, error)
        return _connect_writer(path)


def _connect_writer(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        with contextlib.suppress(sqlite3.OperationalError):  # some network file systems cannot; the default journal can
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(SCHEMA)
        connection.execute(SELECT, (b"",))
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _open_reader(path: Path) -> sqlite3.Connection | None:
    try:
        return _connect_reader(path)
    except sqlite3.OperationalError as error:
        log.warning("response cache: %s is left out (%s)", path.name, error)
    except sqlite3.DatabaseError as error:
        _set_aside(path, error)
    return None


def _connect_reader(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    try:
        connection.execute(SELECT, (b"",))
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _set_aside(path: Path, error: sqlite3.DatabaseError) -> Path:
    """Rename a damaged file and its journals, whose pages must not be replayed into its successor."""
    number = sum(1 for _ in path.parent.glob(f"{path.name}.damaged-*")) + 1
    log.warning("response cache: %s is damaged (%s) and set aside as .damaged-%d", path.name, error, number)
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{path}{suffix}.damaged-{number}")
    return path.with_name(f"{path.name}.damaged-{number}")
