"""The endpoint actor's class, used here without Ray's process around it."""

import asyncio
from pathlib import Path

import pytest

from mics_ray.config.schema import ModelConfig
from mics_ray.models.types import Reply, Request
from mics_ray.runtime.driver import endpoint_actor
from mics_ray.runtime.driver.endpoint_actor import EndpointActor
from mics_ray.runtime.driver.remote_endpoint import EndpointCall
from tests.support.faulty_server import FaultyServer, answer, completion


def call(ticket: int) -> EndpointCall:
    request = Request("m", "m", "", "", f"text {ticket}", "", temperature=0.0, max_tokens=9, seed=1)
    return EndpointCall(ticket, request, None)


async def test_stored_answers_wait_for_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FaultyServer([], answer(completion("yes"))) as server, asyncio.timeout(30):
        actor = EndpointActor({"m": ModelConfig(model="m", base_url=server.url)}, str(tmp_path), "endpoint-0")
        await actor.submit("a", [call(0), call(1)])
        bought = await actor.collect("a")
        while len(bought) < 2:
            bought += await actor.collect("a")
        monkeypatch.setattr(endpoint_actor, "LINGER_S", 3600)
        await actor.submit("a", [call(0), call(1)])
        stored = await actor.collect("a")
        assert [ticket for ticket, _, _ in stored] == [0, 1]
        assert all(isinstance(reply, Reply) and reply.cached for _, reply, _ in stored)
        await actor.drain(1)
