"""A model whose replica restarts again and again without a reply ends the run, one that replies between does not."""

import asyncio
from collections.abc import Sequence

import pytest

from mics_ray.models.types import Failure, LostCall, Pictures, Refused, Reply, Request
from mics_ray.runtime.serving.replica_state import RESTARTS_IN_VAIN, ReplicaAnswer, ReplicaDown, StartFailed
from mics_ray.runtime.serving.router import Router


class FailingReplica:
    """Plays ``acts``, one a call, the last for ever; ``starts`` are what its restarts do."""

    def __init__(self, *acts: str, starts: Sequence[str] = ("back",)) -> None:
        self.acts, self.starts = list(acts), list(starts)
        self.generated = self.restarted = 0

    async def generate(self, requests: Sequence[Request], pictures: Pictures | None) -> list[ReplicaAnswer]:
        self.generated += 1
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        if act == "die":
            raise ReplicaDown("ActorDiedError")
        if act == "engine_dead":
            return [LostCall(Failure("engine_dead", "the engine died")) for _ in requests]
        return [Reply("kept" if act == "kept" else "said", cached=act == "kept") for _ in requests]

    async def ready(self) -> None:
        start = self.starts.pop(0) if len(self.starts) > 1 else self.starts[0]
        if start == "away":
            raise ReplicaDown("ActorUnavailableError")
        self.restarted += 1
        if start == "fails":
            raise StartFailed("tiny on gpu7: weights cut short")

    async def probe(self) -> None: ...

    async def replace(self) -> None: ...


async def ask(router: Router, count: int) -> list[Reply | BaseException]:
    """Ask one after another."""
    found: list[Reply | BaseException] = []
    for number in range(count):
        asked = Request("tiny", "m", "", "", f"q{number}", "", 0.3, 16, number)
        try:
            found.append(await router.route_request(f"case-{number}", asked, None))
        except (LostCall, Refused) as error:
            found.append(error)
    return found


def make_router(*replicas: FailingReplica) -> Router:
    return Router("tiny", replicas, patience_s=30.0, poll_s=0.001)


@pytest.mark.parametrize("act", ["die", "engine_dead"])
async def test_five_restarts_without_a_reply_are_enough(act: str) -> None:
    replica = FailingReplica(act)
    found = await asyncio.wait_for(ask(make_router(replica), 12), 20)
    refused = [one for one in found if isinstance(one, Refused)]
    assert len(refused) >= 8, "the others were lost while it was restarted"
    assert (refused[0].entry, refused[0].failure.kind) == ("tiny", "restarts")
    assert "restarted 5 times without a reply between" in refused[0].failure.message
    assert replica.generated == RESTARTS_IN_VAIN + 1, "nothing is asked any more"


async def test_an_engine_that_does_not_start_again_is_waited_for_five_times_and_named() -> None:
    replica = FailingReplica("die", starts=["away", "away", "fails"])
    (found,) = await asyncio.wait_for(ask(make_router(replica), 1), 20)
    assert isinstance(found, Refused)
    assert "tiny on gpu7: weights cut short" in found.failure.message
    assert replica.restarted >= RESTARTS_IN_VAIN
    assert replica.generated == 1


@pytest.mark.parametrize(("between", "refused"), [("said", False), ("kept", True)])
async def test_a_reply_between_is_one_that_the_engine_made(between: str, refused: bool) -> None:
    acts = [*["die"] * 3, between, *["die"] * 3, between, *["die"] * 3, "said"]
    found = await asyncio.wait_for(ask(make_router(FailingReplica(*acts)), 6), 20)
    assert any(isinstance(one, Refused) for one in found) is refused


async def test_a_replica_that_replies_serves_on_beside_one_that_does_not() -> None:
    found = await asyncio.wait_for(ask(make_router(FailingReplica("die"), FailingReplica("said")), 40), 20)
    assert all(isinstance(one, Reply) for one in found)


async def test_many_replicas_that_die_at_once_are_no_restarts_in_vain() -> None:
    replicas = [FailingReplica("die", "said") for _ in range(8)]
    found = await asyncio.wait_for(ask(make_router(*replicas), 30), 20)
    assert not any(isinstance(one, Refused) for one in found)
