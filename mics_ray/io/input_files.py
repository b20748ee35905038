"""The files that ``data.cases`` names: one, those of a folder, of a pattern, of a list; plain or gzip."""

import glob
import gzip
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

CasesGiven = str | Path | Sequence[str]
"""A file, a folder, a pattern (``*``, ``?``, ``[…]``, ``**``), or a list of these."""

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")
"""Of the files of a folder, those with one of these names, ``.gz`` behind it or not, hold cases."""

_GZIP = b"\x1f\x8b"
_PATTERN = frozenset("*?[")


class InputError(ValueError):
    """The cases cannot be read at all; the message names the file and says what to do."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of the input: its absolute path, what messages call it, and its number.

    ``number`` is 0 for the only file; of several it counts from 1 and is part of the ids of records without one.
    """

    path: str
    name: str
    number: int = 0

    def read_size(self) -> int:
        """Bytes on the disk. Raises :class:`InputError`."""
        try:
            return os.path.getsize(self.path)
        except OSError:
            raise InputError(f"{self.path}: cannot be read any more; is it on every machine of the cluster?") from None


def find_input_files(given: CasesGiven) -> tuple[InputFile, ...]:
    """The files in the order in which they are read: a list's order; within a folder or pattern that of their paths.

    Raises :class:`InputError`.
    """
    paths = [path for item in _list_given(given) for path in _expand(item)]
    for path in paths:
        _require_content(path)
    if len(set(paths)) < len(paths):
        twice = next(path for path, count in Counter(paths).items() if count > 1)
        raise InputError(f"{twice}: given twice; each of its records would be one too many")
    if len(paths) == 1:
        return (InputFile(paths[0], os.path.basename(paths[0])),)
    base = os.path.commonpath([os.path.dirname(path) for path in paths])
    return tuple(InputFile(path, os.path.relpath(path, base), number) for number, path in enumerate(paths, 1))


def list_folders(given: CasesGiven) -> list[str]:
    """The folders that hold the files, each once. Raises :class:`InputError`."""
    items = _list_given(given)
    found = dict.fromkeys(
        os.path.abspath(item) if os.path.isdir(item) else os.path.dirname(path)
        for item in items
        for path in ([os.path.abspath(item)] if not _is_pattern(item) else _expand(item))
    )
    return list(found)


def open_input(path: str) -> BinaryIO:
    """The bytes of a file, unpacked where it is gzip; seeking in those goes through everything before."""
    file = open(path, "rb")  # noqa: SIM115 - the caller's to close
    packed = file.read(2) == _GZIP
    file.seek(0)
    if not packed:
        return file
    file.close()
    return cast(BinaryIO, gzip.open(path, "rb"))


def open_mappable(path: str) -> BinaryIO:
    """:func:`open_input` as a file that can be mapped into memory: an unpacked copy, gone when it is closed."""
    file = open_input(path)
    if not isinstance(file, gzip.GzipFile):
        return file
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's to close
    with file:
        while piece := file.read(2**20):
            copy.write(piece)
    copy.flush()
    return cast(BinaryIO, copy)


def read_head(path: str, size: int = 4096) -> bytes:
    """The first bytes of a file, unpacked. Raises ``OSError`` and what gzip raises on damaged bytes."""
    with open_input(path) as file:
        return file.read(size)


def _list_given(given: CasesGiven) -> list[str]:
    items = [str(given)] if isinstance(given, str | Path) else list(given)
    if not items or not all(isinstance(item, str) and item for item in items):
        raise InputError("data.cases: name a file, a folder, a pattern, or a list of these")
    return items


def _is_pattern(item: str) -> bool:
    # A file may really be called "a[1].jsonl".
    return not _PATTERN.isdisjoint(item) and not os.path.lexists(item)


def _expand(item: str) -> list[str]:
    if _is_pattern(item):
        found = [path for path in glob.glob(item, recursive=True) if not os.path.isdir(path)]
        if not found:
            raise InputError(f"{item}: no file matches; check data.cases")
        return sorted(map(os.path.abspath, found))
    if not os.path.isdir(item):
        return [os.path.abspath(item)]
    names = sorted(name for name in os.listdir(item) if _holds_cases(item, name))
    if not names:
        raise InputError(f"{item}: no {', '.join(SUFFIXES)} file directly in this folder; give a pattern or the files")
    return [os.path.abspath(os.path.join(item, name)) for name in names]


def _holds_cases(folder: str, name: str) -> bool:
    plain = name.lower().removesuffix(".gz")
    return plain.endswith(SUFFIXES) and not name.startswith((".", "_")) and os.path.isfile(os.path.join(folder, name))


def _require_content(path: str) -> None:
    """Refuse what is no regular file or is empty."""
    try:
        # Looked at before it is opened: opening a FIFO would wait for a writer.
        found = os.stat(path)
    except FileNotFoundError:
        raise InputError(f"data.cases: no such file: {path}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or 'not a path'}; check data.cases") from None
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path}: not a regular file; data.cases names files of cases")
    if not found.st_size:
        raise InputError(f"{path}: empty; it should hold at least one record")
