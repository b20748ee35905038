"""The files that ``data.cases`` names: one, those of a folder, of a pattern, of a list; here or at addresses."""

import glob
import gzip
import os
import re
import stat
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from mics_ray.io.storage import (
    StorageError,
    is_address,
    is_address_folder,
    list_address,
    open_address,
    read_object_size,
    split_address,
)

CasesGiven = str | Path | Sequence[str]
"""A file, a folder, a pattern (``*``, ``?``, ``[…]``, ``**``), or a list of these; paths or addresses (``s3://``)."""

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")
"""Of the files of a folder, those with one of these names, ``.gz`` behind it or not, hold cases."""

_GZIP = b"\x1f\x8b"
_PATTERN = frozenset("*?[")


class InputError(ValueError):
    """The cases cannot be read at all; the message names the file and says what to do."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of the input: its absolute path or address, what messages call it, and its number.

    ``number`` is 0 for the only file; of several it counts from 1 and is part of the ids of records without one.
    """

    path: str
    name: str
    number: int = 0

    def read_size(self) -> int:
        """Bytes as they are stored. Raises :class:`InputError`."""
        try:
            size = read_object_size(self.path) if is_address(self.path) else os.path.getsize(self.path)
        except OSError:
            size = None
        if size is None:
            raise InputError(f"{self.path}: cannot be read any more; is it on every machine of the cluster?")
        return size


def find_input_files(given: CasesGiven) -> tuple[InputFile, ...]:
    """The files in the order in which they are read: a list's order; within a folder or pattern that of their paths.

    Raises :class:`InputError`.
    """
    paths = [path for item in _list_given(given) for path in _expand(item)]
    for path in paths:
        if is_address(path):
            _require_object(path)
        else:
            _require_content(path)
    if len(set(paths)) < len(paths):
        twice = next(path for path, count in Counter(paths).items() if count > 1)
        raise InputError(f"{twice}: given twice; each of its records would be one too many")
    if len(paths) == 1:
        return (InputFile(paths[0], _split_path(paths[0])[1]),)
    bare = [path.partition("?")[0] if is_address(path) else path for path in paths]
    # Of addresses and paths together nothing is common but the root.
    base = os.path.commonpath([os.path.dirname(path) for path in bare]) if len(set(map(is_address, bare))) == 1 else "/"
    names = [os.path.relpath(path, base) if base != "/" else path for path in bare]
    return tuple(InputFile(path, name, at) for at, (path, name) in enumerate(zip(paths, names, strict=True), 1))


def list_folders(given: CasesGiven) -> list[str]:
    """The folders that hold the files, each once. Raises :class:`InputError`."""
    found: dict[str, None] = {}
    for item in _list_given(given):
        if is_address(item):
            folders = [split_address(path)[0] for path in _expand(item)]
        elif _is_pattern(item):
            folders = [os.path.dirname(path) for path in _expand(item)]
        else:
            path = os.path.abspath(item)
            folders = [path if os.path.isdir(path) else os.path.dirname(path)]
        found |= dict.fromkeys(folders)
    return list(found)


def open_input(path: str) -> BinaryIO:
    """The bytes of a file, unpacked where it is gzip; seeking in those goes through everything before."""
    file = open_stored(path)
    packed = file.read(2) == _GZIP
    file.seek(0)
    if not packed:
        return file
    return cast(BinaryIO, _Unpacked(file))


def is_packed(path: str) -> bool:
    """Whether a file is gzip, and so cannot be entered midway. Raises ``OSError``."""
    with open_stored(path) as file:
        return file.read(2) == _GZIP


def open_stored(path: str) -> BinaryIO:
    """The bytes of a file as they are stored. Raises ``OSError``."""
    if not is_address(path):
        return open(path, "rb")
    try:
        return open_address(path)
    except StorageError as error:
        raise InputError(str(error)) from None


def open_mappable(path: str) -> BinaryIO:
    """:func:`open_input` as a file that can be mapped into memory: an unpacked copy, gone when it is closed."""
    file = open_input(path)
    if not isinstance(file, gzip.GzipFile) and not is_address(path):
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


class _Unpacked(gzip.GzipFile):
    """Closes the stored file with itself, as gzip does for files that it opened."""

    def __init__(self, stored: BinaryIO) -> None:
        self._stored = stored
        super().__init__(fileobj=stored, mode="rb")

    def close(self) -> None:
        """Close both."""
        super().close()
        self._stored.close()


def _list_given(given: CasesGiven) -> list[str]:
    items = [str(given)] if isinstance(given, str | Path) else list(given)
    if not items or not all(isinstance(item, str) and item for item in items):
        raise InputError("data.cases: name a file, a folder, a pattern, or a list of these")
    return items


def _is_pattern(item: str) -> bool:
    # A file may really be called "a[1].jsonl".
    return not _PATTERN.isdisjoint(item) and not os.path.lexists(item)


def _expand(item: str) -> list[str]:
    if is_address(item):
        return _expand_address(item)
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
    return _has_suffix(name) and os.path.isfile(os.path.join(folder, name))


def _has_suffix(name: str) -> bool:
    return name.lower().removesuffix(".gz").endswith(SUFFIXES) and not name.startswith((".", "_"))


def _split_path(path: str) -> tuple[str, str]:
    return split_address(path) if is_address(path) else os.path.split(path)


def _expand_address(item: str) -> list[str]:
    """As paths are, but ``?`` begins the address's own options and is no pattern."""
    bare = item.partition("?")[0]
    try:
        if at := re.search(r"[*\[]", bare):
            folder, form = bare[: at.start()].rpartition("/")[0] + item[len(bare) :], _translate_pattern(bare)
            found = [path for path in list_address(folder, True) if form.fullmatch(path.partition("?")[0])]
            said = "no file matches; check data.cases"
        elif is_address_folder(item):
            found = [path for path in list_address(item, False) if _has_suffix(split_address(path)[1])]
            said = f"no {', '.join(SUFFIXES)} file directly in this folder; give a pattern or the files"
        else:
            return [item]
    except StorageError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(
            f"{item}: cannot be listed ({str(error)[:200] or type(error).__name__}); check the address and its keys"
        ) from None
    if not found:
        raise InputError(f"{item}: {said}")
    return found


def _translate_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression over whole addresses."""
    parts = re.split(r"(\*\*/|\*|\[[^]]+\])", pattern)
    made = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile("".join(made.get(part) or (part if part.startswith("[") else re.escape(part)) for part in parts))


def _require_object(address: str) -> None:
    """Refuse an address without a file, or with an empty one."""
    try:
        size = read_object_size(address)
    except StorageError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(
            f"{address}: cannot be reached ({str(error)[:200] or type(error).__name__}); check it and its keys"
        ) from None
    if size is None:
        raise InputError(f"data.cases: no such file: {address}")
    if not size:
        raise InputError(f"{address}: empty; it should hold at least one record")


def _require_content(path: str) -> None:
    """Refuse what is no regular file on this machine or is empty."""
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
