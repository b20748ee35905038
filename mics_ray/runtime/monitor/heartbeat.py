"""A running job's heartbeat in its folder: when the driver was last active, how many records, where its metrics are.

``summary`` says which account it found there: another one is its own, so it has ended. That holds whatever the clock
does, as "written later" does not.
"""

import json
import logging
import time

import ray

from mics_ray.jobs.run_folder import RunFolder
from mics_ray.runtime.monitor.logs import LIVE_FILE, modified_ns

log = logging.getLogger(__name__)

EVERY_S = 10.0  # six of them before a watcher takes the driver for dead (`watch_folder.SILENT_S`)


class Heartbeat:
    """Writes ``run.dir/live.json`` every ten seconds while the driver works."""

    def __init__(self, folder: RunFolder, records: int) -> None:
        self._folder, self._records, self._summary = folder, records, modified_ns(folder.summary)
        self._due = 0.0

    def write_if_due(self) -> None:
        """Write the file if it is due. A failure is logged: the search does not need it."""
        if time.monotonic() < self._due:
            return
        self._due = (
            time.monotonic() + EVERY_S
        )  # before the try: a full disk is tried every ten seconds, not at each call
        try:
            content = {"time": time.time(), "records": self._records, "metrics": list_metrics_targets()}
            self._folder.write_file(LIVE_FILE, json.dumps(content | {"summary": self._summary}))
        except OSError as error:
            log.warning("%s is not written (%s)", LIVE_FILE, error.strerror)


def list_metrics_targets() -> list[str]:
    """Where the live nodes of this Ray serve their metrics: ``HOST:PORT`` each."""
    nodes = [node for node in ray.nodes() if node["Alive"] and node["MetricsExportPort"] > 0]
    return [f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}" for node in nodes]
