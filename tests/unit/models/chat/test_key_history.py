"""A refusal of a key that has worked: of one call, of one minute, or of everything."""

from mics_ray.models.chat.key_history import MOST_BLOCKED, MOST_PARKS, KeyHistory
from mics_ray.models.chat.retry import Action, Fault
from mics_ray.models.types import Failure

BLOCKED = Fault(Action.STOP, Failure("auth", "403"), doubtful=True)
QUOTA = Fault(Action.STOP, Failure("quota", "429 insufficient_quota"), doubtful=True)
CERTIFICATE = Fault(Action.STOP, Failure("certificate", "not trusted"), doubtful=True)
SURE = (
    Fault(Action.STOP, Failure("auth", "401")),
    Fault(Action.STOP, Failure("quota", "402")),
    Fault(Action.AGAIN, Failure("server_error", "503")),
    Fault(Action.LOSE, Failure("bad_request", "400")),
)


def call(number: int) -> bytes:
    return bytes([number]) * 32


def test_a_key_that_never_worked_is_refused_at_once() -> None:
    history = KeyHistory()
    for fault in (BLOCKED, QUOTA, CERTIFICATE, *SURE):
        assert history.judge_fault(fault, call(1), 0.0) is fault


def test_what_is_not_doubtful_means_what_it_says_however_often_the_key_has_worked() -> None:
    history = KeyHistory(proven=True)
    for fault in SURE:
        assert history.judge_fault(fault, call(1), 0.0) is fault


def test_one_call_behind_a_firewall_is_lost_and_several_different_ones_in_a_row_stop() -> None:
    history = KeyHistory(proven=True)
    for _ in range(20):  # the same text, asked again
        assert history.judge_fault(BLOCKED, call(1), 0.0).failure.kind == "blocked"
    for number in range(2, MOST_BLOCKED):
        fault = history.judge_fault(BLOCKED, call(number), 0.0)
        assert (fault.action, fault.failure.kind) == (Action.LOSE, "blocked")
    fault = history.judge_fault(BLOCKED, call(99), 0.0)
    assert (fault.action, fault.failure.kind) == (Action.STOP, "auth")


def test_a_success_between_blocked_calls_begins_the_count_anew() -> None:
    history = KeyHistory()
    history.record_success()
    for number in range(100):
        assert history.judge_fault(BLOCKED, call(number), 0.0).action is Action.LOSE
        if number % (MOST_BLOCKED - 1) == 0:
            history.record_success()


def test_a_limit_a_minute_parks_and_stops_where_it_persists() -> None:
    history, now = KeyHistory(proven=True), 1000.0
    for _ in range(MOST_PARKS):
        for late in range(30):  # those that were under way hear the same
            fault = history.judge_fault(QUOTA, call(late), now + late / 10)
            assert (fault.action, fault.failure.kind, fault.retry_after) == (Action.AGAIN, "rate_limit", 60.0)
        now += 61
    fault = history.judge_fault(QUOTA, call(1), now)
    assert (fault.action, fault.failure.kind) == (Action.STOP, "quota")


def test_the_bounds_that_docs_tell_and_a_success_that_begins_them_anew() -> None:
    assert (MOST_BLOCKED, MOST_PARKS) == (5, 2)
    history = KeyHistory(proven=True)
    for minute in range(4):
        assert history.judge_fault(QUOTA, call(1), minute * 61.0).action is Action.AGAIN
        if minute == 1:
            history.record_success()
    assert history.judge_fault(QUOTA, call(1), 4 * 61.0).action is Action.STOP


def test_a_limit_a_minute_that_lets_calls_through_between_never_stops() -> None:
    history = KeyHistory(proven=True)
    for minute in range(100):
        assert history.judge_fault(QUOTA, call(1), minute * 61.0).action is Action.AGAIN
        history.record_success()


def test_a_wait_that_the_provider_names_is_kept() -> None:
    fault = Fault(Action.STOP, Failure("quota", "429"), 7.0, doubtful=True)
    assert KeyHistory(proven=True).judge_fault(fault, call(1), 0.0).retry_after == 7.0


def test_a_certificate_that_was_good_is_asked_again() -> None:
    fault = KeyHistory(proven=True).judge_fault(CERTIFICATE, call(1), 0.0)
    assert (fault.action, fault.failure.kind) == (Action.AGAIN, "connection")
