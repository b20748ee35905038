"""The search workers of a run as its driver sees them: spans are assigned, those of lost workers again."""

import math
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from mics_ray.errors import RefusedRun
from mics_ray.io.shards.committed import read_committed
from mics_ray.io.shards.kind import ShardError
from mics_ray.jobs.generation import GenerationJob
from mics_ray.models.participation import Participation, add_participation
from mics_ray.runtime.driver.dataset import CaseStream
from mics_ray.runtime.driver.model_clients import ActorHandles
from mics_ray.runtime.driver.search_worker import SearchWorker, WorkerState
from mics_ray.runtime.driver.span_queue import SpanQueue

LOST_POLL_S = 0.2
"""Between two looks at a worker that was lost: Ray turns calls to an actor away while it starts it again."""
_UNKNOWN_STATE = WorkerState(0, 0, {}, None, None)


class _CallKind(Enum):
    """What a worker was asked: to open a span, to finish one, or whether it is back."""

    OPEN = auto()
    FINISH = auto()
    BACK = auto()


@dataclass(frozen=True, slots=True)
class _WorkerCall:
    kind: _CallKind
    worker: int
    number: int = -1


class WorkerPool:
    """``states`` are what the workers said last, ``losses`` counts lost ones, ``changes`` are lines for the person."""

    def __init__(self, job: GenerationJob, count: int, window: int, log_folder: str) -> None:
        """Start ``count`` workers that share a window of open searches."""
        actor = ray.remote(SearchWorker).options(num_cpus=0, max_restarts=-1, max_concurrency=1000)
        share = math.ceil(window / count)
        self.actors = [actor.remote(number, job.config, job.stamp, share, log_folder) for number in range(count)]
        self.states = [_UNKNOWN_STATE] * count
        self.losses = 0
        self.changes: list[str] = []
        self._results: Path = job.folder.results
        self._stream: CaseStream | None = None
        self._queue: SpanQueue | None = None
        self._told_rejected = False
        self._calls: dict[Any, _WorkerCall] = {}
        self._down: dict[int, float] = {}
        self._ended: set[int] = set()
        self._last_up = time.monotonic()
        self._calls_of_lost = Counter[str]()
        self._attendance_of_lost: dict[str, Participation] = {}

    @property
    def calls(self) -> Counter[str]:
        """How many ``calls`` were answered, and how many of them were ``cached``; those of lost workers included."""
        return sum(map(_count_calls, self.states), self._calls_of_lost)

    @property
    def attendance(self) -> dict[str, Participation]:
        """By model, the calls that were answered and lost; those of lost workers included."""
        return add_participation([self._attendance_of_lost, *(state.attendance for state in self.states)])

    @property
    def finished(self) -> bool:
        """Whether every record that was to be searched has its row. Raises :class:`RefusedRun`."""
        return self._spans.finished

    @property
    def all_searched(self) -> bool:
        """Whether rows wait for nothing but their commit, by what the workers said last."""
        return self._spans.all_opened and not any(state.unfinished for state in self.states)

    @property
    def all_down_s(self) -> float:
        """For how long no worker has been there."""
        return time.monotonic() - self._last_up if len(self._down) == len(self.actors) else 0.0

    def queue_pending(self, job: GenerationJob) -> None:
        """Assign the records of a job that are not done; Ray Data begins to read them at once."""
        self.close()
        self._stream = CaseStream(job.scan.parts, job.done, job.open_index())
        self._queue = SpanQueue(self._stream, len(self.actors))

    def assign_and_wait(self, handles: ActorHandles, wait_s: float) -> None:
        """Assign what there is room for, then handle the replies of ``wait_s`` at most. Raises :class:`RefusedRun`."""
        self._probe_lost()
        self._assign_spans(handles)
        if len(self._down) < len(self.actors):
            self._last_up = time.monotonic()
        if not self._calls:
            time.sleep(LOST_POLL_S)  # every worker is down or has ended: nothing to wait for
            return
        # While a worker is down its restart has to be noticed, so waits are short.
        patience = min(wait_s, LOST_POLL_S) if self._down else wait_s
        if ray.wait(list(self._calls), timeout=patience)[0]:
            # The first wait ends with one reply; this one takes all that are there.
            for ref in ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)[0]:
                self._handle_reply(ref)

    def refresh_states(self, wait_s: float) -> None:
        """Ask the workers where they stand; one that does not answer in time is asked again next time."""
        self._tell_rejected()
        asked = {actor.report_state.remote(): n for n, actor in enumerate(self.actors) if n not in self._down}
        for ref in ray.wait(list(asked), num_returns=len(asked), timeout=wait_s)[0] if asked else []:
            with suppress(RayActorError):
                self.states[asked[ref]] = ray.get(ref)

    def close(self) -> None:
        """Assign no more spans."""
        if self._stream is not None:
            self._stream.close()

    def stop_workers(self, wait_s: float) -> None:
        """Have the workers cancel their open searches."""
        stops = [actor.stop.remote() for actor in self.actors]
        ray.wait(stops, num_returns=len(stops), timeout=wait_s)

    def _assign_spans(self, handles: ActorHandles) -> None:
        """One span to each worker in turn, until nobody takes one: a short file is shared out evenly too."""
        takers = [n for n in range(len(self.actors)) if n not in self._down and n not in self._ended]
        while takers:
            takers = [worker for worker in takers if self._assign_span(handles, worker)]

    def _assign_span(self, handles: ActorHandles, worker: int) -> bool:
        if (taken := self._spans.take_span(worker)) is None:
            return False
        number, span = taken
        self._calls[self.actors[worker].open_span.remote(handles, number, span)] = _WorkerCall(
            _CallKind.OPEN, worker, number
        )
        return True

    def _handle_reply(self, ref: Any) -> None:
        if (call := self._calls.pop(ref, None)) is None:  # an earlier reply of this round showed its worker as lost
            return
        try:
            whole = ray.get(ref)
        except RayError as error:
            if call.kind is _CallKind.BACK:
                self._down[call.worker] = time.monotonic() + LOST_POLL_S
            else:
                self._take_back_spans(call.worker, error)
            return
        if call.kind is _CallKind.BACK:
            del self._down[call.worker]
        elif not whole:  # it stopped by itself; its state says why, and the driver ends the run
            self._ended.add(call.worker)
        elif call.kind is _CallKind.OPEN:
            self._spans.mark_opened(call.worker, call.number)
            finish = self.actors[call.worker].finish_span.remote(call.number)
            self._calls[finish] = _WorkerCall(_CallKind.FINISH, call.worker, call.number)
        else:
            self._spans.mark_done(call.worker, call.number)

    def _tell_rejected(self) -> None:
        """Once, when the input is read: what of it is unusable. What is read again after a loss is known."""
        if not self._told_rejected and self._stream is not None and (rejected := self._stream.rejected) is not None:
            self._told_rejected = True
            if line := rejected.describe():
                self.changes.append(line)

    def _take_back_spans(self, worker: int, error: RayError) -> None:
        """Take back what the worker has no rows for; its calls are in the cache. One that died is waited for."""
        self._calls = {ref: call for ref, call in self._calls.items() if call.worker != worker}
        try:
            done = read_committed(self._results).ids
        except ShardError as problem:
            raise RefusedRun(str(problem)) from None
        self._spans.requeue_lost(worker, lambda span: span.drop_done(done))
        self._calls_of_lost += _count_calls(self.states[worker])
        self._attendance_of_lost = add_participation([self._attendance_of_lost, self.states[worker].attendance])
        self.states[worker] = _UNKNOWN_STATE
        self.losses += 1
        self._ended.discard(worker)
        if isinstance(error, RayActorError):
            self._down[worker] = time.monotonic() + LOST_POLL_S
        self.changes.append(f"a search worker was lost ({type(error).__name__}); its cases are searched again")

    @property
    def _spans(self) -> SpanQueue:
        if self._queue is None:
            raise RuntimeError("queue_pending() first")
        return self._queue

    def _probe_lost(self) -> None:
        now = time.monotonic()
        for worker, due in self._down.items():
            if due <= now:
                self._calls[self.actors[worker].report_state.remote()] = _WorkerCall(_CallKind.BACK, worker)
                self._down[worker] = math.inf  # until it has answered


def _count_calls(state: WorkerState) -> Counter[str]:
    return Counter(
        calls=sum(used.calls for used in state.usage.values()),
        cached=sum(used.cached_calls for used in state.usage.values()),
    )
