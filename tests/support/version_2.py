"""Runs of row schema 2: one that the code of that version made, and others written as it would have."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mics_ray.io.row_schema import SCHEMA
from mics_ray.io.shards.reading import list_shards, read_shard
from tests.support.recorded_run import write_cases

DATA = Path(__file__).parents[1] / "data/version_2"
"""A run of `tests.support.recorded_run` (4 cases, a twentieth of the calls lost, one record unusable) at dadb46a, and a
file of the reply store of that commit."""

SCHEMA_2 = pq.read_schema(DATA / "results/part-000000.parquet")


def copy_run(folder: Path) -> Path:
    """The run of version 2 under ``folder/run``, its cases and pictures in ``folder``."""
    write_cases(folder, 4)
    run = shutil.copytree(DATA, folder / "run", ignore=shutil.ignore_patterns("cache"))
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("FOLDER", str(folder)))
    return run


def rewrite_as_version_2(run: Path) -> None:
    """Write every shard of a run as the code of version 2 did."""
    for path in list_shards(run / "results"):
        rows = [_make_earlier(row) for row in read_shard(path, SCHEMA.names)]
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA_2), path, compression="zstd", write_page_checksum=True)


def _make_earlier(row: dict[str, Any]) -> dict[str, Any]:
    """With more fields than version 2 has, which a table of its schema leaves out."""
    scores = [(one["mentor"], one["scores"]) for one in row["scores"]]
    usage = [(one["model"], one) for one in row["usage"]]
    return row | {"scores": scores, "usage": usage, "schema_version": 2}
