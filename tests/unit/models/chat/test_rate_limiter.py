"""The budget by hand: parking, withdrawing, credit and debit, places, oversized calls."""

import pytest

from mics_ray.models.chat.rate_limiter import PACE, Budget, Limits


def test_without_limits_everybody_goes_at_once() -> None:
    budget = Budget(Limits())
    tickets = [budget.request(1e9) for _ in range(3)]
    assert budget.ready(0.0) == (tickets, None)
    assert (budget.in_flight, budget.waiting) == (3, 0)


def test_requests_are_spaced_not_sent_as_a_minutes_burst() -> None:
    budget = Budget(Limits(requests_per_minute=60))
    first, second = budget.request(1), budget.request(1)
    assert budget.ready(5.0) == ([first], pytest.approx(5 + 1 / PACE))
    assert budget.ready(5.9)[0] == []
    assert budget.ready(5 + 1 / PACE) == ([second], None)


def test_a_long_prompt_is_not_overtaken() -> None:
    budget = Budget(Limits(tokens_per_minute=6000))
    tickets = [budget.request(tokens) for tokens in (3000, 5000, 10)]
    assert budget.ready(0.0)[0] == tickets[:1]
    assert budget.ready(59.0) == ([], 60.0)  # 3000 + 5000 do not fit into one minute, and the 10 wait behind them
    assert budget.ready(60.0)[0] == tickets[1:2]


def test_a_call_above_the_whole_quota_goes_alone() -> None:
    budget = Budget(Limits(tokens_per_minute=1000))
    small, giant, after = budget.request(100), budget.request(5000), budget.request(1)
    assert budget.ready(0.0)[0] == [small]
    assert budget.ready(60.0)[0] == [giant]
    assert budget.ready(120.0)[0] == []  # its debt is still being paid off
    assert budget.ready(60 + 5000 / (1000 * PACE / 60) + 1)[0] == [after]


def test_places_are_given_back_by_settling() -> None:
    budget = Budget(Limits(max_in_flight=1))
    first, second = budget.request(1), budget.request(1)
    assert budget.ready(0.0) == ([first], None)
    assert budget.ready(9.0) == ([], None)
    budget.settle(first, 10.0, 1)
    assert budget.ready(10.0) == ([second], None)


def test_parked_until_the_latest_moment_named() -> None:
    budget = Budget(Limits())
    ticket = budget.request(1)
    budget.park(3600.0)
    budget.park(5.0)
    assert budget.ready(3599.0) == ([], 3600.0)
    assert budget.ready(3600.0) == ([ticket], None)


def test_a_withdrawn_ticket_is_never_admitted() -> None:
    budget = Budget(Limits(max_in_flight=1))
    first, second, third = (budget.request(1) for _ in range(3))
    assert budget.ready(0.0)[0] == [first]
    budget.withdraw(second)
    budget.settle(first, 1.0, 1)
    assert budget.ready(1.0)[0] == [third]


def test_an_estimate_that_was_too_low_delays_the_next() -> None:
    budget = Budget(Limits(tokens_per_minute=60_000))
    first = budget.request(1000)
    budget.ready(0.0)
    budget.settle(first, 0.5, 11_000)
    second = budget.request(1)
    assert budget.ready(10.0)[0] == []
    assert budget.ready(11.2)[0] == [second]


def test_credit_admits_those_who_wait() -> None:
    budget = Budget(Limits(tokens_per_minute=60_000))
    first, second = budget.request(10_000), budget.request(1)
    assert budget.ready(0.0)[0] == [first]
    budget.settle(first, 1.0, 500)
    assert budget.ready(1.0)[0] == [second]


def test_credit_that_nobody_waits_for_allows_no_burst() -> None:
    budget = Budget(Limits(tokens_per_minute=60_000))
    early = [budget.request(10_000) for _ in range(5)]
    for moment in range(0, 60, 11):
        budget.ready(float(moment))
    for ticket in early:
        budget.settle(ticket, 60.0, 10)
    late = [budget.request(1000) for _ in range(5)]
    assert budget.ready(60.0)[0] == late[:1]


def test_a_stopped_process_does_not_wake_to_a_burst() -> None:
    budget = Budget(Limits(requests_per_minute=600))
    tickets = [budget.request(1) for _ in range(50)]
    assert budget.ready(0.0)[0] == tickets[:1]
    assert len(budget.ready(60.0)[0]) == 1


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_that_admits_nobody_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Limits(requests_per_minute=limit)
