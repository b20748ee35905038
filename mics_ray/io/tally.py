"""Running totals of a run's committed rows: each shard is read once, however often one looks."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mics_ray.core.usage import Usage
from mics_ray.io.shards import shards

COLUMNS = ["outcome", "quality", "usage"]


@dataclass
class Tally:
    """Totals over the shards in ``folder``: cases by outcome, kept chains by quality, usage by model."""

    folder: Path
    outcomes: Counter[str] = field(default_factory=Counter)
    quality: Counter[str] = field(default_factory=Counter)
    usage: dict[str, Usage] = field(default_factory=dict)
    damaged: list[Path] = field(default_factory=list)
    """Shards that cannot be read; their rows are in no total."""
    newest: float = 0.0
    """When the youngest shard was written, in seconds since 1970; 0 before the first."""
    _read: set[str] = field(default_factory=set)

    def update(self) -> None:
        """Read the shards that are new."""
        for path in shards(self.folder):
            if path.name not in self._read:
                self._read.add(path.name)
                self._add(path)

    def _add(self, path: Path) -> None:
        try:
            rows = pq.read_table(path, columns=COLUMNS, page_checksum_verification=True).to_pylist()
            self.newest = max(self.newest, path.stat().st_mtime)
        except (OSError, ValueError, pa.ArrowException):
            self.damaged.append(path)
            return
        for row in rows:
            self.outcomes[row["outcome"]] += 1
            if row["outcome"] in ("solved", "depth"):
                self.quality[row["quality"]] += 1
            for name, used in row["usage"]:
                self.usage[name] = self.usage.get(name, Usage()) + Usage(**used)
