"""Handles on one endpoint actor do not mix their replies up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import ray

from mics_ray.config.schema import ModelConfig
from mics_ray.models.types import Request
from mics_ray.runtime.driver.endpoint_actor import start_endpoint
from mics_ray.runtime.driver.remote_endpoint import RemoteEndpoint
from mics_ray.runtime.serving.picture_refs import PictureRefs
from tests.support.faulty_server import FaultyServer, Seen, answer, completion

pytestmark = pytest.mark.cluster


def request(text: str) -> Request:
    return Request("m", "m", "", "", text, "", temperature=0.0, max_tokens=9, seed=1)


@asynccontextmanager
async def held_back() -> AsyncIterator[tuple[FaultyServer, asyncio.Event, asyncio.Event]]:
    """A server that keeps its first reply from the one event, which it sets, until the other is set."""
    arrived, release = asyncio.Event(), asyncio.Event()

    async def first(seen: Seen, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await release.wait()
        await answer(completion("to the lost worker"))(seen, writer)

    async with FaultyServer([first], answer(completion("to its successor"))) as server:
        yield server, arrived, release


async def test_a_workers_successor_gets_its_own_replies_whatever_the_lost_one_waited_for(
    ray_cluster: None, tmp_path: Path
) -> None:
    async with held_back() as (server, arrived, release):
        actor = start_endpoint({"m": ModelConfig(model="m", base_url=server.url)}, str(tmp_path), "endpoint")
        lost = asyncio.create_task(RemoteEndpoint(actor, PictureRefs()).complete(request("one"), None))
        async with asyncio.timeout(60):
            await arrived.wait()
            # Both handles count their tickets from 0, and the lost one's long poll is still open.
            successor = await RemoteEndpoint(actor, PictureRefs()).complete(request("two"), None)
            release.set()
            assert (successor.text, (await lost).text) == ("to its successor", "to the lost worker")
    ray.kill(actor)
