"""Whole searches: both tiny interns on real vLLM, simulated mentors and judge; phantoms, real cases."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import ray

from mics_ray.config.compose import compose_config
from mics_ray.errors import EXIT_OK
from mics_ray.io.rows import read_trees, read_usage
from mics_ray.io.shards.reading import iter_rows
from mics_ray.jobs.generation import prepare_generation, serve_simulated_models
from mics_ray.runtime.driver.run import search_job
from mics_ray.runtime.monitor.progress import Progress, Snapshot
from tests.support.processes import kill

pytestmark = pytest.mark.cluster

REAL = Path(__file__).resolve().parents[2].parent / "shared/data/chiron_demo"


class KillOnce(Progress):
    """Kills a process as soon as a search is open."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.pid: int | None = pid

    def show_snapshot(self, snapshot: Snapshot) -> None:
        if self.pid is not None and snapshot.searching:
            kill(self.pid)
            self.pid = None


def searched(replicas: dict[str, list[Any]], progress: Progress, *overrides: str) -> list[dict[str, Any]]:
    config = compose_config(["experiment=demo", *overrides])
    with prepare_generation(config) as job, serve_simulated_models(config, job.folder) as served:
        end = search_job(job.use_config(served), progress, lambda *_: replicas)
        assert end.code == EXIT_OK, end.message
        return list(iter_rows(job.folder.results))


def test_phantoms_end_in_mixed_outcomes_though_a_replica_is_killed(
    replicas: dict[str, list[Any]], tmp_path: Path
) -> None:
    victim = ray.get(replicas["tiny_qwen25vl"][0].read_facts.remote()).pid
    progress = KillOnce(victim)
    rows = searched(replicas, progress, f"run.dir={tmp_path}/run")
    assert progress.pid is None, "nothing was killed"
    assert ray.get(replicas["tiny_qwen25vl"][0].read_facts.remote()).pid != victim
    assert sorted(row["case_id"] for row in rows) == [f"phantom-{number:03}" for number in range(1, 33)]
    outcomes = Counter(row["outcome"] for row in rows)
    assert outcomes["failed"] == outcomes["rejected"] == 0
    solved = Counter(row["rounds"] for row in rows if row["outcome"] == "solved")
    assert solved[1], "some are solved in round one"
    assert sum(solved.values()) + outcomes["depth"] > solved[1], "some deeper"
    assert outcomes["dead_end"], "some not at all"
    for row in rows:
        votes = [vote for tree in read_trees(row) for node in tree.nodes for vote in node.votes]
        judged = {"judge"} if any(vote.answer and not vote.matched for vote in votes) else set()
        assert set(read_usage(row)) > {"tiny_internvl", "tiny_qwen25vl"} | judged
        assert all(vote.failure is None for vote in votes)


@pytest.mark.skipif(not REAL.exists(), reason="the real cases are not on this machine")
@pytest.mark.slow
def test_ten_real_cases_end_as_exactly_one_row_each(replicas: dict[str, list[Any]], tmp_path: Path) -> None:
    rows = searched(
        replicas,
        Progress(),
        f"data.cases={REAL}/demo.jsonl",
        f"data.image_root={REAL}/images",
        f"run.dir={tmp_path}/run",
    )
    assert len({row["case_id"] for row in rows}) == len(rows) == 10
    assert {row["outcome"] for row in rows} <= {"solved", "depth", "dead_end"}
    assert all(row["images"] and row["nodes"] for row in rows)
