"""A search worker that is killed searches again as soon as Ray has started it, beside the one that went on."""

import os
import signal
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from mics_ray.config.compose import compose_config
from mics_ray.errors import EXIT_OK
from mics_ray.io.shards.reading import iter_rows
from mics_ray.jobs.generation import prepare_generation
from mics_ray.runtime.driver.run import search_job
from mics_ray.runtime.monitor.progress import Progress, Snapshot
from tests.support.processes import named
from tests.support.provider import Provider, write_cases

pytestmark = pytest.mark.cluster

CASES, WORKERS, WINDOW = 96, 2, 16
LOST = "a search worker was lost"
PATIENCE_S = 120.0
"""For a worker to come back; a run whose worker never does goes on, for the test to fail."""


class Kills(Progress):
    """Kills a worker when both are busy, and the writer once the worker is back.

    Meanwhile the provider answers until ``WINDOW`` more rows are there: then the cases that are left wait for the
    worker, however long Ray takes to start it. ``back``: the loss was told, and more searches are open than one
    worker may have. ``told``: rows and calls as the person saw them.
    """

    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self._provider = provider
        self._others = {*self._actors("SearchWorker"), *self._actors("WriterActor")}
        self._enough, self._patient_until = CASES, 0.0
        self.killed: list[str] = []
        self.back = False
        self.phases: list[str] = []
        self.told: list[tuple[int, int]] = []

    def show_phase(self, text: str) -> None:
        self.phases.append(text)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        rows = sum(snapshot.outcomes.values())
        self.told.append((rows, snapshot.calls))
        both = snapshot.searching > WINDOW // WORKERS
        if not self.killed and both:
            self._kill("SearchWorker")
            self._enough, self._patient_until = rows + WINDOW, time.monotonic() + PATIENCE_S
        elif self.killed and not self.back:
            self.back = both and any(LOST in line for line in self.phases)
            if self.back:
                self._kill("WriterActor")
                self._provider.release()
            elif rows >= self._enough and time.monotonic() < self._patient_until:
                self._provider.hold()
            else:
                self._provider.release()

    def _kill(self, actor: str) -> None:
        """Of this run, not what an earlier test of the session left."""
        os.kill(next(pid for pid in self._actors(actor) if pid not in self._others), signal.SIGKILL)
        self.killed.append(actor)

    @staticmethod
    def _actors(name: str) -> list[int]:
        return named(os.getpid(), f"ray::{name}")


@pytest.mark.slow
def test_a_lost_worker_comes_back_while_the_other_goes_on_and_no_count_ever_falls(
    ray_cluster: None, tmp_path: Path
) -> None:
    write_cases(tmp_path / "cases.jsonl", CASES)
    with Provider(latency_s=0.2) as provider:
        progress = Kills(provider)
        provider.write_groups(tmp_path / "conf")
        overrides = [
            "mentors=test", "interns=test", "judge=test", f"data.cases={tmp_path}/cases.jsonl",
            f"run.dir={tmp_path}/run", f"window={WINDOW}", f"ray.workers={WORKERS}",
        ]  # fmt: skip
        config = compose_config(overrides, tmp_path / "conf")
        with prepare_generation(config) as job:
            end = search_job(job, progress, lambda *_: {})
        assert end.code == EXIT_OK, end.message
    assert progress.killed == ["SearchWorker", "WriterActor"]
    assert sum(LOST in line for line in progress.phases) == 1
    assert progress.back, "it never searched again"
    assert all(before <= after for column in zip(*progress.told, strict=True) for before, after in pairwise(column))
    assert progress.told[-1][0] == CASES
    counted = Counter(row["case_id"] for row in iter_rows(tmp_path / "run/results"))
    assert len(counted) == CASES
    assert set(counted.values()) == {1}
