"""What follows an attempt that gave no reply: asking again, giving up, stopping; and the time that a call has."""

import random
from dataclasses import dataclass, field
from enum import StrEnum

from mics_ray.models.types import Failure, LostCall, Refused

MAX_PAID = 3  # attempts at a call whose replies are broken: each of them was probably paid for
MAX_LONG_WAITS = 24  # of one call: a day, where each is an hour
BASE_S, CAP_S = 0.5, 30.0  # of the backoff without a header
SHORTEST_HINT_S = 1.0  # a wait told below it is no reason to ask again and again at that pace


class Action(StrEnum):
    """What an outcome calls for."""

    AGAIN = "again"
    """Ask again until the deadline."""
    AGAIN_PAID = "again_paid"
    """Ask again, at most :data:`MAX_PAID` attempts: the provider answered, so it charges."""
    LOSE = "lose"
    """This call cannot succeed, others can."""
    STOP = "stop"
    """No call can succeed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An attempt without a usable reply. ``retry_after`` in seconds; ``text`` is what came instead, as evidence.

    ``charged``: whether the provider may charge for it. ``doubtful``: where the key has worked, it may concern this
    call or this minute only. ``refuses_probe``: the model cannot be used like this, if that is what the first call
    hears; ``said`` is then told, the provider's own words.
    """

    action: Action
    failure: Failure
    retry_after: float | None = None
    charged: bool = True
    text: str = field(default="", repr=False)
    doubtful: bool = False
    refuses_probe: bool = False
    said: str = field(default="", repr=False)


def broken_reply(what: str, text: str = "", no_completion: bool = False) -> Fault:
    """The provider answered and charges, but there is nothing to use; ``no_completion``: no chat API answers so."""
    return Fault(Action.AGAIN_PAID, Failure("broken_reply", what), text=text, refuses_probe=no_completion)


class RetryState:
    """One call over all of its attempts: the time and the attempts that are left. ``key`` seeds the backoff.

    Time counts from the first permit on: attempts, backoff and short Retry-After waits; permits and long waits do not.
    """

    def __init__(self, key: bytes, deadline_s: float) -> None:
        self._key = key
        self._deadline = self._left = deadline_s
        self._long_above_s = min(CAP_S, deadline_s / 10)
        self._paid = self._long_waits = 0
        self.attempts = 0

    @property
    def attempt_s(self) -> float:
        """What the next attempt may take: half of the deadline, so that a hung one leaves time for another."""
        return min(self._left, self._deadline / 2)

    def count_attempt(self, seconds: float) -> None:
        """Count an attempt of so many seconds."""
        self.attempts += 1
        self._left -= seconds

    def delay_after(self, fault: Fault) -> float:
        """Seconds to sleep before asking again; 0 where the provider named a moment, for then its entry is paused.

        Raises :class:`Refused` if no call can succeed, :class:`LostCall` to give this one up.
        """
        if fault.action is Action.STOP:
            raise Refused(fault.failure)
        if fault.action is Action.LOSE:
            raise LostCall(fault.failure, fault.text)
        self._paid += fault.action is Action.AGAIN_PAID
        backoff = self._draw_backoff() if (fault.retry_after or 0.0) < SHORTEST_HINT_S else 0.0
        self._count_wait(backoff, fault.retry_after or 0.0)
        if self._paid >= MAX_PAID or self._long_waits > MAX_LONG_WAITS or self._left <= 0:
            raise LostCall(Failure(fault.failure.kind, self._describe_end(fault.failure)), fault.text)
        return backoff

    def _describe_end(self, failure: Failure) -> str:
        if failure.kind == "timeout":  # a slow model is the configuration's matter
            return f"no reply in {self.attempts} attempts of deadline_s={self._deadline:g} s; slow models need more"
        return f"{failure.message}; given up after {self.attempts} attempts"

    def _count_wait(self, backoff: float, asked: float) -> None:
        self._left -= backoff
        if asked > self._long_above_s:
            self._long_waits += 1
        else:
            self._left -= asked

    def _draw_backoff(self) -> float:
        """Full jitter: anything up to a bound that doubles with each attempt; the same for the same request."""
        bound = min(CAP_S, BASE_S * 2.0 ** min(self.attempts - 1, 10))
        return bound * random.Random(self._key + self.attempts.to_bytes(4, "big")).random()
