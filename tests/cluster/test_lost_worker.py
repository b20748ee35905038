"""A search worker that is killed searches again as soon as Ray has started it, beside the one that went on."""

import os
import signal
from collections import Counter
from itertools import pairwise
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


class Kills(Progress):
    """Kills a worker when both are busy, and the writer once the worker is back.

    ``back``: more searches are open than one worker may have. ``told``: rows and calls as the person saw them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.killed: list[str] = []
        self.fell = self.back = False
        self.phases: list[str] = []
        self.told: list[tuple[int, int]] = []

    def phase(self, text: str) -> None:
        self.phases.append(text)

    def show(self, snapshot: Snapshot) -> None:
        self.told.append((sum(snapshot.outcomes.values()), snapshot.calls))
        both = snapshot.searching > WINDOW // WORKERS
        if not self.killed and both:
            self._kill("SearchWorker")
        elif self.killed:
            self.fell |= not both
            self.back |= self.fell and both
            if self.back and len(self.killed) == 1:
                self._kill("WriterActor")

    def _kill(self, actor: str) -> None:
        os.kill(named(os.getpid(), f"ray::{actor}")[0], signal.SIGKILL)
        self.killed.append(actor)


def test_a_lost_worker_comes_back_while_the_other_goes_on_and_no_count_ever_falls(
    ray_cluster: None, tmp_path: Path
) -> None:
    write_cases(tmp_path / "cases.jsonl", CASES)
    progress = Kills()
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
    assert progress.killed == ["SearchWorker", "WriterActor"]
    assert sum("a search worker was lost" in line for line in progress.phases) == 1
    assert progress.back, "it never searched again"
    assert all(before <= after for column in zip(*progress.told, strict=True) for before, after in pairwise(column))
    assert progress.told[-1][0] == CASES
    counted = Counter(row["case_id"] for row in iter_rows(tmp_path / "run/results"))
    assert len(counted) == CASES
    assert set(counted.values()) == {1}
