"""The replies that a run recorded, read only: a model that answers from them and from nothing else."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from mics_ray.models.replies.store_file import DamagedReply, check_layout, read_reply
from mics_ray.models.types import Pictures, Reply, Request


class ReplyNotRecorded(Exception):
    """The record holds no reply to a request to ``entry``. No lost call: a search must not go on without the reply."""

    def __init__(self, entry: str) -> None:
        super().__init__(entry)
        self.entry = entry


class RecordedReplyDamaged(ReplyNotRecorded):
    """What the record holds for a request to ``entry`` is not what was stored, and no other file holds it whole."""


@dataclass(slots=True)
class RecordedReplies:
    """All response caches of a run's folder. Makes, changes and renames no file; ``problems`` by file name.

    Nobody may be writing there: the caller holds the run's lock.
    """

    folder: Path
    problems: dict[str, str] = field(default_factory=dict)
    _files: dict[str, sqlite3.Connection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in sorted(self.folder.glob("*.sqlite")):
            try:
                self._files[path.name] = _open_unchanged(path)
            except sqlite3.Error as error:
                self.problems[path.name] = str(error)

    def find_reply(self, key: bytes) -> Reply | None:
        """The reply under ``key``, at no cost; ``None`` where no file holds one.

        Raises :class:`mics_ray.models.replies.store_file.DamagedReply` where the only one is damaged.
        """
        damage: DamagedReply | None = None
        for connection in self._files.values():
            try:
                reply = read_reply(connection, key)
            except DamagedReply as found:
                damage = found
                continue
            if reply is not None:
                return reply
        if damage is not None:
            raise damage
        return None

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """See :class:`mics_ray.models.types.Model`. Raises :class:`ReplyNotRecorded`, :class:`RecordedReplyDamaged`."""
        try:
            reply = self.find_reply(request.key)
        except DamagedReply:
            raise RecordedReplyDamaged(request.entry) from None
        if reply is None:
            raise ReplyNotRecorded(request.entry)
        return reply

    def close(self) -> None:
        """Close the files."""
        for connection in self._files.values():
            connection.close()


def _open_unchanged(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. A file without a journal is read as it lies, so that
    none is made beside it."""
    journal = path.with_name(f"{path.name}-wal")
    plain = not (journal.exists() and journal.stat().st_size)
    mode = "immutable=1" if plain else "mode=ro"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, check_same_thread=False)
    try:
        check_layout(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
