"""A provider's quota that calls can wait for: the pure state machine of ``budget.py`` on the running loop's clock."""

import asyncio

from mics_ray.models.budget import Budget, Limits, Ticket
from mics_ray.models.types import Failure, Refused


class Gate:
    """A :class:`Budget` that can be awaited, on the clock of the running loop."""

    def __init__(self, limits: Limits) -> None:
        self.budget = Budget(limits)
        self.waited_s = 0.0
        self._waiting: dict[Ticket, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, tokens: float) -> Ticket:
        """Wait for a permit for one call of about ``tokens`` tokens; :meth:`leave` it afterwards."""
        ticket = self.budget.request(tokens)
        loop = asyncio.get_running_loop()
        admitted = self._waiting[ticket] = loop.create_future()
        asked = loop.time()
        self._pump()
        try:
            await admitted
        except BaseException:
            if self._waiting.pop(ticket, None) is not None:
                self.budget.withdraw(ticket)
                self._pump()
            else:  # admitted, but cancelled before it could go
                self.leave(ticket, 0.0)
            raise
        finally:
            self.waited_s += loop.time() - asked
        return ticket

    def leave(self, ticket: Ticket, tokens: float) -> None:
        """End a call that really took ``tokens``."""
        self.budget.settle(ticket, asyncio.get_running_loop().time(), tokens)
        self._pump()

    def park(self, seconds: float) -> None:
        """Let nobody in for so long."""
        self.budget.park(asyncio.get_running_loop().time() + seconds)

    def turn_away(self, failure: Failure) -> None:
        """End everybody's waiting with :class:`Refused`."""
        for admitted in self._waiting.values():
            if not admitted.done():
                admitted.set_exception(Refused(failure))

    def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        tickets, wake = self.budget.ready(loop.time())
        for ticket in tickets:
            admitted = self._waiting.pop(ticket)
            if not admitted.done():
                admitted.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if wake is None else loop.call_at(wake, self._pump)
