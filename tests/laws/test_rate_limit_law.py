"""Laws of the rate limiter: never over a quota in any window, first come first served, all admitted, little wasted."""

import random
from collections.abc import Sequence
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mics_ray.models.chat.rate_limiter import AdmissionQueue, RateLimits, Ticket

TOLERANCE = 1e-6


def simulate(
    budget: AdmissionQueue, arrivals: list[tuple[float, float, float]], real: float | Sequence[float] = 1.0
) -> list[tuple[float, int]]:
    """Run calls of (arrival, reserved tokens, duration) to their end; returns (admission, index) in order of admission.

    Each call really takes ``real`` times what it reserved, or its own number of tokens there; known when it ends.
    """
    costs = [tokens * real for _, tokens, _ in arrivals] if isinstance(real, float) else real
    tickets: dict[Ticket, int] = {}
    ends: list[tuple[float, Ticket]] = []
    admissions: list[tuple[float, int]] = []
    coming = sorted(range(len(arrivals)), key=lambda i: arrivals[i][0])
    now = 0.0
    while coming or budget.waiting or ends:
        while coming and arrivals[coming[0]][0] <= now:
            index = coming.pop(0)
            tickets[budget.add_ticket(arrivals[index][1])] = index
        while ends and ends[0][0] <= now:
            ticket = ends.pop(0)[1]
            budget.settle_ticket(ticket, now, costs[tickets[ticket]])
        admitted, wake = budget.admit_ready(now)
        for ticket in admitted:
            admissions.append((now, tickets[ticket]))
            ends.append((now + arrivals[tickets[ticket]][2], ticket))
        ends.sort(key=lambda end: end[0])
        events = [arrivals[coming[0]][0]] if coming else []
        events += [ends[0][0]] if ends else []
        events += [wake] if wake is not None else []
        if events:
            assert min(events) > now or (ends and ends[0][0] <= now), "the clock stands still"
            now = max(now, min(events))
    return admissions


def worst_window(admissions: list[tuple[float, float]], width: float) -> float:
    """The largest sum of costs in any half-open window of ``width`` seconds; windows begin at admissions."""
    worst = running = 0.0
    first = 0
    for at, cost in admissions:
        running += cost
        while admissions[first][0] <= at - width + 1e-9:
            running -= admissions[first][1]
            first += 1
        worst = max(worst, running)
    return worst


calls = st.lists(
    st.tuples(st.floats(0, 200), st.floats(1, 3000), st.floats(0, 40)), min_size=1, max_size=120
)  # arrival, tokens, duration
limits = st.builds(
    RateLimits,
    requests_per_minute=st.none() | st.integers(1, 600),
    tokens_per_minute=st.none() | st.integers(2000, 60_000),
    max_in_flight=st.none() | st.integers(1, 20),
)


@given(calls, limits)
@settings(max_examples=150, deadline=None)
def test_no_window_holds_more_than_its_share(calls: list[tuple[float, float, float]], limits: RateLimits) -> None:
    admissions = simulate(AdmissionQueue(limits), calls)
    requests = [(at, 1.0) for at, _ in admissions]
    tokens = [(at, calls[index][1]) for at, index in admissions]
    largest = max(cost for _, cost in tokens)
    if limits.requests_per_minute is not None:
        assert worst_window(requests, 60) <= limits.requests_per_minute
        for width in (1, 10):
            assert worst_window(requests, width) <= ceil(limits.requests_per_minute * width / 60)
    if limits.tokens_per_minute is not None:
        assert worst_window(tokens, 60) <= max(limits.tokens_per_minute, largest) + TOLERANCE
        for width in (1, 10):
            assert worst_window(tokens, width) < limits.tokens_per_minute * width / 60 + largest + TOLERANCE


@given(calls, limits)
@settings(max_examples=100, deadline=None)
def test_everybody_is_admitted_once_in_order_of_arrival_within_the_places(
    calls: list[tuple[float, float, float]], limits: RateLimits
) -> None:
    admissions = simulate(AdmissionQueue(limits), calls)
    order = [index for _, index in admissions]
    assert order == sorted(range(len(calls)), key=lambda i: calls[i][0])
    if limits.max_in_flight is not None:
        for at, _ in admissions:
            under_way = sum(begun <= at < begun + calls[i][2] for begun, i in admissions)
            assert under_way <= limits.max_in_flight


@given(st.integers(30, 6000), st.floats(0.2, 1.0), st.floats(0, 30))
@settings(max_examples=30, deadline=None)
def test_real_tokens_stay_within_the_quota_when_estimates_are_upper_bounds(
    calls_per_minute: int, real: float, duration: float
) -> None:
    quota = 1000.0 * calls_per_minute
    calls = [(0.0, 1000.0, duration)] * min(3 * calls_per_minute, 600)
    admissions = simulate(AdmissionQueue(RateLimits(tokens_per_minute=quota)), calls, real)
    assert worst_window([(at, 1000.0 * real) for at, _ in admissions], 60) <= quota + TOLERANCE


@pytest.mark.parametrize(
    ("limits", "tokens", "unit"),
    [
        (RateLimits(requests_per_minute=60), 1.0, 1.0),
        (RateLimits(requests_per_minute=500), 1.0, 1.0),
        (RateLimits(requests_per_minute=7), 1.0, 1.0),
        (RateLimits(tokens_per_minute=300_000), 1500.0, 1500.0),
        (RateLimits(tokens_per_minute=300_000, requests_per_minute=10_000), 700.0, 700.0),
    ],
)
def test_a_long_run_uses_97_percent(limits: RateLimits, tokens: float, unit: float) -> None:
    quota = limits.tokens_per_minute or limits.requests_per_minute
    assert quota is not None
    count = int(30 * quota / unit)  # half an hour's worth
    admissions = simulate(AdmissionQueue(limits), [(0.0, tokens, 2.0)] * count)
    minutes = (admissions[-1][0] - admissions[0][0]) / 60
    assert (count - 1) * unit / minutes >= 0.97 * quota


@pytest.mark.parametrize("lateness", [0.002, 0.01])
def test_lateness_of_the_loop_is_caught_up(lateness: float) -> None:
    budget = AdmissionQueue(RateLimits(requests_per_minute=3000))  # one every 20 ms
    for _ in range(9000):
        budget.add_ticket(1.0)
    now, count, admissions = 0.0, 0, []
    while count < 9000:
        admitted, wake = budget.admit_ready(now)
        count += len(admitted)
        admissions += [(now, 1.0)] * len(admitted)
        now = (wake or now) + lateness
    assert count / (now / 60) >= 0.97 * 3000
    assert worst_window(admissions, 1) <= 50
    assert worst_window(admissions, 60) <= 3000


def test_a_hiccup_of_the_loop_is_no_licence_for_a_burst() -> None:
    budget = AdmissionQueue(RateLimits(requests_per_minute=3000))
    for _ in range(3000):
        budget.add_ticket(1.0)
    now, admissions = 0.0, []
    for turn in range(2000):
        admitted, wake = budget.admit_ready(now)
        admissions += [(now, 1.0)] * len(admitted)
        now = (wake or now) + (0.3 if turn % 70 == 0 else 0.0)
    assert worst_window(admissions, 1) <= 50


@given(st.floats(0.3, 1.0), st.floats(0, 5))
@settings(max_examples=20, deadline=None)
def test_credit_is_used_again(real: float, duration: float) -> None:
    """Calls that take less than they reserved leave room for more of them, up to what is still unknown."""
    quota, reserved = 300_000.0, 2000.0
    admissions = simulate(AdmissionQueue(RateLimits(tokens_per_minute=quota)), [(0.0, reserved, duration)] * 3000, real)
    used = 2999 * reserved * real / ((admissions[-1][0] - admissions[0][0]) / 60)
    unknown = (1 - real) / real * duration / 60  # reserved and not settled, as a share of what is really used
    assert used >= 0.96 * quota / (1 + unknown)


@st.composite
def estimated_calls(draw: st.DrawFn) -> list[tuple[float, float, float, float]]:
    """(arrival, estimate, duration, real cost) of calls that together take more than two windows of 6,000 tokens."""
    call = st.tuples(st.floats(0, 150), st.floats(200, 3000), st.floats(0, 40), st.floats(0.05, 1.0))
    drawn = draw(st.lists(call, min_size=40, max_size=120))
    return [(arrival, estimate, duration, estimate * share) for arrival, estimate, duration, share in drawn]


@given(estimated_calls())
@settings(max_examples=60, deadline=None)
def test_real_tokens_stay_within_the_quota_whatever_each_call_was_estimated_at(
    calls: list[tuple[float, float, float, float]],
) -> None:
    quota, real = 6000.0, [cost for *_, cost in calls]
    admissions = simulate(AdmissionQueue(RateLimits(tokens_per_minute=quota)), [call[:3] for call in calls], real)
    assert worst_window([(at, real[index]) for at, index in admissions], 60) <= quota + TOLERANCE


def test_over_ten_windows_of_mixed_estimates_the_quota_is_kept_and_used() -> None:
    draws, quota = random.Random(7), 6000.0
    calls = [(0.0, draws.choice([200.0, 3000.0]), draws.uniform(0, 30)) for _ in range(300)]
    real = [estimate * draws.choice([0.05, 0.5, 1.0]) for _, estimate, _ in calls]
    admissions = simulate(AdmissionQueue(RateLimits(tokens_per_minute=quota)), calls, real)
    assert admissions[-1][0] > 10 * 60
    assert worst_window([(at, real[index]) for at, index in admissions], 60) <= quota + TOLERANCE
    assert sum(real) / admissions[-1][0] * 60 > 0.5 * quota, "what was not used is credited"


def test_a_call_that_took_more_than_its_estimate_fills_the_window_by_what_it_took() -> None:
    queue = AdmissionQueue(RateLimits(tokens_per_minute=6000))
    first = queue.add_ticket(100)
    assert queue.admit_ready(0.0)[0] == [first]
    queue.settle_ticket(first, 1.0, 5000)
    second = queue.add_ticket(2000)
    assert queue.admit_ready(59.9) == ([], 60.0), "7,000 tokens do not fit into one minute"
    assert queue.admit_ready(60.0)[0] == [second]
