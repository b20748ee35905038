"""The replies that a run recorded, read only: a model that answers from them and from nothing else."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from mics_ray.models.types import Pictures, Reply, Request

_SELECT = "SELECT text, finish, prompt_tokens, completion_tokens FROM replies WHERE key = ?"


class BeyondRecord(Exception):
    """The record holds no reply to a request to ``entry``. No lost call: a search must not go on without the reply."""

    def __init__(self, entry: str) -> None:
        super().__init__(entry)
        self.entry = entry


@dataclass(slots=True)
class Record:
    """All response caches of a run's folder. Makes, changes and renames no file; ``problems`` by file name.

    Nobody may be writing there: the caller holds the run's lock.
    """

    folder: Path
    problems: dict[str, str] = field(default_factory=dict)
    _files: dict[str, sqlite3.Connection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in sorted(self.folder.glob("*.sqlite")):
            try:
                self._files[path.name] = _open(path)
            except sqlite3.Error as error:
                self.problems[path.name] = str(error)

    def get(self, key: bytes) -> Reply | None:
        """The reply under ``key``, at no cost; ``None`` where no file holds one that can be read."""
        for name, connection in self._files.items():
            try:
                row = connection.execute(_SELECT, (key,)).fetchone()
            except sqlite3.Error as error:
                self.problems[name] = str(error)
                continue
            if row is not None:
                text, finish, prompt_tokens, completion_tokens = row
                return Reply(text, finish, prompt_tokens, completion_tokens, cached=True)
        return None

    async def ask(self, request: Request, pictures: Pictures | None) -> Reply:
        """See :class:`mics_ray.models.types.Model`. Raises :class:`BeyondRecord`."""
        reply = self.get(request.key)
        if reply is None:
            raise BeyondRecord(request.entry)
        return reply

    def close(self) -> None:
        """Close the files."""
        for connection in self._files.values():
            connection.close()


def _open(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. A file without a journal is read as it lies, so that none is made beside it."""
    journal = path.with_name(f"{path.name}-wal")
    plain = not (journal.exists() and journal.stat().st_size)
    mode = "immutable=1" if plain else "mode=ro"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, check_same_thread=False)
    try:
        connection.execute(_SELECT, (b"",))
    except sqlite3.Error:
        connection.close()
        raise
    return connection
