"""What a router keeps of its replicas and of its calls, and what a failure means for a call. No Ray here."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mics_ray.models.types import Failure, LostCall, Pictures, Reply, Request

ENGINE_FAILURES = 2
"""Engine failures that a request may be part of, the second one alone; then it is taken for their cause."""
SUSPECT_DEATHS = 2
"""Deaths of the process, more likely a kill or a lost node, after which a request is asked alone."""
REPLICA_DEATHS = SUSPECT_DEATHS + 2
"""Deaths of the process, two of them alone, after which a request is taken for their cause."""
RESTARTS_IN_VAIN = 5
"""Restarts of one replica without a reply of its model between them, after which no more is asked of the model."""
ENGINE, ENGINE_DEAD, LEAVING, DOWN, POISON = "engine", "engine_dead", "leaving", "replica_down", "poison"

ReplicaAnswer = Reply | LostCall


class ReplicaDown(Exception):
    """The replica's process is gone or being restarted; its calls may be made again."""


class StartFailed(ReplicaDown):
    """The replica's process is there, its engine did not start; the process is started again."""


class Replica(Protocol):
    """One process that serves a model. Every method raises :class:`ReplicaDown`."""

    async def ready(self) -> None:
        """Return when the replica takes calls. Raises :class:`StartFailed`, too."""
        ...

    async def generate(self, requests: Sequence[Request], pictures: Pictures | None) -> list[ReplicaAnswer]:
        """Answer requests that share their pictures, in order."""
        ...

    async def probe(self) -> None:
        """Generate one token."""
        ...

    async def replace(self) -> None:
        """Have the process ended and started again."""
        ...


@dataclass(slots=True, eq=False)
class ReplicaState:
    """A replica as this router sees it; ``life`` counts its restarts, ``heard`` is when it last gave a sign of life.

    A ``retired`` one gets no further calls, a ``reserved`` one those of a suspect alone; ``idle`` is set while it has
    none in flight.
    """

    number: int
    replica: Replica
    up: bool = True
    retired: bool = False
    reserved: bool = False
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    restarts: int = 0
    deaths_in_vain: int = 0
    """Ends of its process since any replica of its model replied."""
    in_flight: int = 0
    last_alive: float = 0.0
    probe_lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True, eq=False)
class RoutedCall:
    """One request on its way; ``future`` gets its answer."""

    request: Request
    future: asyncio.Future[ReplicaAnswer]
    failures: int = 0
    failed_at: int | None = None
    """The replica whose engine failed with it: it goes to another one next, if there is one."""
    deaths: int = 0
    suspect: bool = False
    """An engine or several processes died while it was in flight: it is asked alone, so that no neighbour dies too."""


def is_free(state: ReplicaState) -> bool:
    """Whether a replica takes calls beside those that it has."""
    return state.up and not state.reserved


def settle_call(call: RoutedCall, answer: ReplicaAnswer, number: int) -> None:
    """Give a call its answer, or leave it open for another try after a failure of the engine of replica ``number``."""
    if isinstance(answer, LostCall) and answer.failure.kind == LEAVING:
        count_death(call)  # the process ends for earlier failures: that is a death beside it, not its own failure
        return
    if isinstance(answer, Reply) or answer.failure.kind not in (ENGINE, ENGINE_DEAD):
        finish_call(call, answer)
        return
    call.failures, call.failed_at = call.failures + 1, number
    call.suspect = call.suspect or answer.failure.kind == ENGINE_DEAD
    if call.failures >= ENGINE_FAILURES:
        finish_call(call, LostCall(Failure(POISON, f"the engine failed {call.failures} times with this request")))


def count_death(call: RoutedCall) -> None:
    """The process that served the call is gone: it may be asked again, but not for ever."""
    call.deaths += 1
    call.suspect = call.suspect or call.deaths >= SUSPECT_DEATHS
    if call.deaths >= REPLICA_DEATHS:
        finish_call(call, LostCall(Failure(POISON, f"{call.deaths} replicas died with this request in flight")))


def finish_call(call: RoutedCall, answer: ReplicaAnswer | Exception) -> None:
    """Set the answer, unless the caller has gone. An unexpected error is the caller's to see."""
    if call.future.done():
        return
    if isinstance(answer, Reply | LostCall):
        call.future.set_result(answer)
    else:
        call.future.set_exception(answer)
