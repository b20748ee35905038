"""The index of a run's input: hashes of the ids that each part brings, so that a start need not decode what is done.

A cache, bound to the digest of the input and to the code that named the records. A part without an entry is read.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mics_ray.io.index.entries import append_entry, read_entries, write_entries
from mics_ray.io.index.ids import Hashes, IdSet
from mics_ray.io.scan import Part, Scan

INDEX = ".input-index"
"""In the run's folder; who holds its lock may write it."""
_FORMAT = "mics input 1"
_HEAD = struct.Struct("<II")  # bytes of the part's name, records

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PartIds:
    """Of the records of a part in their order the hashes of the ids that they bring, and the positions."""

    hashes: Hashes
    positions: Positions


class InputIndex:
    """The index of one input at ``path``. Used from one thread."""

    def __init__(self, path: Path, scan: Scan, code_version: str) -> None:
        self._path, self._parts = path, scan.parts
        self._header = f"{_FORMAT} {scan.sha256} {code_version}".encode()
        self._noted = set[str]()
        self._kept: tuple[bytes, ...] = ()  # of a file that is to be written anew
        self._writable = self._intact = False

    def find_done(self, done: IdSet) -> dict[int, PartIds]:
        """By their numbers from 0 the parts whose records all bring an id in ``done``."""
        found = read_entries(self._path, self._header)
        self._writable, self._intact, self._kept = True, found.intact, () if found.intact else found.entries
        entries = {_read_name(entry): entry for entry in found.entries}
        self._noted = set(entries)
        names = map(_name_part, self._parts)
        noted = {number: _unpack_ids(entries[name]) for number, name in enumerate(names) if name in entries}
        # All at once: it takes a quarter of the time of one look for each part.
        pieces = [ids.hashes for ids in noted.values()] or [np.empty(0, np.uint64)]
        there = np.split(done.has_hashes(np.concatenate(pieces)), np.cumsum([len(piece) for piece in pieces])[:-1])
        return {number: ids for (number, ids), found in zip(noted.items(), there, strict=False) if found.all()}

    def add_part(self, number: int, ids: PartIds) -> None:
        """Note a part that was read to its end."""
        name = _name_part(self._parts[number])
        if name in self._noted or not self._writable:
            return
        self._noted.add(name)
        try:
            if not self._intact:
                write_entries(self._path, self._header, self._kept)
                self._intact, self._kept = True, ()
            append_entry(self._path, _pack_ids(name, ids))
        except OSError:
            # It spares time at the next start; the run goes on without it.
            self._writable = False


class PartCollector:
    """Takes the records of parts as they are read, in their order, and notes each part at its end."""

    def __init__(self, index: InputIndex | None) -> None:
        self._index = index
        self._number = -1
        self._pieces: list[PartIds] = []

    def add_records(self, number: int, ids: PartIds) -> None:
        """More of the part ``number``; where it is another, the one before has ended."""
        if number != self._number:
            self.end_part()
            self._number = number
        if self._index is not None:
            self._pieces.append(ids)

    def end_part(self) -> None:
        """The part is read to its end."""
        if self._index is not None and self._pieces:
            self._index.add_part(self._number, join_ids(self._pieces))
        self._pieces = []


def join_ids(pieces: Sequence[PartIds]) -> PartIds:
    """The records of all, one after the other."""
    return PartIds(
        np.concatenate([piece.hashes for piece in pieces]), np.concatenate([piece.positions for piece in pieces])
    )


def _name_part(part: Part) -> str:
    return f"{part.file.number} {part.form} {part.first} {part.start} {part.end}"


def _pack_ids(name: str, ids: PartIds) -> bytes:
    head = _HEAD.pack(len(name), len(ids.hashes)) + name.encode()
    return head + ids.hashes.astype("<u8").tobytes() + ids.positions.astype("<i8").tobytes()


def _read_name(entry: bytes) -> str:
    return entry[_HEAD.size : _HEAD.size + _HEAD.unpack_from(entry)[0]].decode()


def _unpack_ids(entry: bytes) -> PartIds:
    name, count = _HEAD.unpack_from(entry)
    begin = _HEAD.size + name
    hashes = np.frombuffer(entry, "<u8", count, begin).astype(np.uint64, copy=False)
    return PartIds(hashes, np.frombuffer(entry, "<i8", count, begin + hashes.nbytes).astype(np.int64, copy=False))
