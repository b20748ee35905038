"""The budget by hand: parking, withdrawing, credit and debit, places, oversized calls."""

import asyncio

import pytest

from mics_ray.models.chat.rate_limiter import PACE, AdmissionQueue, RateLimiter, RateLimits


def test_without_limits_everybody_goes_at_once() -> None:
    budget = AdmissionQueue(RateLimits())
    tickets = [budget.add_ticket(1e9) for _ in range(3)]
    assert budget.admit_ready(0.0) == (tickets, None)
    assert (budget.in_flight, budget.waiting) == (3, 0)


def test_requests_are_spaced_not_sent_as_a_minutes_burst() -> None:
    budget = AdmissionQueue(RateLimits(requests_per_minute=60))
    first, second = budget.add_ticket(1), budget.add_ticket(1)
    assert budget.admit_ready(5.0) == ([first], pytest.approx(5 + 1 / PACE))
    assert budget.admit_ready(5.9)[0] == []
    assert budget.admit_ready(5 + 1 / PACE) == ([second], None)


def test_a_long_prompt_is_not_overtaken() -> None:
    budget = AdmissionQueue(RateLimits(tokens_per_minute=6000))
    tickets = [budget.add_ticket(tokens) for tokens in (3000, 5000, 10)]
    assert budget.admit_ready(0.0)[0] == tickets[:1]
    assert budget.admit_ready(59.0) == ([], 60.0)  # 3000 + 5000 do not fit into one minute, and the 10 wait behind them
    assert budget.admit_ready(60.0)[0] == tickets[1:2]


def test_a_call_above_the_whole_quota_goes_alone() -> None:
    budget = AdmissionQueue(RateLimits(tokens_per_minute=1000))
    small, giant, after = budget.add_ticket(100), budget.add_ticket(5000), budget.add_ticket(1)
    assert budget.admit_ready(0.0)[0] == [small]
    assert budget.admit_ready(60.0)[0] == [giant]
    assert budget.admit_ready(120.0)[0] == []  # its debt is still being paid off
    assert budget.admit_ready(60 + 5000 / (1000 * PACE / 60) + 1)[0] == [after]


def test_places_are_given_back_by_settling() -> None:
    budget = AdmissionQueue(RateLimits(max_in_flight=1))
    first, second = budget.add_ticket(1), budget.add_ticket(1)
    assert budget.admit_ready(0.0) == ([first], None)
    assert budget.admit_ready(9.0) == ([], None)
    budget.settle_ticket(first, 10.0, 1)
    assert budget.admit_ready(10.0) == ([second], None)


def test_parked_until_the_latest_moment_named() -> None:
    budget = AdmissionQueue(RateLimits())
    ticket = budget.add_ticket(1)
    budget.pause_until(3600.0)
    budget.pause_until(5.0)
    assert budget.admit_ready(3599.0) == ([], 3600.0)
    assert budget.admit_ready(3600.0) == ([ticket], None)


def test_a_withdrawn_ticket_is_never_admitted() -> None:
    budget = AdmissionQueue(RateLimits(max_in_flight=1))
    first, second, third = (budget.add_ticket(1) for _ in range(3))
    assert budget.admit_ready(0.0)[0] == [first]
    budget.withdraw_ticket(second)
    budget.settle_ticket(first, 1.0, 1)
    assert budget.admit_ready(1.0)[0] == [third]


def test_an_estimate_that_was_too_low_delays_the_next() -> None:
    budget = AdmissionQueue(RateLimits(tokens_per_minute=60_000))
    first = budget.add_ticket(1000)
    budget.admit_ready(0.0)
    budget.settle_ticket(first, 0.5, 11_000)
    second = budget.add_ticket(1)
    assert budget.admit_ready(10.0)[0] == []
    assert budget.admit_ready(11.2)[0] == [second]


def test_credit_admits_those_who_wait() -> None:
    budget = AdmissionQueue(RateLimits(tokens_per_minute=60_000))
    first, second = budget.add_ticket(10_000), budget.add_ticket(1)
    assert budget.admit_ready(0.0)[0] == [first]
    budget.settle_ticket(first, 1.0, 500)
    assert budget.admit_ready(1.0)[0] == [second]


def test_credit_that_nobody_waits_for_allows_no_burst() -> None:
    budget = AdmissionQueue(RateLimits(tokens_per_minute=60_000))
    early = [budget.add_ticket(10_000) for _ in range(5)]
    for moment in range(0, 60, 11):
        budget.admit_ready(float(moment))
    for ticket in early:
        budget.settle_ticket(ticket, 60.0, 10)
    late = [budget.add_ticket(1000) for _ in range(5)]
    assert budget.admit_ready(60.0)[0] == late[:1]


def test_a_stopped_process_does_not_wake_to_a_burst() -> None:
    budget = AdmissionQueue(RateLimits(requests_per_minute=600))
    tickets = [budget.add_ticket(1) for _ in range(50)]
    assert budget.admit_ready(0.0)[0] == tickets[:1]
    assert len(budget.admit_ready(60.0)[0]) == 1


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_that_admits_nobody_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        RateLimits(requests_per_minute=limit)


def test_a_call_that_ends_after_its_minute_gives_the_window_nothing_back() -> None:
    """What it takes left the window at its estimate; a credit too would let more in than a minute allows."""
    queue = AdmissionQueue(RateLimits(tokens_per_minute=600))

    def admit(tokens: float, now: float) -> float:
        queue.add_ticket(tokens)
        while True:
            admitted, wake = queue.admit_ready(now)
            if admitted:
                return now
            assert wake is not None
            now = wake

    first = queue.add_ticket(500)
    assert queue.admit_ready(0.0) == ([first], None)
    second = admit(100, 0.0)
    waiting = queue.add_ticket(490)
    queue.settle_ticket(first, 70.0, 10)
    assert queue.admit_ready(70.0) == ([waiting], None), "the credit is for the pace"
    assert admit(100, 70.0) >= second + 60, "100 and 490 are in the window until then"


def test_a_clock_that_steps_back_takes_nothing_from_those_who_wait() -> None:
    budget = AdmissionQueue(RateLimits(requests_per_minute=60))
    first, second = budget.add_ticket(1), budget.add_ticket(1)
    assert budget.admit_ready(100.0)[0] == [first]
    assert budget.admit_ready(40.0)[0] == []
    assert budget.admit_ready(100 + 1 / PACE) == ([second], None)


async def test_a_call_that_is_cancelled_while_it_waits_gives_its_place_up() -> None:
    limiter = RateLimiter(RateLimits(max_in_flight=1))
    held = await limiter.acquire_permit(1)
    gone, next_one = (asyncio.ensure_future(limiter.acquire_permit(1)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    limiter.release_permit(held, 1)
    limiter.release_permit(await next_one, 1)
    assert (limiter.queue.in_flight, limiter.queue.waiting) == (0, 0)


async def test_a_call_that_is_cancelled_between_its_permit_and_its_start_gives_the_permit_back() -> None:
    limiter = RateLimiter(RateLimits(max_in_flight=1))
    held = await limiter.acquire_permit(1)
    gone = asyncio.ensure_future(limiter.acquire_permit(1))
    await asyncio.sleep(0)
    limiter.release_permit(held, 1)
    gone.cancel()
    await asyncio.wait([gone])
    assert gone.cancelled()
    assert (limiter.queue.in_flight, limiter.queue.waiting) == (0, 0)
    await asyncio.wait_for(limiter.acquire_permit(1), 10)
