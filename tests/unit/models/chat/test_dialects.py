"""An endpoint before providers that refuse, limit and answer each in a way of their own; every request is counted."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mics_ray.config.schema import ModelConfig, Price
from mics_ray.models.chat.endpoint import Endpoint
from mics_ray.models.chat.retry import Fault
from mics_ray.models.replies.ledger import Ledger, read_spent_usd
from mics_ray.models.replies.pricing import bound_cost
from mics_ray.models.replies.reply_store import ReplyStore
from mics_ray.models.types import LostCall, Refused, Reply, Request
from tests.support.faulty_server import Behaviour, FaultyServer, Seen, answer, completion, error, hang
from tests.support.proxy import write_certificate

SECRET = "sk-Canary_abcdef"
PRICE = Price(input_per_mtok=2.0, output_per_mtok=10.0)
COST = (100 * 2 + 20 * 10) / 1e6
FIREWALL = answer(b"<html>Request blocked</html>", 403, {"Content-Type": "text/html"})
DASHSCOPE = error(429, "insufficient_quota", "Allocated quota exceeded, see #token-limit")
OPENAI_QUOTA = error(429, "insufficient_quota", "You exceeded your current quota")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mics_ray.models.chat.retry.BASE_S", 0.01)
    monkeypatch.setattr("mics_ray.models.chat.classify.MINUTE_S", 0.1)
    monkeypatch.setattr("mics_ray.models.chat.key_history.MINUTE_S", 0.1)


def request(number: int = 0) -> Request:
    return Request("m", "model", "", "", f"Question {number}", "", 0.3, 64, number)


@asynccontextmanager
async def served(
    *script: Behaviour,
    proven: bool = False,
    ledger: Ledger | None = None,
    cache: ReplyStore | None = None,
    **config: object,
) -> AsyncIterator[tuple[Endpoint, FaultyServer]]:
    async with FaultyServer(list(script)) as server:
        settings = {"deadline_s": 20.0, "price": PRICE, **config}
        entries = {"m": ModelConfig(model="m", base_url=server.url, **settings)}  # type: ignore[arg-type]
        endpoint = Endpoint(entries, SECRET, cache, ledger, proven=proven)
        try:
            yield endpoint, server
        finally:
            await endpoint.close()


async def test_one_text_behind_a_firewall_costs_that_call_alone() -> None:
    async with served(answer(completion()), FIREWALL) as (endpoint, server):
        await endpoint.complete(request(0), None)
        with pytest.raises(LostCall, match="blocked: 403"):
            await endpoint.complete(request(1), None)
        assert isinstance(await endpoint.complete(request(2), None), Reply)
        assert len(server.seen) == 3


@pytest.mark.parametrize("proven", [True, False])
async def test_a_firewall_before_every_text_ends_the_run(proven: bool) -> None:
    async with served(*[FIREWALL] * 99, proven=proven) as (endpoint, server):
        ends = []
        for number in range(7):
            try:
                await endpoint.complete(request(number), None)
            except (LostCall, Refused) as end:
                ends.append((type(end), end.failure.kind))
        assert ends[-1] == (Refused, "auth")
        assert len(server.seen) == (5 + 1 if proven else 1), "the last one asked something harmless"


async def test_a_firewall_that_blocks_every_text_of_one_case_does_not_end_the_run(tmp_path: Path) -> None:
    """Many different calls in a row, sooner than any other is answered: what is harmless still comes through."""

    async def wall(seen: Seen, writer: asyncio.StreamWriter) -> None:
        blocked = "Question" in json.dumps(seen.body)
        await (FIREWALL if blocked else answer(completion()))(seen, writer)

    async with served(proven=True, ledger=Ledger(tmp_path, "a", None)) as (endpoint, server):
        server.otherwise = wall
        ends = await asyncio.gather(*(endpoint.complete(request(n), None) for n in range(20)), return_exceptions=True)
        assert {end.failure.kind for end in ends if isinstance(end, LostCall)} == {"blocked"}
        assert all(isinstance(end, LostCall) for end in ends)
        harmless = [seen for seen in server.seen if "ready" in json.dumps(seen.body)]
        assert 1 <= len(harmless) <= 20
        assert len(server.seen) == 20 + len(harmless)
        assert all(len(seen.body["messages"]) == 1 for seen in harmless)
    assert read_spent_usd(tmp_path) == pytest.approx(len(harmless) * COST), "what it cost is booked"


@pytest.mark.parametrize("limited", [DASHSCOPE, OPENAI_QUOTA])
async def test_a_limit_a_minute_by_the_name_of_a_quota_parks_the_entry(limited: Behaviour) -> None:
    async with served(answer(completion()), *[limited] * 2) as (endpoint, server):
        await endpoint.complete(request(0), None)
        replies = await asyncio.gather(*(endpoint.complete(request(number), None) for number in range(1, 9)))
        assert all(isinstance(reply, Reply) for reply in replies)
        assert len(server.seen) <= 1 + 8 + 2


async def test_a_quota_that_stays_used_up_ends_the_run_after_few_attempts() -> None:
    async with served(*[OPENAI_QUOTA] * 99, proven=True, max_in_flight=2) as (endpoint, server):
        ends = await asyncio.gather(*(endpoint.complete(request(n), None) for n in range(8)), return_exceptions=True)
        assert {end.failure.kind for end in ends if isinstance(end, Refused)} == {"quota"}
        assert all(isinstance(end, Refused) for end in ends)
        assert len(server.seen) <= 8


@pytest.mark.parametrize(
    "empty",
    [error(402), error(429, "1113"), error(429, "billing_hard_limit_reached"), answer({"error": {"code": 402}})],
)
async def test_an_empty_balance_ends_the_run_at_once(empty: Behaviour) -> None:
    async with served(*[empty] * 9, proven=True) as (endpoint, server):
        with pytest.raises(Refused, match="quota"):
            await endpoint.complete(request(), None)
        assert len(server.seen) == 1


async def test_a_wait_in_the_body_parks_the_entry() -> None:
    body = {"error": {"code": 429, "message": "x", "details": [{"@type": "x.RetryInfo", "retryDelay": "0.3s"}]}}
    async with served(answer(body, 429)) as (endpoint, server):
        replies = await asyncio.gather(*(endpoint.complete(request(number), None) for number in range(2)))
        assert all(isinstance(reply, Reply) for reply in replies)
    assert server.seen[-1].at - server.seen[0].at >= 0.29


@pytest.mark.parametrize(
    ("fault", "attempts"),
    [
        (answer({"error": {"message": "no code"}}), 3),
        (answer({"error": "no code"}), 3),
        (answer({"status": "ok"}), 3),
        (answer(completion("half", "error")), 3),
        (error(400, "data_inspection_failed"), 1),
        (answer(completion("half", "content_filter: SAFETY")), 1),
        (answer({"error": {"message": "x", "code": 400, "type": "content_filter"}}), 1),
    ],
)
async def test_bounded_attempts_and_nothing_stored(fault: Behaviour, attempts: int, tmp_path: Path) -> None:
    store = ReplyStore(tmp_path, "a")
    async with served(*[fault] * 9, cache=store) as (endpoint, server):
        with pytest.raises(LostCall):
            await endpoint.complete(request(), None)
        assert len(server.seen) == attempts
        assert store.find_reply(request().key) is None
    await store.close()


@pytest.mark.parametrize("body", [{"error": {"message": "x", "code": 429}}, {"error": {"code": 502}}, {"error": "x"}])
async def test_an_error_inside_a_200_is_not_booked_as_paid(body: object, tmp_path: Path) -> None:
    async with served(answer(body), ledger=Ledger(tmp_path, "a", None)) as (endpoint, server):
        await endpoint.complete(request(), None)
        assert len(server.seen) == 2
    assert read_spent_usd(tmp_path) == pytest.approx(COST)


async def test_an_error_after_half_a_text_is_booked_as_paid_where_tokens_were_counted(tmp_path: Path) -> None:
    half = completion("half", "error")
    half["choices"][0]["error"] = {"code": 502, "message": "x"}
    async with served(answer(half), ledger=Ledger(tmp_path, "a", None)) as (endpoint, _):
        await endpoint.complete(request(), None)
    assert read_spent_usd(tmp_path) == pytest.approx(COST + bound_cost(PRICE, request(), None))


async def test_more_room_than_the_model_has_is_told_apart() -> None:
    fault = error(400, None, "max_tokens is too large: 128. This model supports at most 64 completion tokens")
    async with served(fault) as (endpoint, server):
        with pytest.raises(LostCall) as lost:
            await endpoint.complete(request(), None)
        assert lost.value.failure.kind == "too_much_room"
        assert len(server.seen) == 1


async def test_a_slow_model_is_not_away() -> None:
    """Many calls that take too long end each by itself; the others are asked all the same."""
    async with served(*[hang] * 40, deadline_s=0.2) as (endpoint, server):
        ends = await asyncio.gather(*(endpoint.complete(request(n), None) for n in range(20)), return_exceptions=True)
        assert {end.failure.kind for end in ends if isinstance(end, LostCall)} == {"timeout"}
        assert all(isinstance(end, LostCall) and "deadline_s=0.2" in end.failure.message for end in ends)
        assert not endpoint._attempts.breaker.is_open
        server.script.clear()
        assert isinstance(await endpoint.complete(request(99), None), Reply)


async def test_slow_calls_between_real_faults_neither_open_nor_close_the_breaker() -> None:
    async with served(*[error(503)] * 4, hang, error(503), deadline_s=0.3) as (endpoint, _):
        for number in range(6):
            await endpoint._attempts.attempt_call(
                endpoint._attempts.entries["m"], request(number), None, _state(number)
            )
            assert endpoint._attempts.breaker.is_open == (number == 5)


def _state(number: int):  # type: ignore[no-untyped-def]
    from mics_ray.models.chat.retry import RetryState

    return RetryState(bytes([number]) * 32, 0.4)


async def test_a_certificate_that_was_good_before_is_an_outage_not_a_refusal(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with FaultyServer(tls=context, host="localhost") as server:
        entries = {"m": ModelConfig(model="m", base_url=server.url, deadline_s=2.0)}
        for proven, kind in ((False, Refused), (True, LostCall)):
            endpoint = Endpoint(entries, None, None, proven=proven)
            with pytest.raises(kind, match="certificate is not trusted"):
                await endpoint.complete(request(), None)
            await endpoint.close()
        assert server.seen == []


async def test_the_probes_success_counts_as_the_first() -> None:
    async with served(answer(completion()), FIREWALL) as (endpoint, _):
        assert isinstance(await endpoint.probe_entry(request()), Reply)
        with pytest.raises(LostCall, match="blocked"):
            await endpoint.complete(request(1), None)


async def test_the_providers_words_are_told_clean_short_and_without_the_key() -> None:
    nasty = f"\x1b[31mParameter \u202eseed\n\n is {SECRET} or x{SECRET[3:12]}y unknown \x00 " + "long " * 500
    async with served(error(400, None, nasty)) as (endpoint, _):
        outcome = await endpoint.probe_entry(request())
    assert isinstance(outcome, Fault)
    assert "seed" in outcome.said
    assert "Canary" not in outcome.said
    assert not {"\x1b", "\u202e", "\n", "\x00"} & set(outcome.said)
    assert len(outcome.said) <= 301
    assert outcome.said not in repr(outcome)
