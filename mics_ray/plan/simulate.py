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
    calls answered from the cache, and the share that is asked once more."""

    limits: RateLimits
    seconds: tuple[float, ...]
    tokens: float = 0.0
    cached: float = 0.0
    again: float = 0.0


@dataclass(slots=True)
class Use:
    """What a job made of a service: calls sent, and the seconds of all of them."""

    sent: int = 0
    busy_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Course:
    """How a job went: when each case was done (seconds from the start, in order), and the services' use."""

    ends: tuple[float, ...]
    use: Mapping[str, Use]

    @property
    def seconds(self) -> float:
        """The whole job."""
        return self.ends[-1] if self.ends else 0.0

    @property
    def cases_per_hour(self) -> float:
        """The rate of the middle of the job, without its beginning and its end; of the whole where it is short."""
        low, high = len(self.ends) // 4, len(self.ends) * 3 // 4
        middle = self.ends[high] - self.ends[low] if self.ends else 0.0
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
    use: Use = field(default_factory=Use)


def simulate(
    services: Mapping[str, Service], shapes: Sequence[Shape], judge: str, cases: int, window: int, seed: int = 0
) -> Course:
    """Search ``cases`` cases, shaped like ``shapes`` in turn, ``window`` at a time."""
    return _Job(services, shapes, judge, cases, window, seed).run()


class _Job:
    def __init__(
        self, services: Mapping[str, Service], shapes: Sequence[Shape], judge: str, cases: int, window: int, seed: int
    ) -> None:
        self._queues = {name: _Queue(service, AdmissionQueue(service.limits)) for name, service in services.items()}
        self._judge, self._window, self._rng = judge, window, random.Random(seed)
        self._next = iter(itertools.islice(itertools.cycle(shapes), cases))
        self._now, self._events, self._number = 0.0, list[tuple[float, int, Then]](), itertools.count()
        self._ends: list[float] = []

    def run(self) -> Course:
        for _ in range(self._window):
            self._at(0.0, self._open)
        while self._events:
            self._now, _, event = heapq.heappop(self._events)
            event()
        return Course(tuple(self._ends), {name: queue.use for name, queue in self._queues.items()})

    def _at(self, time: float, event: Then) -> None:
        heapq.heappush(self._events, (time, next(self._number), event))

    def _open(self) -> None:
        """Begin the next case where there is one."""
        shape = next(self._next, None)
        if shape is not None:
            self._round(shape, 0)

    def _round(self, shape: Shape, number: int) -> None:
        if number == len(shape):
            self._ends.append(self._now)
            self._at(self._now, self._open)
            return
        level = shape[number]
        left = _Count(len(level), lambda: self._round(shape, number + 1))
        for candidate in level:
            self._propose(candidate, left.down)

    def _propose(self, candidate: Candidate, then: Then) -> None:
        """A mentor's step, where it has to be asked for, and every vote on it."""
        if candidate.mentor is None:
            self._vote(candidate.votes, then)
        else:
            self._call(candidate.mentor, lambda: self._vote(candidate.votes, then))

    def _vote(self, votes: Sequence[str], then: Then) -> None:
        if not votes:
            then()
            return
        left = _Count(len(votes), then)
        for name in votes:
            self._call(name, lambda: self._call(self._judge, left.down))

    def _call(self, name: str, then: Then, tries: int = 2) -> None:
        """One call, now and then a second one; a cached one takes no time."""
        queue = self._queues[name]
        if tries > 1 and self._rng.random() < queue.service.again:
            then = partial(self._call, name, then, 1)
        if self._rng.random() < queue.service.cached:
            then()
            return
        queue.waiting[queue.budget.add_ticket(queue.service.tokens)] = then
        self._pump(queue)

    def _pump(self, queue: _Queue) -> None:
        """Let those go who may."""
        tickets, wake = queue.budget.admit_ready(self._now)
        for ticket in tickets:
            seconds = self._rng.choice(queue.service.seconds)
            queue.use.sent += 1
            queue.use.busy_s += seconds
            self._at(self._now + seconds, self._leaver(queue, ticket, queue.waiting.pop(ticket)))
        if wake is not None and (queue.wake is None or wake < queue.wake or queue.wake <= self._now):
            queue.wake = wake
            self._at(wake, lambda: self._pump(queue))

    def _leaver(self, queue: _Queue, ticket: Ticket, then: Then) -> Then:
        def leave() -> None:
            queue.budget.settle_ticket(ticket, self._now, queue.service.tokens)
            self._pump(queue)
            then()

        return leave


class _Count:
    """Calls ``then`` when everybody has come."""

    def __init__(self, left: int, then: Then) -> None:
        self._left, self._then = left, then

    def down(self) -> None:
        self._left -= 1
        if not self._left:
            self._then()
