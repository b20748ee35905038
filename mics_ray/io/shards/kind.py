"""What kinds of rows a folder of shards holds, and why a shard cannot be read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from mics_ray.io.row_schema import BEFORE, SCHEMA


class ShardError(Exception):
    """A shard cannot be read: damaged, or of another schema. ``path`` is its file."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


@dataclass(frozen=True, slots=True)
class RowKind:
    """What the rows of a folder are: their Arrow schema, and the string column that is unique over all of them.

    ``remedy`` says what to do about a damaged shard, ``other`` about one of another schema, ``before`` what fields hold
    in rows that were written without them, by path. ``counted`` is a column of few values, counted over the folder.
    """

    schema: pa.Schema
    key: str
    remedy: str = "move it away and run again"
    before: Mapping[str, object] = field(default_factory=dict)
    other: str = "read it with the version of the code that wrote it"
    counted: str = ""

    def to_table(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """Rows as a table of the schema. Raises ``ValueError`` for a row with other columns, ``ArrowInvalid`` for
        values of other types."""
        rows = list(rows)
        for row in rows:
            # from_pylist fills missing columns with nulls and drops unknown ones without a word.
            if set(row) != set(self.schema.names):
                wrong = sorted(set(row) ^ set(self.schema.names))
                raise ValueError(f"columns of a row differ from the schema: {wrong}")
        return pa.Table.from_pylist(rows, schema=self.schema)


CASES = RowKind(
    SCHEMA,
    "case_id",
    remedy="scripts/verify.py run.dir=… --repair rebuilds its rows from the record",
    before=BEFORE,
    counted="outcome",
)
