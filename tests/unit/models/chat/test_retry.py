"""One table: what a provider said, and what follows."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from mics_ray.models.chat.classify import ErrorBody, classify_exception, classify_status
from mics_ray.models.chat.retry import MAX_LONG_WAITS, Action, Fault, RetryState, broken_reply
from mics_ray.models.chat.retry_hints import parse_retry_after
from mics_ray.models.types import Failure, LostCall, Refused

KEY = b"k" * 32
AGAIN = Fault(Action.AGAIN, Failure("server_error", "503"))


@pytest.mark.parametrize(
    ("status", "error", "action", "kind"),
    [
        (401, ErrorBody("invalid_api_key", "Incorrect API key"), Action.STOP, "auth"),
        (401, None, Action.STOP, "auth"),
        (403, ErrorBody("", "forbidden"), Action.STOP, "auth"),
        (403, ErrorBody("", "input was flagged by moderation"), Action.LOSE, "refused"),
        (400, ErrorBody("INVALID_ARGUMENT", "API key not valid."), Action.STOP, "auth"),
        (404, ErrorBody("model_not_found", ""), Action.STOP, "unknown_model"),
        (404, ErrorBody("NotFoundError", "The model `Qwen2.5-VL` does not exist."), Action.STOP, "unknown_model"),
        (400, ErrorBody("model_not_found", ""), Action.STOP, "unknown_model"),
        (400, ErrorBody("invalid_request_error", "Model Not Exist"), Action.STOP, "unknown_model"),
        (404, None, Action.AGAIN, "server_error"),
        (402, ErrorBody("", "Insufficient Balance"), Action.STOP, "quota"),
        (429, ErrorBody("insufficient_quota", "you exceeded"), Action.STOP, "quota"),
        (429, ErrorBody("rate_limit_exceeded", "slow"), Action.AGAIN, "rate_limit"),
        (429, None, Action.AGAIN, "rate_limit"),
        (400, ErrorBody("context_length_exceeded", ""), Action.LOSE, "too_long"),
        (400, ErrorBody("", "This model's maximum context length is 8192 tokens"), Action.LOSE, "too_long"),
        (400, ErrorBody("content_filter", ""), Action.LOSE, "refused"),
        (400, ErrorBody("invalid_value", "temperature"), Action.LOSE, "bad_request"),
        (422, None, Action.LOSE, "bad_request"),
        (302, None, Action.LOSE, "bad_request"),
        (408, None, Action.AGAIN, "server_error"),
        (500, ErrorBody("", "oops"), Action.AGAIN, "server_error"),
        (503, None, Action.AGAIN, "server_error"),
        (529, None, Action.AGAIN, "server_error"),
    ],
)
def test_status(status: int, error: ErrorBody | None, action: Action, kind: str) -> None:
    fault = classify_status(status, error)
    assert (fault.action, fault.failure.kind) == (action, kind)
    assert fault.failure.message == str(status)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(TimeoutError("secret"), "timeout"), (ConnectionResetError("secret"), "connection"), (OSError(), "connection")],
)
def test_no_answer_is_asked_again_and_its_text_not_told(error: Exception, kind: str) -> None:
    fault = classify_exception(error)
    assert (fault.action, fault.failure.kind) == (Action.AGAIN, kind)
    assert "secret" not in repr(fault)


NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "3600"}, 3600.0),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "0"}, None),
        ({"Retry-After": "NaN"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Sun, 99 Nov 2026 25:00:00 GMT"}, None),
        ({"Retry-After": date(30), "Date": date(0)}, 30.0),  # by the server's clock, however far it is from ours
        ({"Retry-After": date(-30), "Date": date(0)}, None),
        ({"Retry-After": date(30), "Date": "rubbish"}, None),  # then by ours, which is past that date
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: (NOW + timedelta(days=1)).timestamp())
    assert parse_retry_after(headers) == seconds


def play(course: RetryState, faults: list[Fault], attempt_s: float = 0.0) -> list[float]:
    waits = []
    for fault in faults:
        course.count_attempt(attempt_s)
        waits.append(course.delay_after(fault))
    return waits


def test_backoff_is_full_jitter_and_the_same_for_the_same_request() -> None:
    waits = [play(RetryState(bytes([i]) * 32, 1e6), [AGAIN] * 12) for i in range(200)]
    assert waits[7] == play(RetryState(bytes([7]) * 32, 1e6), [AGAIN] * 12)
    for attempt, bound in enumerate([0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]):
        column = [row[attempt] for row in waits]
        assert 0 <= min(column) < 0.1 * bound
        assert 0.9 * bound < max(column) <= bound
        assert sum(column) / 200 == pytest.approx(bound / 2, rel=0.15)
    assert len({wait / 30 for wait in waits[7][6:]}) == 6, "each attempt draws anew"


def test_attempts_without_number_do_not_overflow_the_backoff() -> None:
    course = RetryState(KEY, 1e9)
    waits = play(course, [AGAIN] * 1200)
    assert max(waits) <= 30


def test_a_call_that_is_given_up_keeps_the_text_that_came() -> None:
    fault = Fault(Action.LOSE, Failure("filtered", "by the provider"), text="the beginning of")
    with pytest.raises(LostCall) as lost:
        RetryState(KEY, 300.0).delay_after(fault)
    assert (lost.value.failure, lost.value.text) == (fault.failure, "the beginning of")


def test_transient_faults_are_asked_again_until_the_deadline() -> None:
    course = RetryState(KEY, 20.0)
    with pytest.raises(LostCall, match="server_error: 503; given up after") as lost:
        play(course, [AGAIN] * 1000, attempt_s=0.5)
    assert lost.value.failure.kind == "server_error"
    assert 4 < course.attempts < 40


def test_broken_replies_are_paid_for_three_times_at_most() -> None:
    course = RetryState(KEY, 300.0)
    with pytest.raises(LostCall) as lost:
        play(course, [broken_reply("200 without a choice", "evidence")] * 9)
    assert course.attempts == 3
    assert lost.value.text == "evidence"
    assert "evidence" not in str(lost.value)


def test_a_hung_attempt_leaves_time_for_another() -> None:
    course = RetryState(KEY, 300.0)
    assert course.attempt_s == 150
    course.count_attempt(150)
    course.delay_after(classify_exception(TimeoutError()))
    assert 149 < course.attempt_s <= 150


def test_a_short_wait_counts_and_a_long_one_parks_without_costing_the_case() -> None:
    course = RetryState(KEY, 300.0)
    short, long = (Fault(Action.AGAIN, Failure("rate_limit", "429"), seconds) for seconds in (20.0, 3600.0))
    course.count_attempt(0)
    assert course.delay_after(long) == 0  # the entry is parked: nothing to sleep
    assert course.attempt_s == 150
    with pytest.raises(LostCall):
        play(course, [short] * 20)
    assert course.attempts == 1 + 15


@pytest.mark.parametrize("told", [0.001, 0.02, 0.9])
def test_a_wait_of_no_time_is_no_reason_to_hammer(told: float) -> None:
    hurried = Fault(Action.AGAIN, Failure("rate_limit", "429"), told)
    state = RetryState(KEY, 300.0)
    with pytest.raises(LostCall):
        play(state, [hurried] * 10_000)
    assert state.attempts < 60


def test_endless_parking_ends() -> None:
    with pytest.raises(LostCall):
        play(RetryState(KEY, 300.0), [Fault(Action.AGAIN, Failure("rate_limit", "429"), 3600.0)] * 100)


def test_verdicts_without_another_attempt() -> None:
    with pytest.raises(Refused):
        RetryState(KEY, 300.0).delay_after(classify_status(401, None))
    with pytest.raises(LostCall):
        RetryState(KEY, 300.0).delay_after(classify_status(400, None))


def test_backoff_counts_whatever_its_length() -> None:
    course = RetryState(KEY, 2.0)
    with pytest.raises(LostCall):
        play(course, [AGAIN] * 1000)
    assert course.attempts < 12


@pytest.mark.parametrize(
    "date", ["Wed, 25 Nov 2026 10:00:07 +99999999999999999999", "25 Nov 99999999999999999999 10:00:00"]
)
def test_a_date_of_too_many_digits_is_garbage(date: str) -> None:
    assert parse_retry_after({"Retry-After": date}) is None


@pytest.mark.parametrize(
    ("status", "error", "action", "kind"),
    [
        (429, ErrorBody("", "too many tokens this minute"), Action.AGAIN, "rate_limit"),
        (429, ErrorBody("", "flagged as too much traffic"), Action.AGAIN, "rate_limit"),
        (503, ErrorBody("", "the request took too long"), Action.AGAIN, "server_error"),
        (500, ErrorBody("", "the moderation service is away"), Action.AGAIN, "server_error"),
        (500, ErrorBody("", "the api key service is away"), Action.AGAIN, "server_error"),
        (503, ErrorBody("", "model not found in any pool yet"), Action.AGAIN, "server_error"),
        (503, ErrorBody("insufficient_quota", "of GPUs"), Action.AGAIN, "server_error"),
        (409, None, Action.AGAIN, "server_error"),
        (425, None, Action.AGAIN, "server_error"),
        (498, None, Action.AGAIN, "server_error"),
        (499, None, Action.LOSE, "bad_request"),
        (413, ErrorBody("", "maximum prompt length exceeded"), Action.LOSE, "too_long"),
        (422, ErrorBody("", "input too long"), Action.LOSE, "too_long"),
        (422, ErrorBody("", "flagged"), Action.LOSE, "bad_request"),
        (422, ErrorBody("", "unknown model"), Action.LOSE, "bad_request"),
        (400, ErrorBody("", "unknown model"), Action.STOP, "unknown_model"),
        (404, ErrorBody("", "no route"), Action.STOP, "no_chat_api"),
        (404, ErrorBody("DeploymentNotFound", "The API deployment does not exist"), Action.STOP, "unknown_model"),
        (429, ErrorBody("Insufficient_Quota", ""), Action.STOP, "quota"),
        (403, ErrorBody("", "the prompt is too long"), Action.STOP, "auth"),
    ],
)
def test_the_same_words_mean_something_else_under_another_status(
    status: int, error: ErrorBody | None, action: Action, kind: str
) -> None:
    fault = classify_status(status, error)
    assert (fault.action, fault.failure.kind) == (action, kind)


def test_a_provider_that_answers_with_an_error_does_not_charge_for_it() -> None:
    assert not classify_status(500, None).charged
    assert classify_exception(TimeoutError()).charged
    assert broken_reply("200 without a choice").charged


def test_neither_the_providers_words_nor_a_replys_are_in_a_repr() -> None:
    assert "canary" not in repr(ErrorBody("code", "canary"))
    assert "canary" not in repr(broken_reply("200", "canary"))


def test_a_date_without_a_zone_is_in_utc() -> None:
    after = (NOW + timedelta(seconds=40)).strftime("%a, %d %b %Y %H:%M:%S -0000")  # RFC 5322: no zone told
    assert parse_retry_after({"Retry-After": after, "Date": date(0)}) == 40.0
    assert parse_retry_after({"Retry-After": date(40), "Date": after}) is None


def test_a_day_may_be_asked_for_and_not_a_second_more() -> None:
    assert parse_retry_after({"Retry-After": "86400"}) == 86_400
    assert parse_retry_after({"Retry-After": "86401"}) is None


def wait(seconds: float) -> Fault:
    return Fault(Action.AGAIN, Failure("rate_limit", "429"), seconds)


def test_the_longest_wait_that_uses_up_the_calls_time() -> None:
    """A tenth of the deadline, and 30 seconds at most: a longer one is the provider's pause, not the call's."""
    for deadline, bound in ((100.0, 10.0), (6000.0, 30.0)):
        short, long = RetryState(KEY, deadline), RetryState(KEY, deadline)
        with pytest.raises(LostCall):
            play(short, [wait(bound)] * 1000)
        assert short.attempts == deadline / bound
        with pytest.raises(LostCall):
            play(long, [wait(bound + 0.01)] * 1000)
        assert long.attempts == MAX_LONG_WAITS + 1
        assert long.attempt_s == deadline / 2, "long waits use up none of it"


def test_an_attempt_gets_what_is_left_and_the_last_moment_is_no_attempt() -> None:
    state = RetryState(KEY, 10.0)
    state.count_attempt(7.0)
    assert state.attempt_s == 3.0
    state.count_attempt(3.0)
    with pytest.raises(LostCall, match="after 2 attempts"):
        state.delay_after(wait(100.0))
