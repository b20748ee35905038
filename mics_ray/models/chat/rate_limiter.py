"""Quotas of one entry: windows and queue as a pure state machine, and a limiter that calls can await.

The pure part takes the time as an argument, so that a plan simulates a job with the very rules of a run.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import astuple, dataclass

from mics_ray.models.types import Failure, Refused

WINDOW_S = 60.0
PACE = 0.985  # of the quota: the network shifts calls into each other, a window of 60.9 s must still hold
SLACK_S = 0.015  # lateness that is caught up; PACE * (1 s + SLACK_S) stays below 1 s
TICK_S = 1e-6  # below the resolution of event loops: no wake-up is due sooner


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a provider allows; ``None`` is no limit."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_in_flight: int | None = None

    def __post_init__(self) -> None:
        """Raise :class:`ValueError` for a limit that would admit nobody."""
        if any(limit is not None and not limit > 0 for limit in astuple(self)):
            raise ValueError("a limit must be above 0; leave it out for none")


@dataclass(slots=True, eq=False)
class _Charge:
    """What one call takes from one quota, from the moment of its admission."""

    at: float
    cost: float


@dataclass(slots=True, eq=False)
class Ticket:
    """One call's place in the queue; ``tokens`` is the estimate, ``charge`` its account once it is admitted."""

    tokens: float
    charge: _Charge | None = None


class _RateWindow:
    """One quota per minute: a level that refills at the pace and may go into debt, and the log of the last 60 s."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._rate = limit * PACE / WINDOW_S
        self._level = 0.0
        self._now: float | None = None
        self._log: deque[_Charge] = deque()
        self._logged = 0.0

    def opening_time(self, now: float, cost: float) -> float:
        """When ``cost`` fits, as far as is known: ``now``, or a later moment to ask again."""
        self._advance_to(now)
        if self._logged + cost > self._limit and self._log:
            return self._log[0].at + WINDOW_S
        debt_s = -self._level / self._rate
        return now + debt_s if debt_s > TICK_S else now  # or the loop would spin on a debt too small to sleep for

    def charge_call(self, now: float, cost: float) -> _Charge:
        """Charge an admitted call."""
        charge = _Charge(now, cost)
        self._level -= cost
        self._log.append(charge)
        self._logged += cost
        return charge

    def correct_charge(self, charge: _Charge, now: float, cost: float, wanted: bool) -> None:
        """Replace an estimate by the real cost. A credit that nobody waits for (not ``wanted``) allows no burst."""
        self._advance_to(now)
        self._level += charge.cost - cost
        if not wanted:
            self._level = min(self._level, self._rate * SLACK_S)
        if charge.at + WINDOW_S > now:  # otherwise the log has let it go, at its estimate
            self._logged += cost - charge.cost
        charge.cost = cost  # what the log subtracts when the call leaves the window

    def _advance_to(self, now: float) -> None:
        elapsed = 0.0 if self._now is None else max(0.0, now - self._now)
        self._now = now if self._now is None else max(self._now, now)
        self._level = min(self._level + self._rate * elapsed, max(self._level, self._rate * SLACK_S))
        while self._log and self._log[0].at + WINDOW_S <= now:
            self._logged -= self._log.popleft().cost
        if not self._log:
            self._logged = 0.0  # no rounding error outlives a minute's pause


class AdmissionQueue:
    """The queue of one entry. Ask :meth:`ready` after every change and at the wake-up time that it returned."""

    def __init__(self, limits: RateLimits) -> None:
        self._requests = None if limits.requests_per_minute is None else _RateWindow(limits.requests_per_minute)
        self._tokens = None if limits.tokens_per_minute is None else _RateWindow(limits.tokens_per_minute)
        self._max_in_flight = limits.max_in_flight
        self._queue: deque[Ticket] = deque()
        self._paused_until = float("-inf")
        self.in_flight = 0

    @property
    def waiting(self) -> int:
        """How many tickets are not admitted yet."""
        return len(self._queue)

    def add_ticket(self, tokens: float) -> Ticket:
        """Queue for one call of about ``tokens`` tokens, prompt and completion."""
        ticket = Ticket(tokens)
        self._queue.append(ticket)
        return ticket

    def withdraw_ticket(self, ticket: Ticket) -> None:
        """Leave the queue; only for a ticket that was not admitted."""
        self._queue.remove(ticket)

    def pause_until(self, until: float) -> None:
        """Admit nobody before ``until``; an earlier moment than one already set changes nothing."""
        self._paused_until = max(self._paused_until, until)

    def admit_ready(self, now: float) -> tuple[list[Ticket], float | None]:
        """Who may call at ``now``, in order, and when to ask again (``None``: after the next change)."""
        admitted: list[Ticket] = []
        while self._queue and (self._max_in_flight is None or self.in_flight < self._max_in_flight):
            # The head of the queue alone: a small call that overtook a large one would keep it waiting for ever.
            opens = max([self._paused_until, *self._opening_times(now, self._queue[0])])
            if opens > now:
                return admitted, opens
            admitted.append(self._admit_next(now))
        return admitted, None

    def settle_ticket(self, ticket: Ticket, now: float, tokens: float) -> None:
        """End an admitted call that really took ``tokens``: frees its place and credits or debits the difference."""
        self.in_flight -= 1
        if self._tokens is not None and ticket.charge is not None:
            self._tokens.correct_charge(ticket.charge, now, tokens, wanted=bool(self._queue))

    def _opening_times(self, now: float, ticket: Ticket) -> Iterator[float]:
        if self._requests is not None:
            yield self._requests.opening_time(now, 1.0)
        if self._tokens is not None:
            yield self._tokens.opening_time(now, ticket.tokens)

    def _admit_next(self, now: float) -> Ticket:
        ticket = self._queue.popleft()
        self.in_flight += 1
        if self._requests is not None:
            self._requests.charge_call(now, 1.0)
        if self._tokens is not None:
            ticket.charge = self._tokens.charge_call(now, ticket.tokens)
        return ticket


class RateLimiter:
    """A :class:`AdmissionQueue` that can be awaited, on the clock of the running loop."""

    def __init__(self, limits: RateLimits) -> None:
        self.queue = AdmissionQueue(limits)
        self.waited_s = 0.0
        self._waiting: dict[Ticket, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def acquire_permit(self, tokens: float) -> Ticket:
        """Wait for a permit for one call of about ``tokens`` tokens; :meth:`leave` it afterwards."""
        ticket = self.queue.add_ticket(tokens)
        loop = asyncio.get_running_loop()
        admitted = self._waiting[ticket] = loop.create_future()
        asked = loop.time()
        self._admit_waiting()
        try:
            await admitted
        except BaseException:
            if self._waiting.pop(ticket, None) is not None:
                self.queue.withdraw_ticket(ticket)
                self._admit_waiting()
            else:  # admitted, but cancelled before it could go
                self.release_permit(ticket, 0.0)
            raise
        finally:
            self.waited_s += loop.time() - asked
        return ticket

    def release_permit(self, ticket: Ticket, tokens: float) -> None:
        """End a call that really took ``tokens``."""
        self.queue.settle_ticket(ticket, asyncio.get_running_loop().time(), tokens)
        self._admit_waiting()

    def pause_for(self, seconds: float) -> None:
        """Let nobody in for so long."""
        self.queue.pause_until(asyncio.get_running_loop().time() + seconds)

    def reject_waiting(self, failure: Failure) -> None:
        """End everybody's waiting with :class:`Refused`."""
        for admitted in self._waiting.values():
            if not admitted.done():
                admitted.set_exception(Refused(failure))

    def _admit_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        tickets, wake = self.queue.admit_ready(loop.time())
        for ticket in tickets:
            admitted = self._waiting.pop(ticket)
            if not admitted.done():
                admitted.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if wake is None else loop.call_at(wake, self._admit_waiting)
