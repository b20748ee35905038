"""The replies that a run recorded, read only: a model that answers from them and from nothing else."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mics_ray.models.replies.closing import list_logs
from mics_ray.models.replies.reply_log import LeftLog
from mics_ray.models.replies.store_file import DamagedReply, connect_reader, list_store_files, read_reply
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
    _logs: list[LeftLog] = field(default_factory=list)
    _finders: list[Callable[[bytes], Reply | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for path in list_store_files(self.folder):
            try:
                self._files[path.name] = connect_reader(path)
            except sqlite3.Error as error:
                self.problems[path.name] = str(error)
        for path in list_logs(self.folder):
            try:
                self._logs.append(LeftLog(path))
            except OSError as error:
                self.problems[path.name] = error.strerror or str(error)
        self._finders += [partial(read_reply, connection) for connection in self._files.values()]
        self._finders += [one.find_reply for one in self._logs]

    def find_reply(self, key: bytes) -> Reply | None:
        """The reply under ``key``, at no cost; ``None`` where no file holds one.

        Raises :class:`mics_ray.models.replies.store_file.DamagedReply` where the only one is damaged.
        """
        damage: DamagedReply | None = None
        for find in self._finders:
            try:
                reply = find(key)
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
        for one in self._logs:
            one.close()
