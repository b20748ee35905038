"""A search worker that is killed searches again as soon as Ray has started it, beside the one that went on."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from mics_ray.compose import compose_config
from mics_ray.errors import EXIT_OK
from mics_ray.io.shards import iter_rows
from mics_ray.runtime.prepare import prepared
from mics_ray.runtime.progress import Progress, Snapshot
from mics_ray.runtime.run import search
from tests.support.processes import named
from tests.support.provider import Provider, write_cases

pytestmark = pytest.mark.cluster

CASES, WORKERS, WINDOW = 160, 2, 16


class KillOneWorker(Progress):
    """Kills a worker when both are busy; ``back`` once more searches are open than one worker may have."""

    def __init__(self) -> None:
        super().__init__()
        self.killed: int | None = None
        self.fell = self.back = False
        self.phases: list[str] = []

    def phase(self, text: str) -> None:
        self.phases.append(text)

    def show(self, snapshot: Snapshot) -> None:
        if self.killed is None:
            if snapshot.searching > WINDOW // WORKERS:
                self.killed = named(os.getpid(), "ray::SearchWorker")[0]
                os.kill(self.killed, signal.SIGKILL)
        elif snapshot.searching <= WINDOW // WORKERS:
            self.fell = True
        elif self.fell:
            self.back = True


def test_a_lost_worker_comes_back_to_work_while_the_other_goes_on(ray_cluster: None, tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.jsonl", CASES)
    progress = KillOneWorker()
    with Provider(latency_s=0.2) as provider:
        provider.write_groups(tmp_path / "conf")
        overrides = [
            "mentors=test", "interns=test", "judge=test", f"data.cases={tmp_path}/cases.jsonl",
            f"run.dir={tmp_path}/run", f"window={WINDOW}", f"ray.workers={WORKERS}",
        ]  # fmt: skip
        config = compose_config(overrides, tmp_path / "conf")
        with prepared(config) as job:
            end = search(job, progress, lambda *_: {})
        assert end.code == EXIT_OK, end.message
    assert progress.killed, "nothing was killed"
    assert sum("a search worker was lost" in line for line in progress.phases) == 1
    assert progress.back, "it never searched again"
    counted = Counter(row["case_id"] for row in iter_rows(tmp_path / "run/results"))
    assert len(counted) == CASES
    assert set(counted.values()) == {1}
