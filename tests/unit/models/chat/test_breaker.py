"""The circuit breaker on a clock of its own."""

from mics_ray.models.chat.breaker import OUTAGE_S, THRESHOLD, Breaker


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for call in range(THRESHOLD):
        breaker.record_fault(bytes([call]), now)
    return breaker


def test_it_opens_after_faults_of_several_calls_and_lets_one_probe_a_second_go() -> None:
    breaker = opened()
    sent = [tick / 10 for tick in range(100) if breaker.seconds_to_wait(tick / 10) == 0]
    assert sent == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_one_call_that_always_fails_does_not_open_it() -> None:
    breaker = Breaker()
    for _ in range(10 * THRESHOLD):
        breaker.record_fault(b"poison", 0.0)
    assert not breaker.is_open


def test_a_success_closes_it_and_starts_the_count_anew() -> None:
    breaker = opened()
    breaker.record_success()
    breaker.record_fault(b"x", 1.0)
    assert not breaker.is_open
    assert breaker.seconds_to_wait(1.0) == 0


def test_it_is_an_outage_after_its_bound_and_not_before() -> None:
    breaker = opened(5.0)
    assert not breaker.is_long_outage(5.0 + OUTAGE_S - 1)
    assert breaker.is_long_outage(5.0 + OUTAGE_S)
    assert not Breaker().is_long_outage(1e9)
