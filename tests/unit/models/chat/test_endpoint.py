"""An endpoint against servers that misbehave, with every paid request counted."""

import asyncio
import errno
import random
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mics_ray.config.schema import ModelConfig, Price
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.chat.retry import Action, Fault
from mics_ray.models.replies.ledger import Ledger, read_spent_usd
from mics_ray.models.replies.pricing import bound_cost
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.types import Failure, LostCall, Pictures, Refused, Reply, Request
from tests.support.faulty_server import (
    Behaviour,
    FaultyServer,
    Seen,
    answer,
    completion,
    drip,
    error,
    hang,
    huge,
    reset,
    reset_in_body,
)
from tests.support.virtual_loop import VirtualLoop

SECRET = "sk-Canary_abcdef"
PRICE = Price(input_per_mtok=2.0, output_per_mtok=10.0)
PAID = Reply("fine", "stop", 100, 20, cost_usd=(100 * 2 + 20 * 10) / 1e6)


def request(number: int = 0, entry: str = "m") -> Request:
    return Request(entry, f"model-{entry}", "", "", f"Question {number}", "", 0.3, 64, number)


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mics_ray.models.chat.retry.BASE_S", 0.01)


@asynccontextmanager
async def served(
    *script: Behaviour,
    cache: ReplyStore | None = None,
    ledger: Ledger | None = None,
    names: str = "m",
    **config: object,
) -> AsyncIterator[tuple[Endpoint, FaultyServer]]:
    async with FaultyServer(list(script)) as server:
        settings = {"deadline_s": 5.0, "price": PRICE, **config}
        entries = {name: ModelConfig(model=name, base_url=server.url, **settings) for name in names}  # type: ignore[arg-type]
        endpoint = Endpoint(entries, SECRET, cache, ledger)
        try:
            yield endpoint, server
        finally:
            await endpoint.close()
            idle = {name: (queue["in_flight"], queue["waiting"]) for name, queue in endpoint.read_counters().items()}
            assert set(idle.values()) == {(0, 0)}, "a permit leaked"


async def test_a_reply_and_what_it_cost() -> None:
    async with served() as (endpoint, server):
        assert await endpoint.complete(request(), None) == PAID
        assert len(server.seen) == 1
        assert endpoint.read_counters() == {"m": {"calls": 1, "cached": 0, "retries": 0, "in_flight": 0, "waiting": 0}}


@pytest.mark.parametrize(
    "fault",
    [
        error(429),
        error(429, Retry_After="0.05"),
        error(429, Retry_After="-1"),
        error(429, Retry_After="NaN"),
        error(429, Retry_After="soon"),
        error(429, Retry_After="Sun, 01 Nov 2020 12:00:00 GMT"),
        error(408),
        error(500),
        error(503, "overloaded"),
        answer(b"<html>bad gateway", 502),
        answer(b"no backend", 404),
        reset,
        reset_in_body,
        huge,
        answer(b'{"choices": ['),
        answer({"error": {"message": "overloaded", "code": 502}}),
        answer({"choices": []}),
        answer({"choices": None}),
        answer(completion(None)),
        answer(b"<html>", headers={"Content-Type": "text/html"}),
    ],
)
async def test_a_transient_fault_costs_one_more_request_and_nothing_else(fault: Behaviour) -> None:
    async with served(fault) as (endpoint, server):
        assert await endpoint.complete(request(), None) == PAID
        assert len(server.seen) == 2
        assert endpoint.read_counters()["m"]["retries"] == 1


@pytest.mark.parametrize("fault", [hang, drip])
async def test_a_hung_attempt_is_ended_and_repeated_within_the_deadline(fault: Behaviour) -> None:
    async with served(fault, deadline_s=3.0) as (endpoint, server):  # the second may be as slow as the machine
        assert await endpoint.complete(request(), None) == PAID
        assert len(server.seen) == 2


@pytest.mark.parametrize("fault", [hang, drip])
async def test_the_total_deadline_ends_the_call(fault: Behaviour) -> None:
    async with served(*[fault] * 9, deadline_s=0.4) as (endpoint, server):
        async with asyncio.timeout(60):  # each fault would hold it for ever
            with pytest.raises(LostCall, match="timeout"):
                await endpoint.complete(request(), None)
        assert 1 <= len(server.seen) <= 3


async def test_an_outage_ends_at_the_deadline_with_a_lost_call() -> None:
    async with served(*[error(503)] * 10_000, deadline_s=1.5) as (endpoint, server):
        with pytest.raises(LostCall, match="server_error: 503; given up") as lost:
            await endpoint.complete(request(), None)
        assert len(server.seen) > 1
        assert f"after {len(server.seen)} attempts" in lost.value.failure.message
        assert lost.value.failure.kind == "server_error"


@pytest.mark.parametrize("fault", [answer(b'{"choices": ['), answer({"choices": []}), reset_in_body])
async def test_broken_replies_are_paid_for_three_times(fault: Behaviour) -> None:
    async with served(*[fault] * 9) as (endpoint, server):
        with pytest.raises(LostCall, match="broken_reply"):
            await endpoint.complete(request(), None)
        assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (error(400, "context_length_exceeded"), "too_long"),
        (error(400, "invalid_value"), "bad_request"),
        (error(400, "content_filter"), "refused"),
        (answer(completion("half", "content_filter")), "refused"),
        (answer(completion(None, refusal="no")), "refused"),
    ],
)
async def test_a_call_that_cannot_succeed_is_made_once_and_concerns_no_other(fault: Behaviour, kind: str) -> None:
    async with served(fault) as (endpoint, server):
        with pytest.raises(LostCall) as lost:
            await endpoint.complete(request(), None)
        assert lost.value.failure.kind == kind
        assert len(server.seen) == 1
        assert await endpoint.complete(request(1), None) == PAID


@pytest.mark.parametrize(
    ("fault", "kind", "others_go_on"),
    [
        (error(401, "invalid_api_key"), "auth", False),
        (error(403), "auth", False),
        (error(429, "insufficient_quota", Retry_After="1"), "quota", False),
        (error(404, "model_not_found"), "unknown_model", True),
        (error(400, "model_not_found"), "unknown_model", True),
    ],
)
async def test_a_refusal_stops_what_it_concerns_at_once(fault: Behaviour, kind: str, others_go_on: bool) -> None:
    async with served(fault, names="mn", max_in_flight=1) as (endpoint, server):
        asked = [asyncio.create_task(endpoint.complete(request(i), None)) for i in range(20)]
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(outcome, Refused)
            assert outcome.failure.kind == kind
        with pytest.raises(Refused):
            await endpoint.complete(request(99), None)
        assert len(server.seen) == 1, "those who waited for a permit made no call"
        if others_go_on:
            assert await endpoint.complete(request(1, "n"), None) == PAID
        else:
            with pytest.raises(Refused):
                await endpoint.complete(request(1, "n"), None)


async def test_what_was_paid_for_is_never_asked_again(tmp_path: Path) -> None:
    cache = ReplyStore(tmp_path, "a")
    async with served(cache=cache) as (endpoint, server):
        await endpoint.complete(request(), None)
        again = await endpoint.complete(request(), None)
        assert again == replace(PAID, cost_usd=0.0, cached=True)
        assert len(server.seen) == 1
        assert endpoint.read_counters()["m"]["cached"] == 1
    await cache.close()
    reopened = ReplyStore(tmp_path, "b")
    async with served(cache=reopened) as (endpoint, server):
        assert (await endpoint.complete(request(), None)).cached
        assert not (await endpoint.complete(request(1), None)).cached
        assert len(server.seen) == 1
    await reopened.close()


def held(gate: asyncio.Event) -> Behaviour:
    async def act(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await answer(completion())(seen, writer)

    return act


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_equal_requests_under_way_are_one_call_paid_once() -> None:
    gate = asyncio.Event()
    async with served(held(gate)) as (endpoint, server):
        asked = [asyncio.create_task(endpoint.complete(request(), None)) for _ in range(5)]
        await until(lambda: len(server.seen) == 1)
        gate.set()
        replies = await asyncio.gather(*asked)
        assert len(server.seen) == 1
        assert [reply.cost_usd for reply in replies] == [PAID.cost_usd, 0, 0, 0, 0]
        assert [reply.cached for reply in replies] == [False, True, True, True, True]


async def test_one_cancelled_waiter_does_not_end_the_call_of_another() -> None:
    gate = asyncio.Event()
    async with served(held(gate), max_in_flight=1) as (endpoint, server):
        first, second = (asyncio.create_task(endpoint.complete(request(), None)) for _ in range(2))
        await until(lambda: len(server.seen) == 1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        gate.set()
        assert await second == PAID, "the reply is paid for by the one who receives it"
        assert len(server.seen) == 1


async def test_cancelling_everybody_frees_the_place_and_the_request_can_be_asked_again() -> None:
    async with served(hang, max_in_flight=1) as (endpoint, server):
        asked = [asyncio.create_task(endpoint.complete(request(), None)) for _ in range(2)]
        await until(lambda: len(server.seen) == 1)
        for task in asked:
            task.cancel()
        again = asyncio.create_task(endpoint.complete(request(), None))  # before the cancelled call is gone
        await asyncio.gather(*asked, return_exceptions=True)
        assert await again == PAID
        assert len(server.seen) == 2


async def test_cancelled_in_the_queue_leaves_the_queue() -> None:
    gate = asyncio.Event()
    async with served(held(gate), max_in_flight=1) as (endpoint, server):
        asked = [asyncio.create_task(endpoint.complete(request(i), None)) for i in range(3)]
        await until(lambda: endpoint.read_counters()["m"]["waiting"] == 2)
        asked[1].cancel()
        await until(lambda: endpoint.read_counters()["m"]["waiting"] == 1)
        gate.set()
        assert await asked[0] == await asked[2] == PAID
        assert [seen.body["seed"] for seen in server.seen] == [0, 2]


async def test_never_more_in_flight_than_allowed() -> None:
    async with served(max_in_flight=3) as (endpoint, server):
        under_way = most = 0

        async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.005)
            under_way -= 1
            await answer(completion())(seen, writer)

        server.otherwise = slow
        await asyncio.gather(*(endpoint.complete(request(i), None) for i in range(30)))
        assert (most, len(server.seen)) == (3, 30)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (error(401), "auth"),
        (error(404, "model_not_found"), "unknown_model"),
        (error(429, "insufficient_quota"), "quota"),
    ],
)
async def test_a_probe_tells_of_a_refusal_by_one_request(fault: Behaviour, kind: str) -> None:
    async with served(*[fault] * 5) as (endpoint, server):
        outcome = await endpoint.probe_entry(request())
        assert isinstance(outcome, Fault)
        assert (outcome.failure.kind, outcome.refuses_probe) == (kind, True)
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    "fault",
    [
        answer(completion()),
        answer(completion("half", "length")),
        answer(completion(None, "length")),
        answer(completion("")),
        answer(completion(None)),
        error(500),
        error(429, Retry_After="3600"),
        reset,
        hang,
    ],
)
async def test_a_probe_takes_transient_trouble_lightly(fault: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mics_ray.models.chat.endpoint.PROBE_S", 1.0)
    async with served(*[fault] * 5) as (endpoint, server):
        outcome = await endpoint.probe_entry(request())
        assert not (isinstance(outcome, Fault) and outcome.refuses_probe)
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    "fault",
    [
        error(400, message="Unsupported parameter"),
        error(422),
        error(404),
        answer({"detail": "Not Found"}, 404),
        answer(b"<html>", 405),
        answer(b"<html>a page"),
        answer(b"{}"),
        answer({"error": {"message": "who knows"}}),
        answer({"error": "who knows"}),
        answer(b"", 302, {"Location": "http://127.0.0.1:9/"}),
    ],
)
async def test_a_probe_refuses_what_the_run_could_not_use(fault: Behaviour) -> None:
    async with served(*[fault] * 5) as (endpoint, server):
        outcome = await endpoint.probe_entry(request())
        assert isinstance(outcome, Fault)
        assert outcome.refuses_probe
        assert len(server.seen) == 1


async def test_a_probe_waits_for_a_rate_limit() -> None:
    limited = [error(429, Retry_After="0.05"), error(429, Retry_After="0.05")]
    async with served(*limited) as (endpoint, server):
        assert isinstance(await endpoint.probe_entry(request()), Reply)
        assert len(server.seen) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
async def test_a_server_that_echoes_the_key_does_not_make_us_tell_it(status: int) -> None:
    echo = error(status, SECRET, message=f"key {SECRET}, Question 0")
    async with served(*[echo] * 999, deadline_s=0.2) as (endpoint, _):
        with pytest.raises((LostCall, Refused)) as told:
            await endpoint.complete(request(), None)
        assert isinstance(told.value, LostCall | Refused)
        text = "".join(traceback.format_exception(told.value))
        assert "Canary" not in text + repr(told.value.failure)
        assert "Question" not in text + repr(told.value.failure)


def test_entries_of_several_addresses_are_no_endpoint() -> None:
    entries = {name: ModelConfig(model="m", base_url=f"https://{name}/v1") for name in "ab"}
    with pytest.raises(ValueError, match="base_url"):
        Endpoint(entries, None, None)


# On a clock of their own: a stand-in for the chat client, timers that cost no time.


class StandIn:
    """Answers after 1 s, after ``faults``; keeps when each attempt was made."""

    def __init__(self, faults: Callable[[int], Fault | None]) -> None:
        self.faults = faults
        self.made: list[tuple[float, str]] = []

    async def attempt_call(self, request: Request, pictures: Pictures | None, timeout_s: float) -> Reply | Fault:
        loop = asyncio.get_running_loop()
        self.made.append((loop.time(), request.entry))
        fault = self.faults(len(self.made) - 1)
        await asyncio.sleep(0.1 if fault else 1.0)
        return fault or Reply("fine", "stop", 90, 10)

    async def close(self) -> None:
        pass


def play(
    main: Callable[[Endpoint], Awaitable[None]], faults: Callable[[int], Fault | None], **limits: object
) -> tuple[StandIn, float]:
    """Run ``main`` in virtual time; returns what was sent and how many seconds it took."""
    stand_in = StandIn(faults)
    entries = {
        "m": ModelConfig(model="m", base_url="https://host/v1", deadline_s=300.0, **limits),  # type: ignore[arg-type]
        "free": ModelConfig(model="free", base_url="https://host/v1"),
    }

    async def run() -> float:
        endpoint = Endpoint(entries, SECRET, None, chat=stand_in)
        await main(endpoint)
        assert endpoint.read_counters()["m"]["in_flight"] == endpoint.read_counters()["m"]["waiting"] == 0
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return stand_in, runner.run(run())


async def many(endpoint: Endpoint, count: int) -> None:
    replies = await asyncio.gather(*(endpoint.complete(request(i), None) for i in range(count)))
    assert len(replies) == count


def test_the_quota_is_kept_in_every_window_with_faults_and_well_used() -> None:
    dice = random.Random(3)
    fault = Fault(Action.AGAIN, Failure("server_error", "503"))
    sent, seconds = play(
        lambda endpoint: many(endpoint, 3000),
        lambda _: fault if dice.random() < 0.1 else None,
        requests_per_minute=300,
        max_in_flight=64,
    )
    times = [at for at, _ in sent.made]
    for width in (1, 10, 60):
        worst = max(sum(begin <= at < begin + width for at in times[i : i + 400]) for i, begin in enumerate(times))
        assert worst <= 300 * width / 60
    assert len(times) > 3100
    assert len(times) / (seconds / 60) >= 0.97 * 300


def test_a_long_retry_after_parks_the_entry_not_the_case_and_not_its_neighbour() -> None:
    limited = Fault(Action.AGAIN, Failure("rate_limit", "429"), 3600.0)

    async def main(endpoint: Endpoint) -> None:
        first = asyncio.create_task(endpoint.complete(request(0), None))
        await asyncio.sleep(1)
        later = asyncio.create_task(endpoint.complete(request(1), None))
        await endpoint.complete(request(2, "free"), None)
        assert asyncio.get_running_loop().time() < 3
        await asyncio.gather(first, later)

    sent, _ = play(main, lambda number: limited if number == 0 else None)
    assert [entry for _, entry in sent.made] == ["m", "free", "m", "m"]
    assert all(at >= 3600.1 for at, entry in sent.made[2:])


def test_waiting_for_permits_does_not_count_against_the_deadline() -> None:
    sent, seconds = play(lambda endpoint: many(endpoint, 20), lambda _: None, requests_per_minute=1)
    assert len(sent.made) == 20
    assert seconds > 19 * 60


def test_tokens_that_were_not_used_are_credited() -> None:
    """Each call reserves about 170 tokens and takes 100: with the credit the quota of 6000 gives 60 calls a minute."""
    sent, seconds = play(lambda endpoint: many(endpoint, 600), lambda _: None, tokens_per_minute=6000)
    assert len(sent.made) == 600
    assert 0.95 * 60 <= 600 / (seconds / 60) <= 60


async def test_an_outage_longer_than_the_deadline_loses_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mics_ray.models.chat.breaker.PROBE_EVERY_S", 0.02)
    async with served(*[error(500)] * 100, deadline_s=0.5) as (endpoint, server):
        replies = await asyncio.gather(*(endpoint.complete(request(number), None) for number in range(8)))
    assert [reply.text for reply in replies] == ["fine"] * 8
    assert len(server.seen) == 100 + 8
    probes = [seen.at for seen in server.seen[16:100]]  # the first ones were under way when the breaker opened
    assert probes[-1] - probes[0] >= 0.9 * 0.02 * (len(probes) - 1)


async def test_a_refusal_while_the_breaker_is_open_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mics_ray.models.chat.breaker.PROBE_EVERY_S", 0.02)
    gate = asyncio.Event()
    async with served(*[error(500)] * 12, error(429), *[held(gate)] * 8) as (endpoint, server):
        asked = [asyncio.create_task(endpoint.complete(request(number), None)) for number in range(8)]
        await until(lambda: len(server.seen) > 8)
        assert endpoint._attempts.breaker.is_open
        await until(lambda: len(server.seen) > 13)
        assert not endpoint._attempts.breaker.is_open, "no reply has come yet: it was the 429"
        gate.set()
        await asyncio.gather(*asked)
        assert len(server.seen) == 13 + 8


async def test_a_long_outage_is_refused_for_every_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mics_ray.models.chat.breaker.PROBE_EVERY_S", 0.02)
    monkeypatch.setattr("mics_ray.models.chat.breaker.OUTAGE_S", 0.2)
    async with served(*[error(500)] * 200) as (endpoint, server):
        asked = [endpoint.complete(request(number), None) for number in range(8)]
        ends = await asyncio.gather(*asked, return_exceptions=True)
    assert {end.failure.kind for end in ends if isinstance(end, Refused)} == {"outage"}
    assert all(isinstance(end, Refused) for end in ends)
    assert len(server.seen) < 40


@pytest.fixture
async def pause(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """What a process sees that was stopped for so many seconds: its loop's clock has jumped."""
    loop, slept = asyncio.get_running_loop(), [0.0]
    steady = loop.time
    monkeypatch.setattr(loop, "time", lambda: steady() + sum(slept))
    return slept.append


async def test_a_reply_that_came_while_the_process_was_stopped_is_in_time(pause: Callable[[float], None]) -> None:
    gate = asyncio.Event()
    async with served(held(gate)) as (endpoint, server):
        asked = asyncio.create_task(endpoint.complete(request(), None))
        await until(lambda: server.seen)
        pause(3600)
        gate.set()
        assert await asked == PAID
        assert len(server.seen) == 1


async def test_a_connection_that_was_cut_while_the_process_was_stopped_costs_one_retry(
    pause: Callable[[float], None],
) -> None:
    gate = asyncio.Event()

    async def cut(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await reset(seen, writer)

    async with served(cut) as (endpoint, server):
        asked = asyncio.create_task(endpoint.complete(request(), None))
        await until(lambda: server.seen)
        pause(3600)
        gate.set()
        assert await asked == PAID
        assert len(server.seen) == 2


async def test_an_hour_asleep_is_no_outage_of_an_hour(
    pause: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mics_ray.models.chat.breaker.PROBE_EVERY_S", 0.02)
    async with served(*[error(500)] * 40) as (endpoint, server):
        asked = [asyncio.create_task(endpoint.complete(request(number), None)) for number in range(8)]
        await until(lambda: len(server.seen) > 20)
        assert endpoint._attempts.breaker.is_open
        pause(3600)
        assert [reply.text for reply in await asyncio.gather(*asked)] == ["fine"] * 8


MOST = bound_cost(PRICE, request(10), None)


async def test_the_budget_is_a_hard_cap_and_what_is_under_way_is_kept(tmp_path: Path) -> None:
    cap = 20 * PAID.cost_usd + MOST
    async with served(ledger=Ledger(tmp_path, "a", cap), names="mn") as (endpoint, server):
        asked = [endpoint.complete(request(number), None) for number in range(10, 70)]
        ends = await asyncio.gather(*asked, return_exceptions=True)
        replies = [end for end in ends if isinstance(end, Reply)]
        assert {end.failure.kind for end in ends if isinstance(end, Refused)} == {"budget"}
        assert len(replies) == len(server.seen) == round(read_spent_usd(tmp_path) / PAID.cost_usd)
        assert cap - MOST < read_spent_usd(tmp_path) <= cap, "nothing that would have fitted was turned away"
        with pytest.raises(Refused, match="budget_usd"):
            await endpoint.complete(request(99, "n"), None)


async def test_concurrent_calls_reserve_before_they_are_sent(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with served(*[held(gate)] * 5, ledger=Ledger(tmp_path, "a", 3.5 * MOST)) as (endpoint, server):
        asked = [asyncio.create_task(endpoint.complete(request(number), None)) for number in range(10, 15)]
        await until(lambda: len(server.seen) == 3)
        await asyncio.sleep(0.2)
        assert len(server.seen) == 3, "the others wait for money"
        assert read_spent_usd(tmp_path) == pytest.approx(3 * MOST)
        gate.set()
        assert await asyncio.gather(*asked) == [PAID] * 5, "there is room once the first are settled"
        assert read_spent_usd(tmp_path) == pytest.approx(5 * PAID.cost_usd)


@pytest.mark.parametrize(
    ("fault", "charged"),
    [
        (error(500), 0),
        (error(429), 0),
        (reset, 1),
        (answer({"choices": []}), 1),
        (answer(completion() | {"usage": None}), 1),
    ],
)
async def test_an_attempt_that_may_be_charged_keeps_what_was_held(
    fault: Behaviour, charged: int, tmp_path: Path
) -> None:
    async with served(fault, ledger=Ledger(tmp_path, "a", None)) as (endpoint, server):
        await endpoint.complete(request(10), None)
        last = PAID.cost_usd if len(server.seen) == 2 else 0.0
    assert read_spent_usd(tmp_path) == pytest.approx(charged * MOST + last)


async def test_a_provider_that_bills_more_than_was_reserved_is_believed_from_then_on(tmp_path: Path) -> None:
    dear = answer(completion() | {"usage": {"prompt_tokens": 100_000, "completion_tokens": 0}})
    async with served(*[dear] * 99, ledger=Ledger(tmp_path, "a", 0.45)) as (endpoint, server):
        await endpoint.complete(request(10), None)
        await endpoint.complete(request(11), None)
        with pytest.raises(Refused, match="budget"):
            await endpoint.complete(request(12), None)
    assert len(server.seen) == 2
    assert read_spent_usd(tmp_path) <= 0.45


class FullDisk(ReplyStore):
    """A stand-in for a disk that is full from the first reply on."""

    async def store_reply(self, key: bytes, model: str, reply: Reply) -> None:
        await asyncio.sleep(0.1)  # time enough for another call to go out
        raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_disk_that_takes_no_reply_ends_the_calls_of_everybody(tmp_path: Path) -> None:
    async with served(cache=FullDisk(tmp_path, "a"), names="mn", max_in_flight=1) as (endpoint, server):
        asked = [asyncio.create_task(endpoint.complete(request(number), None)) for number in range(20)]
        ends = await asyncio.gather(*asked, return_exceptions=True)
        with pytest.raises(Refused, match="disk"):
            await endpoint.complete(request(99, "n"), None)
        assert len(server.seen) == 1, "its permit was held until the disk had refused the reply"
    assert sum(isinstance(end, OSError) for end in ends) == len(server.seen)
    assert {end.failure.kind for end in ends if isinstance(end, Refused)} == {"disk"}


async def test_a_probes_reply_is_not_kept(tmp_path: Path) -> None:
    """It would answer the first real call, which may be of another run."""
    store = ReplyStore(tmp_path, "a")
    async with served(cache=store) as (endpoint, server):
        await endpoint.probe_entry(request())
        assert store.find_reply(request().key) is None
        assert len(server.seen) == 1
    await store.close()


async def test_cached_input_is_paid_stored_and_counted_at_its_price(tmp_path: Path) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 64}, "completion_tokens_details": {"reasoning_tokens": 7}}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, **details}
    store, price = ReplyStore(tmp_path, "a"), replace(PRICE, cached_input_per_mtok=0.25)
    ledger = Ledger(tmp_path, "a", None)
    async with served(answer(completion() | {"usage": usage}), cache=store, ledger=ledger, price=price) as (
        endpoint,
        _,
    ):
        paid = await endpoint.complete(request(10), None)
        again = await endpoint.complete(request(10), None)
    await store.close()
    assert paid.cost_usd == pytest.approx((36 * 2 + 64 * 0.25 + 20 * 10) / 1e6)
    assert read_spent_usd(tmp_path) == pytest.approx(paid.cost_usd)
    assert (paid.cached_tokens, paid.reasoning_tokens) == (64, 7)
    assert again == replace(paid, cost_usd=0.0, cached=True)


@pytest.mark.parametrize(
    "price",
    [Price(output_per_mtok=10.0), Price(input_per_mtok=2.0), Price(cached_input_per_mtok=2.0)],
)
async def test_a_price_of_one_kind_alone_is_held_against_the_budget(price: Price, tmp_path: Path) -> None:
    async with served(ledger=Ledger(tmp_path, "a", 1e-5), price=price) as (endpoint, server):
        with pytest.raises(Refused, match="budget"):
            await endpoint.complete(request(10), None)
        assert not server.seen


@pytest.mark.parametrize(
    ("told", "usd"),
    [
        ({"prompt_tokens": 100, "completion_tokens": 20}, 100 * 2 / 1e6 + 20 * 10 / 1e6),
        ({"prompt_tokens": 0, "completion_tokens": 20}, None),
        ({"prompt_tokens": 100, "completion_tokens": 0}, 100 * 2 / 1e6),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
    ],
)
async def test_a_reply_whose_usage_is_not_told_is_taken_to_have_cost_what_was_held(
    told: dict[str, int], usd: float | None, tmp_path: Path
) -> None:
    async with served(answer(completion() | {"usage": told}), ledger=Ledger(tmp_path, "a", None)) as (endpoint, _):
        await endpoint.complete(request(10), None)
    assert read_spent_usd(tmp_path) == pytest.approx(MOST if usd is None else usd)


async def test_calls_that_wait_out_an_outage_are_not_sent_after_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mics_ray.models.chat.breaker.PROBE_EVERY_S", 0.2)
    async with served(*[error(500)] * 8, error(401, "invalid_api_key")) as (endpoint, server):
        asked = [endpoint.complete(request(number), None) for number in range(8)]
        ends = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(end) for end in ends] == [Refused] * 8
        assert len(server.seen) == 9, "the refusal closes the breaker, and still nobody else may go"
