"""Replicas that come and go with the queue, on a real Ray with a stand-in for the engine."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray

from mics_ray.config.compose import compose_config
from mics_ray.config.schema import Config, InternDefaults, ModelConfig
from mics_ray.io.shards.reading import iter_rows
from mics_ray.jobs.generation import prepare_generation, serve_simulated_models
from mics_ray.models.types import Request
from mics_ray.runtime.driver.run import search_job
from mics_ray.runtime.monitor.progress import Progress
from mics_ray.runtime.serving import fleet as fleet_module
from mics_ray.runtime.serving.fleet import Fleet
from mics_ray.runtime.serving.model_actors import connect_routers, remote_replicas, start_replica
from mics_ray.runtime.serving.picture_refs import PictureRefs
from mics_ray.runtime.serving.placement import ReplicaNeed
from mics_ray.runtime.serving.replica import ReplicaSpec
from mics_ray.runtime.serving.replica_policy import QueueDepths
from tests.support.slow_engine import SlowEngine

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

NAME = "slow"
DEPTHS = QueueDepths(high=8, goal=4, low=4, up_s=1, down_s=10, cool_s=2)
REQUESTS = 120


def slow_spec(config: Config, need: ReplicaNeed, number: int, *_: Any) -> ReplicaSpec:
    return ReplicaSpec(need.entry, number, config.interns[need.entry], False, start=SlowEngine.start)


@pytest.fixture
def slow_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "replica_spec", slow_spec)


class Asker:
    """A worker with nothing but its routers."""

    async def take(self, replicas: dict[str, list[Any]]) -> None:
        self.router = connect_routers(replicas, PictureRefs())[NAME]

    async def update_replicas(self, replicas: dict[str, list[Any]]) -> None:
        await self.router.update_replicas(remote_replicas(replicas[NAME], PictureRefs()))

    async def ask(self, first: int) -> list[str]:
        asked = [Request(NAME, "m", "", "", f"q{first + n}", "", 0.0, 8, n) for n in range(REQUESTS)]
        replies = await asyncio.gather(*(self.router.route_request(one.text, one, None) for one in asked))
        return [reply.text.split("\n")[0] for reply in replies]

    async def queued(self) -> int:
        return self.router.queued


def config(least: int, most: int) -> Config:
    model = ModelConfig(model="m", base_url="local")
    intern = InternDefaults(model="m", replicas={"min": least, "max": most})
    return Config(mentors={"a": model, "b": model}, interns={NAME: intern}, judge=model)


def first_replica() -> Any:
    spec = ReplicaSpec(NAME, 0, InternDefaults(model="m"), False, start=SlowEngine.start)
    return start_replica(spec, ReplicaNeed(NAME, 1, 0, 0))


def until(done: Callable[[], bool], act: Callable[[], object]) -> None:
    """Act again and again until it is done; five minutes at most."""
    deadline = time.monotonic() + 300
    while not done():
        assert time.monotonic() < deadline, "nothing happens"
        act()
        time.sleep(0.05)


def test_a_deep_queue_brings_replicas_up_to_the_most_and_an_empty_one_takes_them_away(
    ray_cluster: None, slow_replicas: None
) -> None:
    fleet = Fleet(config(1, 3), {NAME: [first_replica()]}, "", "", DEPTHS)
    asker = ray.remote(Asker).options(num_cpus=0, max_concurrency=100).remote()
    ray.get(asker.take.remote(fleet.replicas))
    under_way, clock = [asker.ask.remote(0)], 0.0

    def step() -> None:
        nonlocal clock
        clock += 1.0
        fleet.adjust_replicas(clock, {NAME: ray.get(asker.queued.remote())}, [asker])

    def step_with_deep_queue() -> None:
        """However long replicas take to start, the queue that they are for is still there."""
        if ray.get(asker.queued.remote()) < REQUESTS / 2:
            under_way.append(asker.ask.remote(len(under_way) * REQUESTS))
        step()

    until(lambda: len(fleet.replicas[NAME]) == 3, step_with_deep_queue)
    under_way.append(asker.ask.remote(len(under_way) * REQUESTS))
    step()
    texts = [text for answers in ray.get(under_way, timeout=300) for text in answers]
    assert sorted(text.split(" by ")[0] for text in texts) == sorted(f"q{n}" for n in range(len(under_way) * REQUESTS))
    assert len(Counter(text.split(" by ")[1] for text in texts[-REQUESTS:])) == 3, "all three answered"
    everybody = list(fleet.replicas[NAME])
    until(lambda: len(fleet.replicas[NAME]) == 1, step)
    assert fleet.replicas[NAME] == everybody[:1], "the last to come are the first to go"
    step()
    for gone in everybody[1:]:
        until(partial(dead, gone), step)
    assert not dead(everybody[0])
    assert [line.split(":")[1].split(",")[0] for line in fleet.changes] == [
        " 1 -> 3 replicas",
        " 3 -> 2 replicas",
        " 2 -> 1 replicas",
    ]
    fleet.close()
    ray.kill(everybody[0])
    ray.kill(asker)


def dead(handle: Any) -> bool:
    try:
        ray.get(handle.read_facts.remote(), timeout=10)
    except ray.exceptions.RayActorError:
        return True
    return False


def test_a_replica_retired_under_load_answers_first_and_nothing_is_asked_twice(
    ray_cluster: None, slow_replicas: None
) -> None:
    fleet = Fleet(config(1, 2), {NAME: [first_replica()]}, "", "", DEPTHS)
    asker = ray.remote(Asker).options(num_cpus=0, max_concurrency=100).remote()
    ray.get(asker.take.remote(fleet.replicas))
    clock = iter(range(10_000))
    until(
        lambda: len(fleet.replicas[NAME]) == 2, lambda: fleet.adjust_replicas(float(next(clock)), {NAME: 100}, [asker])
    )
    pids = [ray.get(handle.read_facts.remote()).pid for handle in fleet.replicas[NAME]]
    under_way = asker.ask.remote(0)
    until(lambda: ray.get(asker.queued.remote()) == REQUESTS, lambda: None)
    until(lambda: len(fleet.replicas[NAME]) == 1, lambda: fleet.adjust_replicas(float(next(clock)), {NAME: 0}, [asker]))
    until(
        lambda: bool(ray.wait([under_way], timeout=0)[0]),
        lambda: fleet.adjust_replicas(float(next(clock)), {NAME: 6}, [asker]),
    )
    texts = ray.get(under_way)
    assert sorted(text.split(" by ")[0] for text in texts) == sorted(f"q{n}" for n in range(REQUESTS))
    assert any(text.endswith(str(pids[1])) for text in texts), "the retired one kept what it had been asked"
    fleet.close()
    for handle in fleet.replicas[NAME]:
        ray.kill(handle)
    ray.kill(asker)


def test_a_run_that_scales_ends_with_every_row_exactly_once(
    ray_cluster: None, slow_replicas: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mics_ray.runtime.serving.fleet.QueueDepths", lambda: QueueDepths(8, 4, 4, up_s=0, down_s=1, cool_s=0.5)
    )
    job_config = compose_config(
        [
            "experiment=demo",
            f"run.dir={tmp_path}/run",
            "~interns.tiny_qwen25vl",
            "interns.tiny_internvl.replicas={min: 1, max: 3}",
        ]
    )
    phases: list[str] = []
    monkeypatch.setattr(Progress, "show_phase", lambda self, text: phases.append(text))
    handle = first_replica()
    with prepare_generation(job_config) as job, serve_simulated_models(job.config, job.folder) as served:
        end = search_job(job.use_config(served), Progress(), lambda *_: {"tiny_internvl": [handle]})
    ray.kill(handle)
    assert end.code == 0, end.message
    rows = list(iter_rows(tmp_path / "run/results"))
    assert len(rows) == len({row["case_id"] for row in rows}) == 32
    assert all(vote["failure"] is None for row in rows for node in row["nodes"] for vote in node["votes"])
    noted = json.loads((tmp_path / "run/latencies.json").read_text())
    assert set(noted["latencies"]) == {"tiny_internvl", "judge", *job_config.mentors}
    assert set(noted["waited_s"]) == {"judge", *job_config.mentors}
    assert sum(noted["latencies"]["tiny_internvl"].values()) >= sum(
        len(node["votes"]) for row in rows for node in row["nodes"]
    )
    assert any("1 -> 3 replicas" in text for text in phases), phases
