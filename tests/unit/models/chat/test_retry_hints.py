"""How long a provider asks to be left alone, in every form that it is told in."""

import time
from typing import Any

import pytest

from mics_ray.models.chat.retry_hints import find_wait, parse_reset, parse_retry_after, parse_wait

NOW = 1_764_000_000.0
DATE = "Mon, 24 Nov 2025 16:00:00 GMT"  # the same moment


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("34s", 34.0),
        ("1m30s", 90.0),
        ("6ms", 0.006),
        ("1h2m3.5s", 3723.5),
        ("34.074824224s", 34.074824224),
        ("2 minutes", 120.0),
        ("1 min 5 secs", 65.0),
        ("250 milliseconds", 0.25),
        ("1d", 86_400.0),
        ("1.5", 1.5),
        (20, 20.0),
        (NOW + 30, 30.0),
        (str(int(NOW + 30)), 30.0),
        (str(int((NOW + 30) * 1000)), 30.0),
        ("2025-11-24T16:00:30Z", 30.0),
        ("Mon, 24 Nov 2025 16:00:30 GMT", 30.0),
        ("Mon, 24 Nov 2025 17:00:30 +0100", 30.0),
        ("2025-11-24T17:00:30+01:00", 30.0),
        ("2025-11-24T16:00:30", 30.0),
        ("0s", None),
        ("-5s", None),
        ("1d1s", None),
        ("9" * 400, None),
        ("1e9999", None),
        ("nan", None),
        ("soon", None),
        ("30 apples", None),
        ("5 months", None),
        ("", None),
        (True, None),
        (None, None),
        ({}, None),
        (NOW - 30, None),
        ("2024-01-01T00:00:00Z", None),
    ],
)
def test_a_wait(value: Any, seconds: float | None) -> None:
    found = parse_wait(value, NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_retry_after_in_milliseconds_comes_first() -> None:
    assert parse_retry_after({"Retry-After-Ms": "1500", "Retry-After": "2"}) == 1.5
    assert parse_retry_after({"Retry-After-Ms": "soon", "Retry-After": "2"}) == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-ratelimit-reset-requests": "8.64s"}, 8.64),
        ({"X-RateLimit-Reset": str(int((NOW + 12) * 1000)), "Date": DATE}, 12.0),
        ({"X-RateLimit-Reset": str(int(NOW + 12)), "Date": DATE}, 12.0),
        ({"RateLimit-Reset": "50"}, 50.0),
        ({"anthropic-ratelimit-tokens-reset": "2025-11-24T16:00:09Z", "Date": DATE}, 9.0),
        ({"x-rate-limit-reset": "7"}, 7.0),
        ({"RateLimit": '"burst";r=0;t=30, "day";r=12;t=4000'}, 30.0),
        ({"RateLimit": '"burst";r=3;t=30, "day";r=0;t=4000'}, 4000.0),
        ({"ratelimit": "limit=100, remaining=0, reset=50"}, 50.0),
        ({"ratelimit": "limit=100, remaining=0, reset=soon"}, None),
        ({"ratelimit": '"day";r=0;t=999999999999'}, None),
        # The quota that is used up counts, not the one that renews itself tomorrow.
        (
            {
                "x-ratelimit-remaining-requests": "9990",
                "x-ratelimit-reset-requests": "23h59m",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "1m30s",
            },
            90.0,
        ),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "20s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "6ms",
            },
            20.0,
        ),
        ({"x-ratelimit-reset-requests": "20s", "x-ratelimit-reset-tokens": "2s"}, 2.0),
        ({"x-ratelimit-reset-requests": "soon", "x-ratelimit-limit-requests": "5"}, None),
        ({"x-ratelimit-reset": "2000000"}, None),
    ],
)
def test_the_reset_of_a_quota(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_reset(headers) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"details": [{"@type": "…/QuotaFailure"}, {"@type": "…/RetryInfo", "retryDelay": "34s"}]}, 34.0),
        ({"metadata": {"retry_after": 12}}, 12.0),
        ({"metadata": {"retry_after_ms": 1500}}, 1.5),
        ({"message": "x", "retryAfterSeconds": "9"}, 9.0),
        ({"message": "Please try again in 1m12.5s. Visit …"}, 72.5),
        ({"message": "Please try again in 20ms."}, 0.02),
        ({"message": "Rate limited, retry after 34 seconds"}, 34.0),
        ({"message": "Please retry in 7.3s."}, 7.3),
        ("You must wait 5 minutes", 300.0),
        ({"message": "try again later. 30 s of audio"}, None),
        ({"message": "The film shows 30 s"}, None),
        ({"message": None}, None),
        ({"retryDelay": {"seconds": 5}}, None),
        ({"retryDelay": "9999999s"}, None),
        ([1, [2]], None),
        (None, None),
        (3, None),
    ],
)
def test_a_wait_in_an_error(error: Any, seconds: float | None) -> None:
    assert find_wait(error) == (None if seconds is None else pytest.approx(seconds))


def test_the_reset_inside_an_errors_own_headers() -> None:
    error = {"code": 429, "metadata": {"headers": {"X-RateLimit-Reset": str(int((time.time() + 30) * 1000))}}}
    found = find_wait(error)
    assert found is not None
    assert 25 < found <= 30


def test_endless_and_deep_details_are_not_read_to_their_end() -> None:
    deep: Any = {"retryDelay": "5s"}
    for _ in range(50_000):
        deep = [deep]
    assert find_wait(deep) is None
    assert find_wait({"details": [{"x": 1}] * 10**6}) is None
