"""Logs become closed files, and small closed files of one writer become a larger one.

A file is written under another name, brought to the disk and renamed; only then do those go that it takes the place of.
So a reply lies in at least one file at any moment, and whoever is killed leaves no more than a file for ``*.tmp``.
"""

import contextlib
import logging
import os
import re
import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mics_ray.models.replies.earlier_file import has_journal
from mics_ray.models.replies.reply_log import LOG_SUFFIX, scan_log
from mics_ray.models.replies.store_file import (
    INSERT_REPLY,
    TOKEN_DETAILS,
    Row,
    close_earlier_file,
    create_file,
    list_store_files,
    name_token_details,
)
from mics_ray.private_files import sync_folder

log = logging.getLogger(__name__)

GROWTH = 2
"""A file is taken into one that is at least half as large: each reply is written again so often as a file doubles, and
a writer has one file for each doubling."""
SMALL = 2**20
"""Bytes that a file is counted as, where it is smaller."""
LARGEST = 4 * 10**9
"""Bytes of a file that is not taken into a larger one: the disk must hold both for a while."""
_COLUMNS = "key, model, stored, size, prompt_tokens, completion_tokens, {}, crc, finish, text"
_MERGE = f"INSERT OR REPLACE INTO main.replies ({_COLUMNS.format(TOKEN_DETAILS)}) SELECT {_COLUMNS} FROM part.replies"


@dataclass(frozen=True, slots=True)
class ClosedFile:
    """A file that was just written, and those whose place it takes; they are gone."""

    path: Path
    replaced: tuple[Path, ...]


class DamagedLog(Exception):
    """A log holds a record that is not whole: it stays as it is, and is read as far as it can be."""


def draw_name(folder: Path, name: str, suffix: str) -> Path:
    """A path for a file of the writer ``name`` that no other process draws."""
    return folder / f"{name}.{secrets.randbelow(10**15):015}{suffix}"


def list_logs(folder: Path) -> list[Path]:
    """The logs of a cache, of live and of dead writers."""
    return sorted(folder.glob(f"*{LOG_SUFFIX}"))


def name_writer(path: Path) -> str:
    """The name of the writer that made a file or log."""
    return re.sub(r"(\.\d{15})?\.(sqlite|replies)$", "", path.name)


def close_logs(folder: Path, name: str, logs: Sequence[Path], parts: Sequence[Path] = ()) -> ClosedFile:
    """Make a closed file of logs of the writer ``name`` and of ``parts``, other closed files of it.

    For that writer, or for who holds the run's lock. Raises :class:`OSError`, :class:`sqlite3.Error` and
    :class:`DamagedLog`, with all files as they were.
    """
    path = draw_name(folder, name, ".sqlite")
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with contextlib.closing(create_file(temporary)) as connection:
            for part in parts:
                _merge_file(connection, part)
            for one in logs:
                _insert_log(connection, one)
        _sync_file(temporary)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    replaced = (*parts, *logs)
    for one in replaced:
        one.unlink(missing_ok=True)
    return ClosedFile(path, replaced)


def tidy_folder(folder: Path) -> None:
    """Close what earlier sessions left open. For who holds the run's lock, before a writer starts.

    What cannot be closed stays and is read where it lies, with a warning.
    """
    for unfinished in folder.glob("*.sqlite.tmp"):
        unfinished.unlink(missing_ok=True)
    for path in list_store_files(folder):
        if has_journal(path):
            close_earlier_file(path)
    by_writer = defaultdict(list)
    for path in list_logs(folder):
        by_writer[name_writer(path)].append(path)
    for name, logs in by_writer.items():
        close_or_keep(folder, name, logs)


def close_or_keep(folder: Path, name: str, logs: Sequence[Path]) -> ClosedFile | None:
    """:func:`close_logs` with what is not much larger; where it fails a warning, and all files as they were."""
    try:
        try:
            return close_logs(folder, name, logs, _choose_parts(folder, name, logs))
        except sqlite3.DatabaseError:  # a damaged part stays, and is read as far as it can be
            return close_logs(folder, name, logs)
    except (OSError, sqlite3.Error, DamagedLog, UnicodeEncodeError) as error:  # SQLite takes no lone surrogate
        log.warning("response cache: the logs of %s stay open (%s)", name, error)
        return None


def _choose_parts(folder: Path, name: str, logs: Sequence[Path]) -> list[Path]:
    size = sum(one.stat().st_size for one in logs)
    found = [path for path in list_store_files(folder) if name_writer(path) == name and not has_journal(path)]
    parts: list[Path] = []
    for own, path in sorted((path.stat().st_size, path) for path in found):
        if own > GROWTH * max(size, SMALL) or own > LARGEST:
            break
        parts.append(path)
        size += own
    return parts


def _merge_file(connection: sqlite3.Connection, part: Path) -> None:
    connection.execute("ATTACH ? AS part", (f"{part.absolute().as_uri()}?immutable=1",))
    connection.execute(_MERGE.format(name_token_details(connection, "part")))
    connection.commit()
    connection.execute("DETACH part")


def _insert_log(connection: sqlite3.Connection, path: Path) -> None:
    rows = _read_whole_rows(path)
    connection.executemany(INSERT_REPLY, rows)
    connection.commit()


def _read_whole_rows(path: Path) -> Iterator[Row]:
    for _, row in scan_log(path):
        if row is None:
            raise DamagedLog(path.name)
        yield row


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
