"""What follows an attempt that gave no reply: the one place that decides about asking again, giving up and stopping.

Messages hold the status and the provider's error code, never a key and never text of a request or a reply.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from math import isfinite

from mics_ray.models.types import Failure, LostCall, Refused

MAX_PAID = 3  # attempts at a call whose replies are broken: each of them was probably paid for
MAX_LONG_WAITS = 24  # of one call: a day, where each is an hour
BASE_S, CAP_S = 0.5, 30.0  # of the backoff without a header
RETRY_AFTER_CAP_S = 86_400.0  # a Retry-After beyond a day is garbage

QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"})
UNKNOWN_MODEL = re.compile(r"\bmodel\b.{0,120}\bnot (exist|found)\b|\b(unknown|no such|invalid) model\b", re.I)
TOO_LONG = re.compile(r"context[ _](length|window)|maximum (model|input|prompt) length|too long|too many tokens", re.I)
FILTERED = re.compile(r"content[ _](filter|policy|management)|moderation|responsibleai|flagged", re.I)
BAD_KEY = re.compile(r"\bapi[ _-]?key\b", re.I)


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

    ``charged``: whether the provider may charge for it.
    """

    action: Action
    failure: Failure
    retry_after: float | None = None
    charged: bool = True
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a provider says of an error: its ``code`` and ``message`` ("" where there is none). Not fit for messages."""

    code: str = ""
    message: str = field(default="", repr=False)


def broken_reply(what: str, text: str = "") -> Fault:
    """The provider answered and charges, but there is nothing to use."""
    return Fault(Action.AGAIN_PAID, Failure("broken_reply", what), text=text)


def classify_exception(error: Exception, sent: bool = True) -> Fault:
    """No answer: timeout, reset, refused, DNS, TLS. Only the error's type is reported; its text may hold anything.

    ``sent`` is false where no connection came about.
    """
    kind = "timeout" if isinstance(error, TimeoutError) else "connection"
    return Fault(Action.AGAIN, Failure(kind, type(error).__name__), charged=sent)


def classify_status(
    status: int, error: ErrorBody | None, retry_after: float | None = None, safe_code: str = ""
) -> Fault:
    """Classify an HTTP status that is not 200. ``error`` is ``None`` for a body that is not an error in JSON."""
    action, kind = _action_and_kind(status, error)
    return Fault(action, Failure(kind, f"{status} {safe_code}".strip()), retry_after, charged=False)


def _action_and_kind(status: int, error: ErrorBody | None) -> tuple[Action, str]:
    said = "" if error is None else f"{error.code} {error.message}"
    if status == 402 or (status == 429 and error is not None and error.code.lower() in QUOTA):
        return Action.STOP, "quota"
    # The order decides: a 403 about content loses one call, any other 403 ends the run.
    if status in (400, 403) and FILTERED.search(said):
        return Action.LOSE, "refused"
    if status in (401, 403) or (status == 400 and BAD_KEY.search(said)):
        return Action.STOP, "auth"
    if status in (400, 413, 422) and TOO_LONG.search(said):
        return Action.LOSE, "too_long"
    if "model_not_found" in said or (status == 400 and UNKNOWN_MODEL.search(said)):
        return Action.STOP, "unknown_model"
    if status == 404:  # without an error in JSON it comes from a proxy whose backend is away
        return (Action.AGAIN, "server_error") if error is None else (Action.STOP, "unknown_model")
    if status == 429:
        return Action.AGAIN, "rate_limit"
    if status >= 500 or status in (408, 409, 425):
        return Action.AGAIN, "server_error"
    return Action.LOSE, "bad_request"


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the provider asks for, given as a number or a date (by its own clock); ``None`` for garbage."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, headers.get("Date", ""))
    return seconds if isfinite(seconds) and 0 < seconds <= RETRY_AFTER_CAP_S else None


def _seconds_until(date: str, server_now: str) -> float:
    due, sent = _parse_date(date), _parse_date(server_now) or datetime.now(UTC)
    return (due - sent).total_seconds() if due else 0.0


def _parse_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a year or a zone of too many digits is an overflow
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


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
        """Seconds to sleep before asking again; 0 where the provider named the moment, for then its entry is paused.

        Raises :class:`Refused` if no call can succeed, :class:`LostCall` to give this one up.
        """
        if fault.action is Action.STOP:
            raise Refused(fault.failure)
        if fault.action is Action.LOSE:
            raise LostCall(fault.failure, fault.text)
        self._paid += fault.action is Action.AGAIN_PAID
        backoff = self._draw_backoff() if fault.retry_after is None else 0.0
        self._count_wait(backoff, fault.retry_after or 0.0)
        if self._paid >= MAX_PAID or self._long_waits > MAX_LONG_WAITS or self._left <= 0:
            given_up = f"{fault.failure.message}; given up after {self.attempts} attempts"
            raise LostCall(Failure(fault.failure.kind, given_up), fault.text)
        return backoff

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
