"""The open end of a reply store: a log that one process appends to, and that any other may read at any time.

Records stand one behind another: a mark, a length, a CRC-32, then key and reply. A log is never repaired or cut: a
reader takes what is whole. What is torn at the end was never acknowledged; damage before that costs its own record.
No lock, shared memory or journal is involved, so a log may lie on a file system that several hosts share.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mics_ray.models.replies.store_file import DamagedReply, Row, make_reply
from mics_ray.models.types import Reply
from mics_ray.private_files import sync_folder

LOG_SUFFIX = ".replies"
KEY_BYTES = 32
MARK = b"\xf1mR\x1e"
"""Begins a record: not UTF-8, so that no text of a reply holds it."""
_HEAD = struct.Struct("<4sII")
LONGEST = 2**28
"""Bytes of a record: a length above it is damage."""


class ReplyLog:
    """A log that this process made and alone writes; it knows where each of its replies lies. Used from two threads:
    one appends, one reads."""

    def __init__(self, path: Path) -> None:
        """Make the file. Raises :class:`OSError`, also where it exists."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchmod(self._descriptor, 0o600)
        sync_folder(path.parent)  # a log whose name is lost with the power is lost whole
        self._end = 0
        self._places: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._end

    def append_rows(self, rows: list[Row]) -> None:
        """Write rows behind the last; they are on the disk when it returns. Raises :class:`OSError`.

        After an error the log holds what it held before, and no other row may be appended to it: an error of a sync
        leaves open what the disk holds.
        """
        places, data, at = {}, [], self._end
        for row in rows:
            record = pack_record(row)
            places[row[0]] = at
            data.append(record)
            at += len(record)
        _write_all(self._descriptor, b"".join(data), self._end)
        os.fsync(self._descriptor)
        self._end = at
        self._places.update(places)

    def find_reply(self, key: bytes) -> Reply | None:
        """The reply under ``key``. Raises :class:`DamagedReply`."""
        return read_place(self._descriptor, self._places.get(key), key)

    def close(self) -> None:
        """Close the file; an empty one goes."""
        os.close(self._descriptor)
        if not self._places:
            self.path.unlink(missing_ok=True)


class LeftLog:
    """A log of another process, as far as it went when it was opened; ``damaged`` counts records that are not whole."""

    def __init__(self, path: Path) -> None:
        """Read it through once. Raises :class:`OSError`."""
        self.path, self.damaged = path, 0
        self._descriptor = os.open(path, os.O_RDONLY)
        self._places: dict[bytes, int] = {}
        for place, row in scan_log(path):
            if row is None:
                self.damaged += 1
            else:
                self._places[row[0]] = place

    def find_reply(self, key: bytes) -> Reply | None:
        """The reply under ``key``. Raises :class:`DamagedReply`."""
        return read_place(self._descriptor, self._places.get(key), key)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def pack_record(row: Row) -> bytes:
    """A row as it lies in a log."""
    try:
        told = msgspec.json.encode(row[1:])
    except UnicodeEncodeError:  # lone surrogates, which ASCII keeps
        told = json.dumps(row[1:], separators=(",", ":")).encode()
    body = row[0] + told
    return _HEAD.pack(MARK, len(body), zlib.crc32(body)) + body


def read_place(descriptor: int, place: int | None, key: bytes) -> Reply | None:
    """The reply of the record at ``place``; ``None`` for no place. Raises :class:`DamagedReply`."""
    if place is None:
        return None
    try:
        _, length, crc = _HEAD.unpack(os.pread(descriptor, _HEAD.size, place))
        row = _unpack_body(os.pread(descriptor, min(length, LONGEST), place + _HEAD.size), crc)
    except (OSError, struct.error) as error:
        raise DamagedReply(str(error)) from None
    if row is None or row[0] != key:
        raise DamagedReply("checksum")
    return make_reply(row)


def scan_log(path: Path) -> Iterator[tuple[int, Row | None]]:
    """Records from the first to the last with their places, one in memory at a time; ``None`` for a damaged one.

    What is torn at the end is left out. Raises :class:`OSError`.
    """
    with path.open("rb") as file:
        place = 0
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            mark, length, crc = _HEAD.unpack(head)
            begun = mark == MARK and length <= LONGEST
            body = file.read(length) if begun else b""
            if begun and len(body) == length and (row := _unpack_body(body, crc)) is not None:
                yield place, row
                place += _HEAD.size + length
                continue
            # The length may be what is damaged, so the next mark tells where to go on.
            found = _find_mark(path, place + 1)
            if found is None:
                if not begun or len(body) == length:
                    yield place, None
                return
            yield place, None
            place = found
            file.seek(place)


def _find_mark(path: Path, start: int) -> int | None:
    """Where the next record begins."""
    with path.open("rb") as file:
        file.seek(start)
        before = b""
        while chunk := file.read(2**20):
            data = before + chunk
            if (at := data.find(MARK)) >= 0:
                return file.tell() - len(data) + at
            before = data[-len(MARK) + 1 :]
    return None


def _unpack_body(body: bytes, crc: int) -> Row | None:
    if zlib.crc32(body) != crc:
        return None
    model, stored, *rest = json.loads(body[KEY_BYTES:])
    return (body[:KEY_BYTES], model, stored, *rest)


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written
