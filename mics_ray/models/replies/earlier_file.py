"""Files that versions before the log wrote to in place, with a journal beside them that a killed process left.

SQLite shares the index of such a journal through memory, which two hosts do not have in common, and takes what follows
a damaged frame for never written. So they are read from a copy, and :func:`fold_journal` makes closed files of them.
"""

import contextlib
import shutil
import sqlite3
import struct
import tempfile
from pathlib import Path

JOURNALS = ("-wal", "-journal")


def has_journal(path: Path) -> bool:
    """Whether replies may lie in a journal beside ``path``."""
    return any((journal := Path(f"{path}{suffix}")).exists() and journal.stat().st_size for suffix in JOURNALS)


def connect_copy(path: Path) -> sqlite3.Connection:
    """Open a private copy, journals included, which is gone when the connection closes. Raises :class:`sqlite3.Error`.

    The file's writer may be at work on another host: a copy that is torn shows as damage, and harms nobody.
    """
    with tempfile.TemporaryDirectory(prefix="replies-") as folder:
        copy = Path(folder) / path.name
        try:
            for suffix in ("", *JOURNALS):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        except OSError as error:
            raise sqlite3.OperationalError(f"cannot be copied to {folder}: {error.strerror}") from None
        connection = sqlite3.connect(copy, check_same_thread=False)
        try:
            # One file, read through an open descriptor from here on, which outlives the folder.
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
            connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
    return connection


def fold_journal(path: Path) -> None:
    """Make a closed file of one that a killed process left, where it lies. Raises :class:`sqlite3.Error`, also where
    commits behind damage of the journal would be lost, with the file as it was."""
    if lost := count_lost_commits(Path(f"{path}-wal")):
        raise sqlite3.DatabaseError(f"it is damaged: {lost} commits of replies behind the damage cannot be read")
    connection = sqlite3.connect(path, timeout=1.0)
    try:
        # Alone: the journal's index is kept in this process, and no memory is shared through the file system.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    finally:
        connection.close()


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
