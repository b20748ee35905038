"""Replicas that hang and requests that kill them, on a real Ray with a stand-in for the engine."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError

from mics_ray.config.schema import InternDefaults
from mics_ray.models.types import LostCall, Refused, Reply, Request
from mics_ray.runtime.serving.model_actors import remote_replicas, start_replica
from mics_ray.runtime.serving.picture_refs import PictureRefs
from mics_ray.runtime.serving.placement import ReplicaNeed
from mics_ray.runtime.serving.replica import ReplicaFacts, ReplicaSpec, StartEngine
from mics_ray.runtime.serving.replica_state import REPLICA_DEATHS
from mics_ray.runtime.serving.router import Router
from tests.support.slow_engine import DeadlyEngine, OnceEngine, SickEngine, SlowEngine

pytestmark = [pytest.mark.cluster, pytest.mark.chaos]

NAME = "slow"
Start = Callable[..., Any]


@pytest.fixture
def start(ray_cluster: None) -> Iterator[Start]:
    """Starts a replica around an engine; it is gone at the end."""
    started = []

    def replica(engine: StartEngine, model: str = "m") -> Any:
        spec = ReplicaSpec(NAME, len(started), InternDefaults(model=model), False, start=engine)
        started.append(start_replica(spec, ReplicaNeed(NAME, 1, 0, 0)))
        ray.get(started[-1].ready.remote(), timeout=60)
        return started[-1]

    yield replica
    for handle in started:
        ray.kill(handle)


async def pid_of(handle: Any) -> int:
    """The process of a replica, once it is back."""
    while True:
        try:
            facts: ReplicaFacts = await handle.read_facts.remote()
        except RayActorError:
            await asyncio.sleep(0.2)
        else:
            return facts.pid


def request(number: int, text: str = "q") -> Request:
    return Request(NAME, "m", "", "", f"{text} {number}", "", 0.0, 8, number)


async def test_a_replica_that_hangs_is_replaced_and_every_call_is_answered(start: Start) -> None:
    handles = [start(SlowEngine.start), start(SlowEngine.start)]
    hung: ReplicaFacts = await handles[0].read_facts.remote()
    router = Router(NAME, remote_replicas(handles, PictureRefs()), stall_s=3, probe_s=3)
    calls = [asyncio.ensure_future(router.route_request(f"case-{n}", request(n), None)) for n in range(60)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    os.kill(hung.pid, signal.SIGSTOP)
    assert sum(call.done() for call in calls) < len(calls), "stopped too late to matter"
    replies = await asyncio.wait_for(asyncio.gather(*calls), timeout=90)
    assert all(isinstance(reply, Reply) for reply in replies)
    assert await asyncio.wait_for(pid_of(handles[0]), timeout=60) != hung.pid


@pytest.mark.slow
async def test_a_request_that_kills_replicas_is_given_up_and_all_others_are_answered(start: Start) -> None:
    handle = start(DeadlyEngine.start)
    router = Router(NAME, remote_replicas([handle], PictureRefs()))
    first = await pid_of(handle)
    beside = [asyncio.ensure_future(router.route_request(f"case-{n}", request(n), None)) for n in range(20)]
    with pytest.raises(LostCall) as lost:
        await asyncio.wait_for(router.route_request("poisoned", request(99, "poison"), None), timeout=150)
    assert lost.value.failure.kind == "poison"
    assert f"{REPLICA_DEATHS} replicas died" in lost.value.failure.message
    assert all(isinstance(one, Reply) for one in await asyncio.wait_for(asyncio.gather(*beside), timeout=60))
    reply = await asyncio.wait_for(router.route_request("case", request(1), None), timeout=60)
    assert reply.text
    assert await pid_of(handle) != first


@pytest.mark.slow
async def test_a_replica_that_fails_everything_is_replaced(start: Start, tmp_path: Path) -> None:
    handles = [start(SickEngine.start, str(tmp_path / "was")), start(SlowEngine.start)]
    sick: ReplicaFacts = await handles[0].read_facts.remote()
    router = Router(NAME, remote_replicas(handles, PictureRefs()))
    calls = [router.route_request(f"case-{n}", request(n), None) for n in range(60)]
    ends = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), timeout=90)
    assert await asyncio.wait_for(pid_of(handles[0]), timeout=60) != sick.pid
    again = [router.route_request(f"case-{n}", request(n, "again"), None) for n in range(60)]
    assert all(isinstance(end, Reply) for end in await asyncio.wait_for(asyncio.gather(*again), timeout=90))
    assert all(isinstance(end, Reply) for end in ends), Counter(str(end) for end in ends)


@pytest.mark.slow
async def test_a_replica_whose_engine_does_not_start_again_is_given_up(start: Start, tmp_path: Path) -> None:
    handle = start(OnceEngine.start, str(tmp_path / "was"))
    router = Router(NAME, remote_replicas([handle], PictureRefs()))
    assert (await router.route_request("case", request(1), None)).text
    with pytest.raises(Refused) as refused:
        await asyncio.wait_for(router.route_request("case", request(2, "poison"), None), timeout=240)
    assert (refused.value.entry, refused.value.failure.kind) == (NAME, "restarts")
    assert "restarted 5 times without a reply between" in refused.value.failure.message
    assert "RuntimeError: No CUDA GPUs are available" in refused.value.failure.message
    with pytest.raises(Refused):
        await router.route_request("case", request(3), None)
