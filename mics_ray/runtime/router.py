"""One intern's replicas seen as one model: case affinity, batching, calls that outlive a dead replica. No Ray here."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mics_ray.models.types import Failure, LostCall, Pictures, Reply, Request
from mics_ray.runtime.affinity import Load, choose

log = logging.getLogger(__name__)

ENGINE_FAILURES = 2
"""Engine failures that a request may be part of; then it is taken for their cause."""
REPLICA_DEATHS = 5
"""Deaths from outside (a kill, a lost node) that a request may see; more of them, since it is hardly the cause."""
ENGINE, ENGINE_DEAD, DOWN, POISON = "engine", "engine_dead", "intern_down", "poison"

Answer = Reply | LostCall


class ReplicaDown(Exception):
    """The replica's process is gone or being restarted; its calls may be made again."""


class Replica(Protocol):
    """One process that serves an intern. Every method raises :class:`ReplicaDown`."""

    async def ready(self) -> None:
        """Return when the replica takes calls."""
        ...

    async def ask_many(self, requests: Sequence[Request], pictures: Pictures | None) -> list[Answer]:
        """Answer requests that share their pictures, in order."""
        ...

    async def probe(self) -> None:
        """Generate one token."""
        ...

    async def replace(self) -> None:
        """Have the process ended and started again."""
        ...


@dataclass(slots=True, eq=False)
class _Seat:
    """A replica as this router sees it; ``life`` counts its restarts, ``heard`` is when it last gave a sign of life.

    A ``retired`` one gets no further calls; ``idle`` is set while it has none in flight.
    """

    number: int
    replica: Replica
    up: bool = True
    retired: bool = False
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    life: int = 0
    in_flight: int = 0
    heard: float = 0.0
    check: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True, eq=False)
class _Call:
    """One request on its way; ``future`` gets its answer."""

    request: Request
    future: asyncio.Future[Answer]
    failures: int = 0
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class BoundModel:
    """The router as a :class:`~mics_ray.models.types.Model` for one case."""

    router: "Router"
    case_id: str

    async def ask(self, request: Request, pictures: Pictures | None) -> Reply:
        """See :meth:`Router.ask`."""
        return await self.router.ask(self.case_id, request, pictures)


class Router:
    """Lives in one process and one event loop. All times in seconds.

    ``patience_s``: how long a call waits for any replica to come back. ``stall_s``: silence with calls in flight after
    which a replica is probed; it is replaced when the probe takes longer than ``probe_s``. ``poll_s``: between looks at
    a dead one.
    """

    def __init__(
        self,
        name: str,
        replicas: Sequence[Replica],
        patience_s: float = 900.0,
        stall_s: float = 300.0,
        probe_s: float = 120.0,
        poll_s: float = 0.5,
    ) -> None:
        self._name = name
        self._seats = [_Seat(number, replica) for number, replica in enumerate(replicas)]
        self._patience_s, self._stall_s, self._probe_s, self._poll_s = patience_s, stall_s, probe_s, poll_s
        self._gathering: dict[tuple[str, str, str], list[_Call]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._any_up = asyncio.Event()
        self._any_up.set()
        self._queued = 0

    @property
    def queued(self) -> int:
        """Requests that were asked and have no answer yet."""
        return self._queued

    async def staff(self, replicas: Sequence[Replica]) -> None:
        """Serve with these replicas from here on; the ones that are known keep their places.

        Returns when those that are left out have answered what they had been asked.
        """
        old = self._seats
        self._seats = [
            old[number] if number < len(old) and old[number].replica == replica else _Seat(number, replica)
            for number, replica in enumerate(replicas)
        ]
        if any(seat.up for seat in self._seats):
            self._any_up.set()
        else:
            self._any_up.clear()
        leaving = [seat for seat in old if seat not in self._seats]
        for seat in leaving:
            seat.retired = True
        for seat in leaving:
            if seat.in_flight:
                await seat.idle.wait()

    def bound(self, case_id: str) -> BoundModel:
        """A model whose calls keep to the case's replica, where its pictures and question are cached."""
        return BoundModel(self, case_id)

    async def ask(self, case_id: str, request: Request, pictures: Pictures | None) -> Reply:
        """Answer, with what else is asked of the same prompt in this turn of the event loop in one call.

        Raises :class:`LostCall`; of its own kinds: ``intern_down`` and ``poison`` (engines died of this request).
        """
        loop = asyncio.get_running_loop()
        key = (case_id, request.pictures, request.text)
        if key not in self._gathering:
            self._gathering[key] = []
            loop.call_soon(self._send, key, pictures)
        call = _Call(request, loop.create_future())
        self._gathering[key].append(call)
        self._queued += 1
        try:
            answer = await call.future
        finally:
            self._queued -= 1
        if isinstance(answer, LostCall):
            raise answer
        return answer

    def _send(self, key: tuple[str, str, str], pictures: Pictures | None) -> None:
        self._spawn(self._serve(key[0], self._gathering.pop(key), pictures))

    async def _serve(self, case_id: str, calls: list[_Call], pictures: Pictures | None) -> None:
        """Ask until every call has its answer; a call that nobody waits for any more is dropped."""
        try:
            while calls := [call for call in calls if not call.future.done()]:
                seat = await self._seat(case_id)
                life = seat.life
                try:
                    answers = await self._ask(seat, [call.request for call in calls], pictures)
                except ReplicaDown:
                    self._mark_down(seat, life)
                    for call in calls:
                        _count_death(call)
                    continue
                for call, answer in zip(calls, answers, strict=True):
                    _settle(call, answer)
                if any(isinstance(answer, LostCall) and answer.failure.kind == ENGINE_DEAD for answer in answers):
                    self._mark_down(seat, life)
        except Exception as error:
            for call in calls:
                _finish(call, error)

    async def _seat(self, case_id: str) -> _Seat:
        """The replica for the case, once one is up. Raises :class:`LostCall` when none comes back in time."""
        try:
            async with asyncio.timeout(self._patience_s):
                while not (live := [Load(seat.number, seat.in_flight) for seat in self._seats if seat.up]):
                    await self._any_up.wait()
        except TimeoutError:
            raise LostCall(Failure(DOWN, f"no replica came back in {self._patience_s:g} s")) from None
        return self._seats[choose(case_id, live)]

    async def _ask(self, seat: _Seat, requests: list[Request], pictures: Pictures | None) -> list[Answer]:
        """One call to a replica, watched for silence."""
        loop = asyncio.get_running_loop()
        if not seat.in_flight:
            seat.heard = loop.time()
        seat.in_flight += len(requests)
        seat.idle.clear()
        work = asyncio.ensure_future(seat.replica.ask_many(requests, pictures))
        try:
            while not (await asyncio.wait({work}, timeout=self._stall_s))[0]:
                await self._look_after(seat)
            seat.heard = loop.time()
            return work.result()
        finally:
            seat.in_flight -= len(requests)
            if not seat.in_flight:
                seat.idle.set()
            work.cancel()

    async def _look_after(self, seat: _Seat) -> None:
        """Probe a replica that has been silent for too long, and have it replaced when it does not answer."""
        loop = asyncio.get_running_loop()
        async with seat.check:
            if loop.time() - seat.heard < self._stall_s or not seat.up:
                return
            try:
                async with asyncio.timeout(self._probe_s):
                    await seat.replica.probe()
                seat.heard = loop.time()
            except TimeoutError:
                log.warning("intern %s: replica %d is silent, probe included; replacing it", self._name, seat.number)
                await seat.replica.replace()
                self._mark_down(seat, seat.life)
            except ReplicaDown:
                self._mark_down(seat, seat.life)

    def _mark_down(self, seat: _Seat, life: int) -> None:
        """Send nothing to the replica until it is back; news of an earlier ``life`` says nothing about this one."""
        if not seat.up or seat.life != life:
            return
        seat.up, seat.life = False, life + 1
        if not any(other.up for other in self._seats):
            self._any_up.clear()
        log.warning("intern %s: replica %d is down, waiting for its restart", self._name, seat.number)
        self._spawn(self._revive(seat))

    async def _revive(self, seat: _Seat) -> None:
        while not seat.up and not seat.retired:
            try:
                await seat.replica.ready()
                seat.up, seat.heard = True, asyncio.get_running_loop().time()
            except ReplicaDown:
                await asyncio.sleep(self._poll_s)
        if not seat.retired:
            log.warning("intern %s: replica %d is back", self._name, seat.number)
            self._any_up.set()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _settle(call: _Call, answer: Answer) -> None:
    """Give a call its answer, or leave it open for another try after a failure of the engine."""
    if isinstance(answer, Reply) or answer.failure.kind not in (ENGINE, ENGINE_DEAD):
        _finish(call, answer)
        return
    call.failures += 1
    if call.failures >= ENGINE_FAILURES:
        _finish(call, LostCall(Failure(POISON, f"the engine failed {call.failures} times with this request")))


def _count_death(call: _Call) -> None:
    call.deaths += 1
    if call.deaths >= REPLICA_DEATHS:
        _finish(call, LostCall(Failure(POISON, f"{call.deaths} replicas died with this request in flight")))


def _finish(call: _Call, answer: Answer | Exception) -> None:
    """Set the answer, unless the caller has gone. An unexpected error is the caller's to see."""
    if call.future.done():
        return
    if isinstance(answer, Reply | LostCall):
        call.future.set_result(answer)
    else:
        call.future.set_exception(answer)
