"""One entry's replicas seen as one model: case affinity, batching, calls that outlive a dead replica. No Ray here."""

import asyncio
import logging
from collections.abc import AsyncIterator, Container, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mics_ray.models.chat import suspend_aware_clock
from mics_ray.models.types import Failure, LostCall, Pictures, Refused, Reply, Request
from mics_ray.runtime.serving.case_homes import CaseHomes, ReplicaLoad
from mics_ray.runtime.serving.replica_state import (
    DOWN,
    ENGINE_DEAD,
    LEAVING,
    RESTARTS_IN_VAIN,
    Replica,
    ReplicaAnswer,
    ReplicaDown,
    ReplicaState,
    RoutedCall,
    StartFailed,
    count_death,
    finish_call,
    is_free,
    settle_call,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RoutedModel:
    """The router as a :class:`~mics_ray.models.types.Model` for one case."""

    router: "Router"
    case_id: str

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """See :meth:`Router.complete`."""
        return await self.router.route_request(self.case_id, request, pictures)


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
        self._replicas = [ReplicaState(number, replica) for number, replica in enumerate(replicas)]
        self._patience_s, self._stall_s, self._probe_s, self._poll_s = patience_s, stall_s, probe_s, poll_s
        self._homes = CaseHomes()
        self._gathering: dict[tuple[str, str, str], list[RoutedCall]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._any_free = asyncio.Event()
        self._isolation = asyncio.Lock()  # suspects go one by one: each empties a replica that another one may fill
        self._queued = 0
        self._refusal: Failure | None = None

    @property
    def queued(self) -> int:
        """Requests that were asked and have no answer yet."""
        return self._queued

    async def update_replicas(self, replicas: Sequence[Replica]) -> None:
        """Serve with these replicas from here on; the ones that are known keep their places.

        Returns when those that are left out have answered what they had been asked.
        """
        old = self._replicas
        # Known by its place: a case's home is a number, and its prefix is cached there.
        self._replicas = [
            old[number] if number < len(old) and old[number].replica == replica else ReplicaState(number, replica)
            for number, replica in enumerate(replicas)
        ]
        self._update_any_free()
        leaving = [state for state in old if state not in self._replicas]
        # All before the first wait, in which they would be given calls again.
        for state in leaving:
            state.retired = True
        for state in leaving:
            if state.in_flight:
                await state.idle.wait()

    def bind_case(self, case_id: str) -> RoutedModel:
        """A model whose calls keep to the case's replica, where its pictures and question are cached."""
        return RoutedModel(self, case_id)

    async def route_request(self, case_id: str, request: Request, pictures: Pictures | None) -> Reply:
        """Answer, with what else is asked of the same prompt in this turn of the event loop in one call.

        Raises :class:`LostCall`; of its own kinds: ``replica_down`` and ``poison`` (engines died of this request).
        Raises :class:`Refused` (``restarts``) where :data:`RESTARTS_IN_VAIN` restarts brought no reply.
        """
        loop = asyncio.get_running_loop()
        key = (case_id, request.pictures, request.text)
        if key not in self._gathering:
            self._gathering[key] = []
            # It runs when every task that is ready has had its turn: by then all temperatures of a prompt are gathered.
            loop.call_soon(self._dispatch_gathered, key, pictures)
        call = RoutedCall(request, loop.create_future())
        self._gathering[key].append(call)
        self._queued += 1
        try:
            answer = await call.future
        finally:
            self._queued -= 1
        if isinstance(answer, LostCall):
            raise answer
        return answer

    def _dispatch_gathered(self, key: tuple[str, str, str], pictures: Pictures | None) -> None:
        self._spawn_task(self._serve_calls(key[0], self._gathering.pop(key), pictures))

    async def _serve_calls(self, case_id: str, calls: list[RoutedCall], pictures: Pictures | None) -> None:
        """Ask until every call has its answer; a call that nobody waits for any more is dropped."""
        try:
            while calls := [call for call in calls if not call.future.done()]:
                suspects = any(call.suspect for call in calls)
                async with self._isolate_replica(case_id) if suspects else self._share_replica(case_id, calls) as state:
                    await self._try_calls(state, calls, pictures)
        except Exception as error:  # any: a future that nobody sets is a caller that waits for ever
            for call in calls:
                finish_call(call, error)

    async def _try_calls(self, state: ReplicaState, calls: list[RoutedCall], pictures: Pictures | None) -> None:
        """Ask once; what has no answer then may be asked again."""
        restarts = state.restarts  # before the call: its failure says nothing about a process that came after
        try:
            answers = await self._call_replica(state, [call.request for call in calls], pictures)
        except ReplicaDown as down:
            self._mark_down(state, restarts, str(down))
            for call in calls:
                count_death(call)
            return
        if any(isinstance(answer, Reply) and not answer.cached for answer in answers):
            for one in self._replicas:
                one.deaths_in_vain = 0
        for call, answer in zip(calls, answers, strict=True):
            settle_call(call, answer, state.number)
        # The process ends itself a moment later; calls until then would only be lost.
        if any(isinstance(answer, LostCall) and answer.failure.kind in (ENGINE_DEAD, LEAVING) for answer in answers):
            self._mark_down(state, restarts, "its engine failed")

    @asynccontextmanager
    async def _share_replica(self, case_id: str, calls: Sequence[RoutedCall]) -> AsyncIterator[ReplicaState]:
        """A replica beside whatever else it serves; one where none of the calls has failed, if there is one."""
        yield await self._wait_for_replica(case_id, {call.failed_at for call in calls}, len(calls))

    @asynccontextmanager
    async def _isolate_replica(self, case_id: str) -> AsyncIterator[ReplicaState]:
        """A replica that serves nothing else meanwhile; one suspect after the other."""
        async with self._isolation:
            state = await self._wait_for_replica(case_id)
            try:
                # It went down or was retired while it emptied: back to the choice, where it may not be chosen again.
                while not await self._empty_replica(state):
                    state.reserved = False
                    state = await self._wait_for_replica(case_id)
                yield state
            finally:
                state.reserved = False
                self._update_any_free()

    async def _empty_replica(self, state: ReplicaState) -> bool:
        """Reserve a replica and wait until it has nothing in flight; whether it is still up then."""
        state.reserved = True  # first, so that nothing new comes in while the rest is answered
        self._update_any_free()
        if state.in_flight:
            await state.idle.wait()
        return state.up and not state.retired

    async def _wait_for_replica(
        self, case_id: str, failed_at: Container[int | None] = (), requests: int = 1
    ) -> ReplicaState:
        """The replica for requests of the case, once one is free; one of ``failed_at`` only where no other is.

        Raises :class:`LostCall` when none comes back in time, :class:`Refused` when none is waited for any more.
        """
        try:
            async with suspend_aware_clock.AwakeTimeout(self._patience_s):
                while not (live := self._list_free()):
                    await self._any_free.wait()
        except TimeoutError:
            raise LostCall(Failure(DOWN, f"no replica came back in {self._patience_s:g} s")) from None
        others = [load for load in live if load.number not in failed_at]
        return self._replicas[self._homes.choose_replica(case_id, others or live, requests)]

    def _list_free(self) -> list[ReplicaLoad]:
        """The replicas that take calls. Raises :class:`Refused` where the model is given up."""
        if self._refusal is not None:
            raise Refused(self._refusal, self._name)
        return [ReplicaLoad(state.number, state.in_flight) for state in self._replicas if is_free(state)]

    async def _call_replica(
        self, state: ReplicaState, requests: list[Request], pictures: Pictures | None
    ) -> list[ReplicaAnswer]:
        """One call to a replica, watched for silence."""
        if not state.in_flight:
            state.last_alive = suspend_aware_clock.awake_time()  # it was idle, which is not silence
        state.in_flight += len(requests)
        state.idle.clear()
        work = asyncio.ensure_future(state.replica.generate(requests, pictures))
        try:
            # Not `wait_for`: a call that is slow must not be cancelled by the look at its replica.
            while not (await asyncio.wait({work}, timeout=self._stall_s))[0]:
                await self._probe_silent(state)
            state.last_alive = suspend_aware_clock.awake_time()
            return work.result()
        finally:
            state.in_flight -= len(requests)
            if not state.in_flight:
                state.idle.set()
            work.cancel()

    async def _probe_silent(self, state: ReplicaState) -> None:
        """Probe a replica that has been silent for too long, and have it replaced when it does not answer."""
        # Every call in flight comes here at about the same time; the first one probes for all of them.
        async with state.probe_lock:
            if suspend_aware_clock.awake_time() - state.last_alive < self._stall_s or not state.up:
                return
            try:
                async with suspend_aware_clock.AwakeTimeout(self._probe_s):
                    await state.replica.probe()
                state.last_alive = suspend_aware_clock.awake_time()
            except TimeoutError:
                log.warning("%s: replica %d is silent, probe included; replacing it", self._name, state.number)
                await state.replica.replace()
                self._mark_down(state, state.restarts, "it was silent, and replaced")
            except ReplicaDown as down:
                self._mark_down(state, state.restarts, str(down))

    def _mark_down(self, state: ReplicaState, restarts: int, why: str) -> None:
        """Send nothing to the replica until it is back; news of an earlier ``restarts`` says nothing about this one."""
        if not state.up or state.restarts != restarts:
            return
        state.up, state.restarts = False, restarts + 1
        self._update_any_free()
        log.warning("%s: replica %d is down, waiting for its restart", self._name, state.number)
        self._count_death(state, why)
        self._spawn_task(self._wait_for_restart(state))

    def _count_death(self, state: ReplicaState, why: str) -> None:
        """A model of which a replica restarts and none replies is given up: its calls end the run."""
        state.deaths_in_vain += 1
        if state.deaths_in_vain > RESTARTS_IN_VAIN and self._refusal is None:
            said = f"it was restarted {RESTARTS_IN_VAIN} times without a reply between, and ended again: {why}"
            self._refusal = Failure("restarts", said)
            log.error("%s: %s", self._name, said)
            self._update_any_free()

    async def _wait_for_restart(self, state: ReplicaState) -> None:
        # Of a retired one nobody asks anything again; the fleet ends its process.
        while not state.up and not state.retired and self._refusal is None:
            try:
                await state.replica.ready()
                state.up, state.last_alive = True, suspend_aware_clock.awake_time()
            except StartFailed as failed:
                self._count_death(state, str(failed))
                await asyncio.sleep(self._poll_s)
            except ReplicaDown:
                await asyncio.sleep(self._poll_s)
        if state.up and not state.retired:
            log.warning("%s: replica %d is back", self._name, state.number)
            self._update_any_free()

    def _update_any_free(self) -> None:
        """Let calls wait while no replica takes any; where none is waited for any more they go on, to be refused."""
        if self._refusal is not None or any(is_free(state) for state in self._replicas):
            self._any_free.set()
        else:
            self._any_free.clear()

    def _spawn_task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself keeps weak references only
        task.add_done_callback(self._tasks.discard)
