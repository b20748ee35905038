"""The one committer: rows gather in it and are written as shards; a sender waits until its row is on disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from mics_ray.config.keys import drop_hub_tokens
from mics_ray.io.shards.store import ShardStore
from mics_ray.io.without_pandas import spare_pandas
from mics_ray.jobs.allocator import give_back_freed
from mics_ray.jobs.collector import spare_collector
from mics_ray.jobs.lock import wait_for_lock
from mics_ray.jobs.row_writer import Row, RowWriter
from mics_ray.jobs.run_folder import LOCK_PATIENCE_S, WRITER_LOCK
from mics_ray.runtime.driver.cluster import own_node
from mics_ray.runtime.monitor import metrics
from mics_ray.runtime.monitor.logs import CaseLog, count_lost_calls


class WriterActor:
    """Commits rows to ``folder``; it refuses ids that are committed already, so a row may be sent twice.

    For each case that it commits it writes a line into the case log in ``log_folder``.
    """

    def __init__(self, folder: str, log_folder: str) -> None:
        spare_collector()
        spare_pandas()
        drop_hub_tokens()
        self._folder = Path(folder)
        self._case_log = CaseLog(Path(log_folder))
        self._meters = metrics.RunMetrics(metrics.run_name(folder)).start()
        # The writer of a driver that was just killed may hold it for a moment.
        self._lock = wait_for_lock(self._folder / WRITER_LOCK, LOCK_PATIENCE_S, shared=True)
        self._store = ShardStore(self._folder)
        self._rows = RowWriter(self._store, complete=lambda _: self._lock.check_held(), report=self._report_committed)

    async def add_row(self, row: Row) -> None:
        """Take a row; returns when it is committed. Raises ``OSError`` when nothing can be written."""
        await self._rows.add_row(row)

    async def flush_rows(self) -> None:
        """Commit all waiting rows, in one shard."""
        await self._rows.flush_rows()

    def _report_committed(self, rows: Sequence[Row]) -> None:
        """Count and log cases that were just committed; their memory is free then."""
        self._case_log.append_rows(rows)
        for row in rows:
            self._meters.add_count(metrics.CASES, 1, row["outcome"], row["quality"])
            for kind, count in count_lost_calls(row).items():
                self._meters.add_count(metrics.LOST, count, kind)
        give_back_freed()

    async def read_counts(self) -> dict[str, Any]:
        """The committed rows of the folder by outcome, and whether writing failed."""
        failure = self._rows.failure
        told = f"{failure.strerror} ({failure.filename})" if isinstance(failure, OSError) else failure and repr(failure)
        return {"outcomes": dict(self._store.counts), "failure": told}


def start_writer(folder: Path, log_folder: Path) -> Any:
    """Start the writer on the driver's own node, where the run's folder is."""
    options = {"num_cpus": 0, "max_restarts": -1, "max_concurrency": 1000, "scheduling_strategy": own_node()}
    return ray.remote(WriterActor).options(**options).remote(str(folder), str(log_folder))
