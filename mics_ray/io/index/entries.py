"""A file of entries that is a cache: each has a checksum, and from the first that is not whole on nothing is believed.

The file is never brought to the disk on purpose: what a loss of power takes is read again where it came from.
"""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mics_ray.private_files import open_private, replace_file

_LENGTH = struct.Struct("<Q")
_DIGEST = 16  # bytes


@dataclass(frozen=True, slots=True)
class Entries:
    """The whole ``entries`` of a file, in their order; ``intact``: it holds nothing else."""

    entries: tuple[bytes, ...]
    intact: bool


def read_entries(path: Path, header: bytes) -> Entries:
    """The entries of a file of this ``header``. None where it is missing, of another header or cannot be read."""
    try:
        content = memoryview(path.read_bytes())
    except OSError:
        return Entries((), False)
    found: list[bytes] = []
    at, payload = _take_entry(content, 0)
    if payload != header:
        return Entries((), False)
    while at < len(content):
        at, payload = _take_entry(content, at)
        if payload is None:
            return Entries(tuple(found), False)
        found.append(payload)
    return Entries(tuple(found), True)


def write_entries(path: Path, header: bytes, entries: Iterable[bytes]) -> None:
    """Replace the file. Raises ``OSError``."""
    with replace_file(path) as file:
        for entry in (header, *entries):
            file.write(_frame_entry(entry))


def append_entry(path: Path, entry: bytes) -> None:
    """Add an entry to a file that is there and intact. Raises ``OSError`` with the file as it was, if it can be."""
    with open(path, "r+b", buffering=0, opener=open_private) as file:
        end = file.seek(0, 2)
        framed = _frame_entry(entry)
        try:
            if file.write(framed) != len(framed):
                raise OSError(f"{path}: cut off")
        except OSError:
            # What stands behind half an entry would never be read.
            file.truncate(end)
            raise


def _frame_entry(payload: bytes) -> bytes:
    return _LENGTH.pack(len(payload)) + _digest_payload(payload) + payload


def _take_entry(content: memoryview, at: int) -> tuple[int, bytes | None]:
    """Where the next entry begins, and this one's payload; ``None`` where it is not whole."""
    begin = at + _LENGTH.size + _DIGEST
    if begin > len(content):
        return at, None
    end = begin + _LENGTH.unpack_from(content, at)[0]
    payload = bytes(content[begin:end])
    whole = end <= len(content) and _digest_payload(payload) == content[begin - _DIGEST : begin]
    return (end, payload) if whole else (at, None)


def _digest_payload(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=_DIGEST).digest()
