"""A job on paper against what can be reckoned by hand."""

import pytest

from mics_ray.models.chat.rate_limiter import PACE, RateLimits
from mics_ray.plan.shape import Candidate, Shape
from mics_ray.plan.simulate import JobTimeline, Service, ServiceUse, simulate

ONE_ROUND = ((Candidate("m", ("i", "i")),),)
TWO_ROUNDS = ((Candidate("m", ("i",)), Candidate("n", ("i",))), (Candidate(None, ("i",)), Candidate("n", ())))


def services(**limits: RateLimits) -> dict[str, Service]:
    seconds = {"m": 4.0, "n": 6.0, "i": 2.0, "judge": 1.0}
    return {name: Service(limits.get(name, RateLimits()), (each,), 100.0) for name, each in seconds.items()}


def course(shape: Shape, cases: int, window: int, **limits: RateLimits) -> JobTimeline:
    return simulate(services(**limits), [shape], "judge", cases, window)


def test_a_case_takes_the_longest_way_through_each_of_its_rounds() -> None:
    assert course(ONE_ROUND, 1, 1).ends == (4 + 2 + 1,)
    assert course(TWO_ROUNDS, 1, 1).ends == ((6 + 2 + 1) + max(2 + 1, 6),)


def test_every_call_is_made_and_counted() -> None:
    use = course(TWO_ROUNDS, 10, 3).use
    assert {name: used.sent for name, used in use.items()} == {"m": 10, "n": 20, "i": 30, "judge": 30}
    assert use["n"] == ServiceUse(20, 120.0)


def test_the_window_is_how_many_are_open_at_a_time() -> None:
    assert course(ONE_ROUND, 12, 4).ends == (7.0,) * 4 + (14.0,) * 4 + (21.0,) * 4


def test_one_place_at_a_model_makes_a_line() -> None:
    assert course(ONE_ROUND, 10, 10, i=RateLimits(max_in_flight=1)).seconds == 4 + 20 * 2 + 1


def test_twice_the_places_take_half_the_time_where_they_bind() -> None:
    one, two = (course(ONE_ROUND, 200, 50, i=RateLimits(max_in_flight=n)).cases_per_hour for n in (4, 8))
    assert two / one == pytest.approx(2, rel=0.03)


def test_a_quota_gives_its_pace() -> None:
    found = course(ONE_ROUND, 200, 50, judge=RateLimits(requests_per_minute=60))
    assert found.cases_per_hour == pytest.approx(3600 / 2 * PACE, rel=0.03)
    tokens = course(ONE_ROUND, 200, 50, judge=RateLimits(tokens_per_minute=6000))
    assert tokens.cases_per_hour == pytest.approx(found.cases_per_hour, rel=0.01)


def test_cached_calls_take_no_time_and_calls_asked_again_take_it_twice() -> None:
    base = services()
    cached = {**base, "judge": Service(RateLimits(), (1.0,), cached=1.0)}
    again = {**base, "judge": Service(RateLimits(), (1.0,), again=1.0)}
    assert simulate(cached, [ONE_ROUND], "judge", 1, 1).seconds == 6
    assert simulate(again, [ONE_ROUND], "judge", 1, 1).seconds == 8


def test_spared_calls_are_not_made() -> None:
    spared = {**services(), "judge": Service(RateLimits(), (1.0,), again=1.0, spared=1.0)}
    found = simulate(spared, [ONE_ROUND], "judge", 1, 1)
    assert (found.seconds, found.use["judge"].sent) == (6, 0)


def test_the_same_seed_gives_the_same_course() -> None:
    drawn = {name: Service(RateLimits(), (1.0, 2.0, 5.0)) for name in ("m", "i", "judge")}
    first, second, other = (simulate(drawn, [ONE_ROUND], "judge", 50, 5, seed) for seed in (1, 1, 2))
    assert first == second != other


def test_a_case_without_rounds_ends_at_once() -> None:
    assert simulate(services(), [(), ONE_ROUND], "judge", 4, 1).ends == (0.0, 7.0, 7.0, 14.0)


def test_the_pace_is_that_of_the_middle_without_a_slow_beginning_and_end() -> None:
    ends = [*range(100, 1100, 100), *range(1010, 1210, 10), *range(1300, 2300, 100)]
    assert JobTimeline(tuple(map(float, ends)), {}).cases_per_hour == pytest.approx(3600 * 20 / (ends[30] - ends[10]))


def test_a_short_job_has_its_mean_pace_and_none_has_none() -> None:
    assert JobTimeline((1.0, 2.0, 6.0), {}).cases_per_hour == 3600 * 3 / 6
    assert JobTimeline((5.0,) * 40, {}).cases_per_hour == 3600 * 40 / 5
    assert (JobTimeline((), {}).cases_per_hour, JobTimeline((), {}).seconds) == (0.0, 0.0)


def test_a_call_is_asked_again_once_at_most_and_shares_are_shares() -> None:
    again = {**services(), "judge": Service(RateLimits(), (1.0,), again=0.5)}
    sent = simulate(again, [ONE_ROUND], "judge", 500, 10).use["judge"].sent
    assert sent == pytest.approx(1500, rel=0.05)
    cached = {**services(), "i": Service(RateLimits(), (2.0,), cached=0.25)}
    assert simulate(cached, [ONE_ROUND], "judge", 500, 10).use["i"].sent == pytest.approx(750, rel=0.05)
