"""Rows of failed cases that are to be searched again: taken out of the results and kept beside them."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mics_ray.core.types import Outcome
from mics_ray.io.index.ids import IdSet
from mics_ray.io.shards.kind import ShardError
from mics_ray.io.shards.reading import iter_rows, list_shards
from mics_ray.io.shards.store import write_table
from mics_ray.private_files import make_private_folder, sync_folder


def unfailed_ids(results: Path) -> IdSet:
    """The ids of the committed cases that did not fail. Raises :class:`ShardError`."""
    ids = IdSet()
    for row in iter_rows(results, ["case_id", "outcome"]):
        if row["outcome"] != Outcome.FAILED:
            ids.add(row["case_id"])
    return ids


def set_failed_rows_aside(results: Path, aside: Path) -> int:
    """Move the rows of failed cases out of the shards in ``results`` into files in ``aside``; how many they were.

    A crash on the way leaves every row in one of both or in both, and the next call ends what it began. The caller
    holds the folder's writer lock. Raises :class:`ShardError` and ``OSError``.
    """
    import pyarrow.compute as pc  # a tenth of a second, for which every start would wait

    moved = 0
    for path in list_shards(results):
        table = _read_whole(path)
        failed = pc.equal(table["outcome"], Outcome.FAILED.value)
        if not (rows := table.filter(failed)):
            continue
        make_private_folder(aside)
        # Named after its content: what a crash left is written over by the same rows, and never by others.
        content = hashlib.sha256("\n".join(map(repr, rows.to_pylist())).encode()).hexdigest()[:8]
        write_table(aside / f"{path.stem}-{content}.parquet", rows)
        sync_folder(aside)
        if rest := table.filter(pc.invert(failed)):
            write_table(path, rest)
        else:
            path.unlink()
        sync_folder(results)
        moved += len(rows)
    return moved


def _read_whole(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, page_checksum_verification=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ShardError(path, f"damaged or cut off ({type(error).__name__})") from None
