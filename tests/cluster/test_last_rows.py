"""The last rows of a run do not wait for the age at which rows are committed: nothing is left that could join them."""

import os
import signal
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import ray

from mics_ray.config.compose import compose_config
from mics_ray.errors import EXIT_OK
from mics_ray.io.shards.reading import iter_rows, list_shards
from mics_ray.jobs.generation import prepare_generation
from mics_ray.jobs.row_writer import CommitPolicy, RowWriter
from mics_ray.runtime.driver import run
from mics_ray.runtime.driver.writer import WriterActor
from mics_ray.runtime.monitor.progress import Progress
from tests.support.provider import Provider, write_cases

pytestmark = pytest.mark.cluster

CASES = 80
"""More than a shard has."""
PATIENCE_S = 120.0
"""For the whole run, which is stopped then."""


class PatientWriter(WriterActor):
    """Commits whole shards, and what is less only when it is told to."""

    def __init__(self, folder: str, log_folder: str) -> None:
        super().__init__(folder, log_folder)
        self._rows = RowWriter(self._store, CommitPolicy(first_age_s=3600, last_age_s=3600))


def test_a_run_ends_though_its_last_rows_are_young(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_patient(folder: Path, log_folder: Path) -> Any:
        return ray.remote(PatientWriter).options(num_cpus=0, max_concurrency=1000).remote(str(folder), str(log_folder))

    monkeypatch.setattr(run, "start_writer", start_patient)
    write_cases(tmp_path / "cases.jsonl", CASES)
    with Provider() as provider:
        provider.write_groups(tmp_path / "conf")
        overrides = [
            "mentors=test", "interns=test", "judge=test", f"data.cases={tmp_path}/cases.jsonl",
            f"run.dir={tmp_path}/run", "ray.workers=2",
        ]  # fmt: skip
        with prepare_generation(compose_config(overrides, tmp_path / "conf")) as job:
            impatient = Timer(PATIENCE_S, lambda: os.kill(os.getpid(), signal.SIGINT))
            impatient.start()
            end = run.search_job(job, Progress(), lambda *_: {})
            impatient.cancel()
    assert end.code == EXIT_OK, end.message
    assert len(list(iter_rows(tmp_path / "run/results", ["case_id"]))) == CASES
    assert len(list_shards(tmp_path / "run/results")) == 2, "rows that could wait for others were committed alone"
