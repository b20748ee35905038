"""The index of a folder's shards: the hashes of the ids in each, so that a start need not open thousands of files.

A cache: an entry is believed for a file of just that name, size, times and inode, which is the file that was read or
written then. A shard without one is read. So a lost, cut or foreign index costs time and nothing else.
"""

import json
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mics_ray.io.index.entries import append_entry, read_entries, write_entries
from mics_ray.io.index.file_state import FileState, read_file_state
from mics_ray.io.index.ids import Hashes

INDEX = ".index"
"""In the results' folder; who holds its writer lock may write it."""
_FORMAT = b"mics shards 1 "
_HEAD = struct.Struct("<QQQQII")  # state, bytes of the name, bytes of the counts


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """What a start has to know of one shard: its keys' ``hashes``, in their order, and how often the values of the
    counted column stand in it."""

    name: str
    state: FileState
    hashes: Hashes
    counts: dict[str, int]

    def pack(self) -> bytes:
        """As bytes."""
        name, counts = self.name.encode(), json.dumps(self.counts).encode()
        return _HEAD.pack(*self.state, len(name), len(counts)) + name + counts + self.hashes.astype("<u8").tobytes()


def unpack_entry(packed: bytes) -> ShardEntry:
    """The entry of :meth:`ShardEntry.pack`'s bytes."""
    *state, name, counts = _HEAD.unpack_from(packed)
    begin, end = _HEAD.size + name, _HEAD.size + name + counts
    return ShardEntry(
        packed[_HEAD.size : begin].decode(),
        FileState(*state),
        np.frombuffer(packed, "<u8", offset=end).astype(np.uint64, copy=False),
        json.loads(packed[begin:end].decode()),  # of bytes it would guess the encoding first
    )


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """The index in ``folder``; ``rows`` says which columns its entries are made from, and how."""

    folder: Path
    rows: bytes

    def find_entries(self, names: Sequence[str]) -> tuple[dict[str, ShardEntry], bool]:
        """Of the shards of these names the entries that fit, by name; whether the file holds nothing else and may be
        appended to."""
        found = read_entries(self._path, self._header)
        entries = {entry.name: entry for entry in map(unpack_entry, found.entries)}
        fitting = {
            name: entry
            for name in names
            if (entry := entries.get(name))
            and any(entry.state)
            and entry.state == read_file_state(os.path.join(self.folder, name))
        }
        return fitting, found.intact and len(fitting) == len(found.entries)

    def write_entries(self, entries: Iterable[ShardEntry]) -> None:
        """Write the index anew. Raises ``OSError``."""
        write_entries(self._path, self._header, (entry.pack() for entry in entries))

    def append_entry(self, entry: ShardEntry) -> None:
        """Add one to an index that may be appended to. Raises ``OSError``."""
        append_entry(self._path, entry.pack())

    @property
    def _path(self) -> Path:
        return self.folder / INDEX

    @property
    def _header(self) -> bytes:
        return _FORMAT + self.rows
