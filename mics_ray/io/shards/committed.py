"""What is committed in a folder of shards: an index says it quickly, the shards alone say it for certain."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mics_ray.io.index.file_state import FileState, read_file_state
from mics_ray.io.index.ids import IdSet, hash_id
from mics_ray.io.index.shard_index import ShardEntry, ShardIndex
from mics_ray.io.shards.kind import CASES, RowKind
from mics_ray.io.shards.reading import list_names, list_shards, read_shard

_OPENED = 4  # shards at a time whose keys alone are read


@dataclass(frozen=True, slots=True)
class Committed:
    """What the shards of a folder hold: the keys of their rows, and how often each value of the counted column.

    ``entries`` are what an index of them has; ``indexed``: the folder's index has just these.
    """

    ids: IdSet
    counts: Counter[str]
    entries: tuple[ShardEntry, ...]
    indexed: bool


def read_committed(folder: Path, kind: RowKind = CASES) -> Committed:
    """What is committed; only shards that the folder's index lacks are opened. Raises :class:`ShardError`."""
    names = list_names(folder)
    known, only = index_shards(folder, kind).find_entries(names)
    read = _read_entries(kind, [folder / name for name in names if name not in known])
    return _join_entries([*known.values(), *read], only and not read)


def keep_index(folder: Path, found: Committed, kind: RowKind = CASES) -> bool:
    """Bring the index up to date; whether it is. The caller holds the folder's writer lock."""
    if not found.indexed:
        try:
            index_shards(folder, kind).write_entries(found.entries)
        except OSError:
            return False
    return True


def committed_ids(folder: Path, kind: RowKind = CASES) -> IdSet:
    """The keys of all committed rows, read from the shards themselves. Raises :class:`ShardError`."""
    return _join_entries(_read_entries(kind, list_shards(folder)), False).ids


def index_shards(folder: Path, kind: RowKind) -> ShardIndex:
    """The index beside the shards of ``folder``."""
    # A shard of another schema is refused when it is read: entries that were made for one are nothing to go by.
    made_by = repr((kind.key, kind.counted, sorted(kind.before.items()))) + str(kind.schema)
    return ShardIndex(folder, hashlib.blake2b(made_by.encode(), digest_size=16).digest())


def _join_entries(entries: Sequence[ShardEntry], indexed: bool) -> Committed:
    ids, counts = IdSet(), Counter[str]()
    if entries:
        ids.add_hashes(np.concatenate([entry.hashes for entry in entries]))
    for entry in entries:
        counts.update(entry.counts)
    return Committed(ids, counts, tuple(entries), indexed)


def _read_entries(kind: RowKind, shards: Sequence[Path]) -> list[ShardEntry]:
    # To open a shard takes longer than to read its keys, and lets other threads run meanwhile.
    with ThreadPoolExecutor(_OPENED) as opened:
        return list(opened.map(partial(_read_entry, kind), shards))


def _read_entry(kind: RowKind, path: Path) -> ShardEntry:
    # Before it is read: what takes its place meanwhile is another file then.
    state = read_file_state(path)
    columns = [kind.key, kind.counted] if kind.counted else [kind.key]
    return make_entry(kind, path, state, list(read_shard(path, columns, kind)))


def make_entry(kind: RowKind, path: Path, state: FileState, rows: Sequence[Mapping[str, Any]]) -> ShardEntry:
    """What the index has of one shard: keys and counts of ``rows``, which hold both columns."""
    hashes = np.array([hash_id(row[kind.key]) for row in rows], np.uint64)
    counts = Counter(row[kind.counted] for row in rows) if kind.counted else {}
    return ShardEntry(path.name, state, hashes, dict(counts))
