"""A whole job on paper: a discrete-event simulation of searches over services with quotas and latencies. Pure.

The quotas are kept by the very :class:`~mics_ray.models.chat.rate_limiter.AdmissionQueue` that keeps them in a run.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from mics_ray.models.chat.rate_limiter import AdmissionQueue, RateLimits, Ticket
from mics_ray.plan.shape import Candidate, Shape

Then = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Service:
    """One model: its limits, how long calls take (``seconds``, equally likely each), tokens of a call, the share of
    calls answered from the cache, the share that is asked once more, and the share of votes that need no call."""

    limits: RateLimits
    seconds: tuple[float, ...]
    tokens: float = 0.0
    cached: float = 0.0
    again: float = 0.0
    spared: float = 0.0


@dataclass(slots=True)
class ServiceUse:
    """What a job made of a service: calls sent, and the seconds of all of them."""

    sent: int = 0
    busy_s: float = 0.0


@dataclass(frozen=True, slots=True)
class JobTimeline:
    """How a job went: when each case was done (seconds from the start, in order), and the services' use."""

    ends: tuple[float, ...]
    use: Mapping[str, ServiceUse]

    @property
    def seconds(self) -> float:
        """The whole job."""
        return self.ends[-1] if self.ends else 0.0

    @property
    def cases_per_hour(self) -> float:
        """The rate of the middle of the job, without its beginning and its end; of the whole where it is short."""
        # A quarter at each end: the window fills up and empties there.
        low, high = len(self.ends) // 4, len(self.ends) * 3 // 4
        middle = self.ends[high] - self.ends[low] if self.ends else 0.0
        # Too few cases have no middle to speak of.
        if high - low < 10 or middle <= 0:
            return 3600 * len(self.ends) / self.seconds if self.seconds else 0.0
        return 3600 * (high - low) / middle


@dataclass(slots=True)
class _Queue:
    """A service at work: who waits for a permit, and when it is looked at next."""

    service: Service
    budget: AdmissionQueue
    waiting: dict[Ticket, Then] = field(default_factory=dict)
    wake: float | None = None
    use: ServiceUse = field(default_factory=ServiceUse)


def simulate(
    services: Mapping[str, Service], shapes: Sequence[Shape], judge: str, cases: int, window: int, seed: int = 0
) -> JobTimeline:
    """Search ``cases`` cases, shaped like ``shapes`` in turn, ``window`` at a time."""
    return _Simulation(services, shapes, judge, cases, window, seed).run()


class _Simulation:
    def __init__(
        self, services: Mapping[str, Service], shapes: Sequence[Shape], judge: str, cases: int, window: int, seed: int
    ) -> None:
        self._queues = {name: _Queue(service, AdmissionQueue(service.limits)) for name, service in services.items()}
        self._judge, self._window, self._rng = judge, window, random.Random(seed)
        self._next = iter(itertools.islice(itertools.cycle(shapes), cases))
        self._now, self._events, self._number = 0.0, list[tuple[float, int, Then]](), itertools.count()
        self._ends: list[float] = []

    def run(self) -> JobTimeline:
        for _ in range(self._window):
            self._schedule(0.0, self._open_case)
        while self._events:
            self._now, _, event = heapq.heappop(self._events)
            event()
        return JobTimeline(tuple(self._ends), {name: queue.use for name, queue in self._queues.items()})

    def _schedule(self, time: float, event: Then) -> None:
        # The number keeps events of one moment in their order, and functions cannot be compared.
        heapq.heappush(self._events, (time, next(self._number), event))

    def _open_case(self) -> None:
        """Begin the next case where there is one."""
        shape = next(self._next, None)
        if shape is not None:
            self._start_round(shape, 0)

    def _start_round(self, shape: Shape, number: int) -> None:
        if number == len(shape):
            self._ends.append(self._now)
            # Through the events and not by a call: cases without a round would recurse without end.
            self._schedule(self._now, self._open_case)
            return
        level = shape[number]
        open_calls = _Countdown(len(level), lambda: self._start_round(shape, number + 1))
        for candidate in level:
            self._ask_mentor(candidate, open_calls.count_down)

    def _ask_mentor(self, candidate: Candidate, then: Then) -> None:
        """A mentor's step, where it has to be asked for, and every vote on it."""
        if candidate.mentor is None:
            self._ask_interns(candidate.votes, then)
        else:
            self._send_call(candidate.mentor, lambda: self._ask_interns(candidate.votes, then))

    def _ask_interns(self, votes: Sequence[str], then: Then) -> None:
        if not votes:
            then()
            return
        open_calls = _Countdown(len(votes), then)
        for name in votes:
            self._send_call(name, lambda: self._send_call(self._judge, open_calls.count_down))

    def _send_call(self, name: str, then: Then, tries: int = 2) -> None:
        """One call, now and then a second one; a cached one takes no time, and no place in the queue."""
        queue = self._queues[name]
        if tries > 1 and queue.service.spared and self._rng.random() < queue.service.spared:
            then()
            return
        if tries > 1 and self._rng.random() < queue.service.again:
            then = partial(self._send_call, name, then, 1)
        if self._rng.random() < queue.service.cached:
            then()
            return
        queue.waiting[queue.budget.add_ticket(queue.service.tokens)] = then
        self._release_calls(queue)

    def _release_calls(self, queue: _Queue) -> None:
        """Send the calls that the limits let go."""
        tickets, wake = queue.budget.admit_ready(self._now)
        for ticket in tickets:
            seconds = self._rng.choice(queue.service.seconds)
            queue.use.sent += 1
            queue.use.busy_s += seconds
            self._schedule(self._now + seconds, self._finisher(queue, ticket, queue.waiting.pop(ticket)))
        # One wake-up for a queue is enough, unless it has passed or an earlier one is needed.
        if wake is not None and (queue.wake is None or wake < queue.wake or queue.wake <= self._now):
            queue.wake = wake
            self._schedule(wake, lambda: self._release_calls(queue))

    def _finisher(self, queue: _Queue, ticket: Ticket, then: Then) -> Then:
        def finish_call() -> None:
            # Settled before the next step, which may want the permit that becomes free here.
            queue.budget.settle_ticket(ticket, self._now, queue.service.tokens)
            self._release_calls(queue)
            then()

        return finish_call


class _Countdown:
    """Calls ``then`` when the last of ``left`` calls has come back."""

    def __init__(self, left: int, then: Then) -> None:
        self._left, self._then = left, then

    def count_down(self) -> None:
        self._left -= 1
        if not self._left:
            self._then()
