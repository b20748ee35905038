"""One intern's replicas seen as one model: case affinity, batching, calls that outlive a dead replica. No Ray here."""

import asyncio
import logging
from collections.abc import AsyncIterator, Container, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mics_ray.models.chat import suspend_aware_clock
from mics_ray.models.types import Failure, LostCall, Pictures, Reply, Request
from mics_ray.runtime.serving.replica_state import (
    DOWN,
    ENGINE_DEAD,
    LEAVING,
    Answer,
    Call,
    Load,
    Replica,
    ReplicaDown,
    ReplicaState,
    choose_replica,
    count_death,
    finish,
    is_free,
    settle,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RoutedModel:
    """The router as a :class:`~mics_ray.models.types.Model` for one case."""

    router: "Router"
    case_id: str

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """See :meth:`Router.complete`."""
        return await self.router.complete(self.case_id, request, pictures)


class Router:
    """Lives in one process and one event loop. All times in seconds awake.

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
        self._seats = [ReplicaState(number, replica) for number, replica in enumerate(replicas)]
        self._patience_s, self._stall_s, self._probe_s, self._poll_s = patience_s, stall_s, probe_s, poll_s
        self._gathering: dict[tuple[str, str, str], list[Call]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._any_free = asyncio.Event()
        self._isolation = asyncio.Lock()
        self._queued = 0
        self._tell_free()

    @property
    def queued(self) -> int:
        """Requests that were asked and have no answer yet."""
        return self._queued

    async def update_replicas(self, replicas: Sequence[Replica]) -> None:
        """Serve with these replicas from here on; the ones that are known keep their places.

        Returns when those that are left out have answered what they had been asked.
        """
        old = self._seats
        self._seats = [
            old[number] if number < len(old) and old[number].replica == replica else ReplicaState(number, replica)
            for number, replica in enumerate(replicas)
        ]
        self._tell_free()
        leaving = [seat for seat in old if seat not in self._seats]
        for seat in leaving:
            seat.retired = True
        for seat in leaving:
            if seat.in_flight:
                await seat.idle.wait()

    def bind_case(self, case_id: str) -> RoutedModel:
        """A model whose calls keep to the case's replica, where its pictures and question are cached."""
        return RoutedModel(self, case_id)

    async def complete(self, case_id: str, request: Request, pictures: Pictures | None) -> Reply:
        """Answer, with what else is asked of the same prompt in this turn of the event loop in one call.

        Raises :class:`LostCall`; of its own kinds: ``intern_down`` and ``poison`` (engines died of this request).
        """
        loop = asyncio.get_running_loop()
        key = (case_id, request.pictures, request.text)
        if key not in self._gathering:
            self._gathering[key] = []
            loop.call_soon(self._send, key, pictures)
        call = Call(request, loop.create_future())
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

    async def _serve(self, case_id: str, calls: list[Call], pictures: Pictures | None) -> None:
        """Ask until every call has its answer; a call that nobody waits for any more is dropped."""
        try:
            while calls := [call for call in calls if not call.future.done()]:
                suspects = any(call.suspect for call in calls)
                failed_at = {call.failed_at for call in calls}
                async with self._alone(case_id) if suspects else self._shared(case_id, failed_at) as seat:
                    await self._try(seat, calls, pictures)
        except Exception as error:
            for call in calls:
                finish(call, error)

    async def _try(self, seat: ReplicaState, calls: list[Call], pictures: Pictures | None) -> None:
        """Ask once; what has no answer then may be asked again."""
        life = seat.life
        try:
            answers = await self._ask(seat, [call.request for call in calls], pictures)
        except ReplicaDown:
            self._mark_down(seat, life)
            for call in calls:
                count_death(call)
            return
        for call, answer in zip(calls, answers, strict=True):
            settle(call, answer, seat.number)
        if any(isinstance(answer, LostCall) and answer.failure.kind in (ENGINE_DEAD, LEAVING) for answer in answers):
            self._mark_down(seat, life)

    @asynccontextmanager
    async def _shared(self, case_id: str, failed_at: Container[int | None]) -> AsyncIterator[ReplicaState]:
        """A replica beside whatever else it serves."""
        yield await self._seat(case_id, failed_at)

    @asynccontextmanager
    async def _alone(self, case_id: str) -> AsyncIterator[ReplicaState]:
        """A replica that serves nothing else meanwhile; one suspect after the other."""
        async with self._isolation:
            seat = await self._seat(case_id)
            try:
                while not await self._emptied(seat):
                    seat.reserved = False
                    seat = await self._seat(case_id)
                yield seat
            finally:
                seat.reserved = False
                self._tell_free()

    async def _emptied(self, seat: ReplicaState) -> bool:
        """Reserve a replica and wait until it has nothing in flight; whether it is still up then."""
        seat.reserved = True
        self._tell_free()
        if seat.in_flight:
            await seat.idle.wait()
        return seat.up and not seat.retired

    async def _seat(self, case_id: str, failed_at: Container[int | None] = ()) -> ReplicaState:
        """The replica for the case, once one is free; one of ``failed_at`` only where no other is.

        Raises :class:`LostCall` when none comes back in time.
        """
        try:
            async with suspend_aware_clock.awake_timeout(self._patience_s):
                while not (live := [Load(seat.number, seat.in_flight) for seat in self._seats if is_free(seat)]):
                    await self._any_free.wait()
        except TimeoutError:
            raise LostCall(Failure(DOWN, f"no replica came back in {self._patience_s:g} s")) from None
        return self._seats[choose_replica(case_id, [load for load in live if load.number not in failed_at] or live)]

    async def _ask(self, seat: ReplicaState, requests: list[Request], pictures: Pictures | None) -> list[Answer]:
        """One call to a replica, watched for silence."""
        if not seat.in_flight:
            seat.heard = suspend_aware_clock.awake_time()
        seat.in_flight += len(requests)
        seat.idle.clear()
        work = asyncio.ensure_future(seat.replica.ask_many(requests, pictures))
        try:
            while not (await asyncio.wait({work}, timeout=self._stall_s))[0]:
                await self._look_after(seat)
            seat.heard = suspend_aware_clock.awake_time()
            return work.result()
        finally:
            seat.in_flight -= len(requests)
            if not seat.in_flight:
                seat.idle.set()
            work.cancel()

    async def _look_after(self, seat: ReplicaState) -> None:
        """Probe a replica that has been silent for too long, and have it replaced when it does not answer."""
        async with seat.check:
            if suspend_aware_clock.awake_time() - seat.heard < self._stall_s or not seat.up:
                return
            try:
                async with suspend_aware_clock.awake_timeout(self._probe_s):
                    await seat.replica.probe()
                seat.heard = suspend_aware_clock.awake_time()
            except TimeoutError:
                log.warning("intern %s: replica %d is silent, probe included; replacing it", self._name, seat.number)
                await seat.replica.replace()
                self._mark_down(seat, seat.life)
            except ReplicaDown:
                self._mark_down(seat, seat.life)

    def _mark_down(self, seat: ReplicaState, life: int) -> None:
        """Send nothing to the replica until it is back; news of an earlier ``life`` says nothing about this one."""
        if not seat.up or seat.life != life:
            return
        seat.up, seat.life = False, life + 1
        self._tell_free()
        log.warning("intern %s: replica %d is down, waiting for its restart", self._name, seat.number)
        self._spawn(self._revive(seat))

    async def _revive(self, seat: ReplicaState) -> None:
        while not seat.up and not seat.retired:
            try:
                await seat.replica.ready()
                seat.up, seat.heard = True, suspend_aware_clock.awake_time()
            except ReplicaDown:
                await asyncio.sleep(self._poll_s)
        if not seat.retired:
            log.warning("intern %s: replica %d is back", self._name, seat.number)
            self._tell_free()

    def _tell_free(self) -> None:
        """Let calls wait while no replica takes any."""
        if any(is_free(seat) for seat in self._seats):
            self._any_free.set()
        else:
            self._any_free.clear()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
