"""How long a provider asks to be left alone: in headers of several names, in the error's details, in its words.

Everything is read leniently: what makes no sense, or is beyond a day, counts as not told.
"""

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from math import isfinite
from typing import Any

RETRY_AFTER_CAP_S = 86_400.0  # a wait beyond a day is garbage
MAX_DEPTH, MAX_VALUES = 6, 500  # of an error's details
EPOCH_S, EPOCH_MS = 1e9, 1e12  # above these a number is a moment, in seconds or milliseconds since 1970
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
UNIT = r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?![a-z])"
PART = re.compile(rf"\s*(\d{{1,15}}(?:\.\d{{1,9}})?)\s*({UNIT})", re.I)
IN_WORDS = re.compile(rf"\b(?:try again|retry|wait)\b[^.\d]{{0,30}}?((?:{PART.pattern})+)", re.I)
RESET = re.compile(r"rate-?limit-(?:[a-z-]+-)?reset(?:-[a-z-]+)?$")
QUOTAS = re.compile(r"\br(?:emaining)?=(\d{1,15})[;,\s]+(?:t|reset)=(\d{1,15})(?![\d.])")
"""In a ``RateLimit`` header of the IETF's drafts: what remains of a quota, and the seconds until it is whole."""
IN_DETAILS = {"retrydelay": 1.0, "retryafter": 1.0, "retryafterseconds": 1.0, "retryafterms": 0.001}


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the headers ask for, ``Retry-After`` before all others; ``None`` where they tell nothing."""
    now = _server_time(headers)
    told = headers.get("Retry-After-Ms", "") or headers.get("X-Ms-Retry-After-Ms", "")  # OpenAI; Azure
    exact = _bound(_parse_number(told) / 1000)
    told = headers.get("Retry-After", "") or headers.get("X-Retry-After", "")
    return exact if exact is not None else parse_wait(told, now)


def parse_reset(headers: Mapping[str, str]) -> float | None:
    """Seconds until a used-up quota is there again, by the ``ratelimit-…-reset`` headers of a 429, or by ``RateLimit``.

    Of several quotas those count of which nothing remains, and of these the last to come back; where none is said to
    be used up, the first.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    now, waits, used_up = _server_time(headers), [], []
    for name, value in lower.items():
        if RESET.search(name) is None or (wait := parse_wait(value, now)) is None:
            continue
        waits.append(wait)
        if _parse_number(lower.get(name.replace("reset", "remaining"), "")) == 0:
            used_up.append(wait)
    for remaining, seconds in QUOTAS.findall(lower.get("ratelimit", "")):
        if (wait := _bound(float(seconds))) is not None:
            (used_up if int(remaining) == 0 else waits).append(wait)
    return max(used_up) if used_up else min(waits, default=None)


def find_wait(error: Any) -> float | None:
    """Seconds that an error's details ask for (decoded JSON, such as Google's ``RetryInfo``), or its message."""
    for name, value in _walk_named(error):
        key = re.sub(r"[^a-z]", "", name.lower())
        if key in IN_DETAILS and (wait := parse_wait(value, time.time())) is not None:
            return _bound(wait * IN_DETAILS[key])
        if RESET.search(name.lower()) and (wait := parse_wait(value, time.time())) is not None:
            return wait
    message = error.get("message") if isinstance(error, dict) else error
    found = IN_WORDS.search(message[:2000]) if isinstance(message, str) else None
    return parse_wait(found[1], 0.0) if found else None


def parse_wait(value: Any, now: float) -> float | None:
    """Seconds from ``now`` (since 1970): a number, a duration as ``1m30s``, a moment as number or date."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value).strip()[:100]
    number = _parse_number(text)
    if number > EPOCH_S:
        return _bound((number / 1000 if number > EPOCH_MS else number) - now)
    if isfinite(number):
        return _bound(number)
    if (spelled := _parse_duration(text)) is not None:
        return _bound(spelled)
    date = _parse_date(text)
    return None if date is None else _bound(date.timestamp() - now)


def _bound(seconds: float) -> float | None:
    return seconds if isfinite(seconds) and 0 < seconds <= RETRY_AFTER_CAP_S else None


def _parse_number(text: str) -> float:
    """The number, or not-a-number."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _parse_duration(text: str) -> float | None:
    total, place = 0.0, 0
    while found := PART.match(text, place):
        unit = found[2].lower()
        total += float(found[1]) * UNITS["ms" if unit.startswith(("ms", "milli")) else unit[0]]
        place = found.end()
    return total if place and not text[place:].strip() else None


def _parse_date(text: str) -> datetime | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(text)
            return date if date.tzinfo else date.replace(tzinfo=UTC)
        except (ValueError, OverflowError):  # a year or a zone of too many digits is an overflow
            continue
    return None


def _server_time(headers: Mapping[str, str]) -> float:
    """Seconds since 1970 by the provider's own clock, however far it is from ours."""
    sent = _parse_date(headers.get("Date", ""))
    return time.time() if sent is None else sent.timestamp()


def _walk_named(node: Any) -> Iterator[tuple[str, Any]]:
    """Names and plain values of nested objects, at most :data:`MAX_VALUES`, no deeper than :data:`MAX_DEPTH`."""
    left, stack = MAX_VALUES, [("", node, 0)]
    while stack and left > 0:
        name, node, depth = stack.pop()
        left -= 1
        if not isinstance(node, dict | list):
            yield name, node
        elif depth < MAX_DEPTH:
            named = node.items() if isinstance(node, dict) else (("", value) for value in node)
            stack += [(str(inner), value, depth + 1) for inner, value in islice(named, left)]
