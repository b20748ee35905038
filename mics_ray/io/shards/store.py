"""The one writer of a folder of shards, each of which is there whole or not at all."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mics_ray.io.index.file_state import read_file_state
from mics_ray.io.index.ids import IdSet
from mics_ray.io.shards.committed import index_shards, keep_index, make_entry, read_committed
from mics_ray.io.shards.kind import CASES, RowKind
from mics_ray.private_files import replace_file, sync_folder

# Files set aside (part-000003.parquet.damaged) count too, so that their numbers are never given again.
_NUMBER = re.compile(r"part-([0-9]{6,})\.")


@dataclass(frozen=True, slots=True)
class Commit:
    """What one commit did: the shard (``None`` when there was nothing to write) and the keys of both kinds of rows."""

    path: Path | None
    written: tuple[str, ...]
    skipped: tuple[str, ...]


class ShardStore:
    """The one committing writer of a folder; the caller's lock sees to that."""

    def __init__(self, folder: Path, kind: RowKind = CASES) -> None:
        """Create or take up the folder, without what a killed writer left. Raises :class:`ShardError`, ``OSError``."""
        self._folder, self._kind = folder, kind
        # pyarrow loads pandas for its first table, 0.4 s: here, and not while others wait for a commit.
        kind.to_table(())
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # rows hold medical text, and mkdir's mode would not change a folder that exists
        for leftover in folder.glob("part-*.tmp"):
            leftover.unlink()
        found = read_committed(folder, kind)
        self._ids, self._counts = found.ids, found.counts
        self._index = index_shards(folder, kind)
        self._indexed = keep_index(folder, found, kind)
        self._next = 1 + max((int(match[1]) for match in map(_NUMBER.match, os.listdir(folder)) if match), default=-1)

    @property
    def key(self) -> str:
        """The column that is unique over all rows of the folder."""
        return self._kind.key

    @property
    def counts(self) -> Counter[str]:
        """How often each value of the counted column stands in the committed rows."""
        return self._counts

    def commit(self, rows: Sequence[Mapping[str, Any]]) -> Commit:
        """Write the rows whose key has no committed row; nothing is visible unless all of them are on the disk.

        Raises ``OSError`` (disk full, say) with nothing committed.
        """
        key = self._kind.key
        fresh: list[Mapping[str, Any]] = []
        skipped: list[Mapping[str, Any]] = []
        batch = IdSet()
        for row in rows:
            # A batch of its own: ids count as committed only once the shard is on the disk.
            known = row[key] in self._ids or not batch.add(row[key])
            (skipped if known else fresh).append(row)
        path = self._write_shard(self._kind.to_table(fresh)) if fresh else None
        written = tuple(row[key] for row in fresh)
        for one in written:
            self._ids.add(one)
        # The rename itself is durable only when the folder is.
        if path:
            sync_folder(self._folder)
            self._note_shard(path, fresh)
        return Commit(path, written, tuple(row[key] for row in skipped))

    def _write_shard(self, table: pa.Table) -> Path:
        path = self._folder / f"part-{self._next:06d}.parquet"
        write_table(path, table)
        self._next += 1
        return path

    def _note_shard(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        entry = make_entry(self._kind, path, read_file_state(path), rows)
        # Another object, for other threads may be reading the one that is there.
        self._counts = self._counts + Counter(entry.counts)
        try:
            if self._indexed:
                self._index.append_entry(entry)
        except OSError:
            # The rows are committed; without an entry they are read at the next start.
            self._indexed = False


def write_table(path: Path, table: pa.Table) -> None:
    """Write a shard through a temporary file beside it, which is brought to the disk, then renamed."""
    with replace_file(path, sync=True) as file:
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
