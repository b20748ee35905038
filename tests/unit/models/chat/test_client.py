"""One attempt against a server that misbehaves on a real socket."""

import asyncio
import json
import socket
import tracemalloc

import openai
import pytest

from mics_ray.models.chat.address import check_base_url
from mics_ray.models.chat.client import ChatClient
from mics_ray.models.chat.retry import Action, Fault
from mics_ray.models.chat.sdk import MAX_BODY
from mics_ray.models.types import Pictures, Reply, Request
from tests.support.faulty_server import (
    Behaviour,
    FaultyServer,
    answer,
    completion,
    drip,
    error,
    hang,
    huge,
    reset,
    reset_in_body,
)

SECRET = "sk-Canary_abcdef"
REQUEST = Request("m", "model-1", "", "Be brief.", "Is it pneumothorax?", "d", 0.3, 64, 7)
PICTURES = Pictures("d", (b"\x89PNG one", b"\xff\xd8 two"))


async def attempt(behaviour: Behaviour, timeout_s: float = 5.0) -> tuple[Reply | Fault, FaultyServer]:
    async with FaultyServer([behaviour]) as server:
        chat = ChatClient(server.url, SECRET)
        try:
            return await chat.attempt_call(REQUEST, PICTURES, timeout_s), server
        finally:
            await chat.close()


async def test_a_reply() -> None:
    outcome, server = await attempt(answer(completion("yes")))
    assert outcome == Reply("yes", "stop", 100, 20)
    assert server.seen[0].path == "/v1/chat/completions"
    assert server.seen[0].headers["authorization"] == f"Bearer {SECRET}"


async def test_without_a_key_no_header_is_sent() -> None:
    async with FaultyServer() as server:
        chat = ChatClient(server.url)
        await chat.attempt_call(REQUEST, None, 5)
        await chat.close()
    assert "authorization" not in server.seen[0].headers


@pytest.mark.parametrize(
    ("behaviour", "action", "kind"),
    [
        (error(500), Action.AGAIN, "server_error"),
        (error(429, "rate_limit_exceeded"), Action.AGAIN, "rate_limit"),
        (error(429, "insufficient_quota"), Action.STOP, "quota"),
        (error(401, "invalid_api_key"), Action.STOP, "auth"),
        (error(404, "model_not_found"), Action.STOP, "unknown_model"),
        (error(400, "context_length_exceeded"), Action.LOSE, "too_long"),
        (answer(b"", 302, {"Location": "http://127.0.0.1:9/"}), Action.LOSE, "bad_request"),
        (reset, Action.AGAIN, "connection"),
        (reset_in_body, Action.AGAIN_PAID, "broken_reply"),
        (answer(b"<html>", headers={"Content-Type": "text/html"}), Action.AGAIN_PAID, "broken_reply"),
        (answer({"error": {"message": "overloaded"}}), Action.AGAIN_PAID, "broken_reply"),
        (answer(completion(None)), Action.AGAIN_PAID, "broken_reply"),
        (answer(completion("", "content_filter")), Action.LOSE, "refused"),
    ],
)
async def test_faults(behaviour: Behaviour, action: Action, kind: str) -> None:
    outcome, server = await attempt(behaviour)
    assert isinstance(outcome, Fault)
    assert (outcome.action, outcome.failure.kind) == (action, kind)
    assert len(server.seen) == 1, "one attempt is one request: neither a hidden retry nor a redirect"


@pytest.mark.parametrize("behaviour", [hang, drip])
async def test_our_deadline_ends_an_attempt(behaviour: Behaviour) -> None:
    begun = asyncio.get_running_loop().time()
    outcome, server = await attempt(behaviour, timeout_s=0.2)
    assert isinstance(outcome, Fault)
    assert outcome.failure.kind == "timeout"
    assert len(server.seen) == 1
    assert asyncio.get_running_loop().time() - begun < 2


async def test_a_giant_body_is_not_read() -> None:
    tracemalloc.start()
    outcome, _ = await attempt(huge)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(outcome, Fault)
    assert outcome.failure.message == f"200 over {MAX_BODY} bytes"
    assert peak < 5 * MAX_BODY


async def test_nobody_listens_and_no_such_host() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        for address in (url, "https://no-such-host.invalid/v1"):
            chat = ChatClient(address, SECRET)
            outcome = await chat.attempt_call(REQUEST, None, 5)
            await chat.close()
            assert isinstance(outcome, Fault)
            assert (outcome.action, outcome.failure.kind) == (Action.AGAIN, "connection")


@pytest.mark.parametrize("code", [SECRET, "sk", "Canary_abcdef", "pneumothorax", "x" * 60, "two words", "sk-Canary_ab"])
async def test_an_echo_of_key_or_text_is_not_told(code: str) -> None:
    for status in (400, 401, 429, 500):
        outcome, _ = await attempt(error(status, code, message=f"{SECRET} {REQUEST.text}", X_Echo=SECRET))
        assert isinstance(outcome, Fault)
        assert outcome.failure.message == str(status)
        assert "Canary" not in repr(outcome)
        assert "pneumothorax" not in repr(outcome)


async def test_the_providers_code_is_told() -> None:
    outcome, _ = await attempt(error(400, "invalid_value"))
    assert isinstance(outcome, Fault)
    assert outcome.failure.message == "400 invalid_value"


def test_the_key_is_in_no_repr_and_a_key_for_no_header_is_refused_untold() -> None:
    assert SECRET not in repr(ChatClient("https://host/v1", SECRET))
    for key in ("sk-\nx", "sk-ключ", "sk x"):
        with pytest.raises(ValueError, match="API key") as refused:
            ChatClient("https://host/v1", key)
        assert key not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.host/v1",
        "http://127.0.0.1:8000/v1",
        "http://127.8.8.8/v1",
        "http://[::1]:80/v1",
        "http://localhost/v1",
    ],
)
def test_addresses_that_are_allowed(url: str) -> None:
    assert check_base_url(url + "/") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.host/v1",
        "http://10.0.0.1/v1",
        "http://0.0.0.0/v1",
        "http://localhost.evil.example/v1",
        "http://127.0.0.1@evil.example/v1",
        "http://127.0.0.1\\@evil.example/v1",
        "https://user:pass-word@host/v1",
        "https://host/v1?key=pass-word",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://",
        "https://host:port/v1",
        "host/v1",
        "local",
        "",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as refused:
        check_base_url(url)
    assert "pass-word" not in str(refused.value)


async def test_contract_the_openai_sdk_sends_the_same_and_reads_the_same() -> None:
    async with FaultyServer(otherwise=answer(completion("same"))) as server:
        chat = ChatClient(server.url, SECRET)
        ours = await chat.attempt_call(REQUEST, PICTURES, 5)
        await chat.close()
        content = server.seen[0].body["messages"][1]["content"]
        async with openai.AsyncOpenAI(base_url=server.url, api_key=SECRET, max_retries=0) as sdk:
            theirs = await sdk.chat.completions.create(
                model=REQUEST.model,
                messages=[{"role": "system", "content": REQUEST.system}, {"role": "user", "content": content}],
                temperature=REQUEST.temperature,
                max_tokens=REQUEST.max_tokens,
                seed=REQUEST.seed,
            )
    mine, sdks = server.seen
    assert (mine.path, mine.headers["authorization"]) == (sdks.path, sdks.headers["authorization"])
    assert json.dumps(mine.body, sort_keys=True) == json.dumps(sdks.body, sort_keys=True)
    assert isinstance(ours, Reply)
    assert theirs.usage is not None
    assert (ours.text, ours.finish) == (theirs.choices[0].message.content, theirs.choices[0].finish_reason)
    assert (ours.prompt_tokens, ours.completion_tokens) == (theirs.usage.prompt_tokens, theirs.usage.completion_tokens)


@pytest.mark.parametrize(
    "url",
    [
        "https://user@host/v1",
        "https://:pass-word@host/v1",
        "https://host/v1?a=b",
        "https://host/v1#part",
        "https:///v1",
        "https://host:port/v1",
    ],
)
def test_each_part_that_an_address_may_not_have_is_refused_alone(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        check_base_url(url)


async def test_a_session_keeps_connections_and_no_cookies_and_is_closed() -> None:
    offering = answer(completion(), headers={"Set-Cookie": "of=canary; Path=/"})
    async with FaultyServer([offering] * 3) as server:
        chat = ChatClient(server.url, SECRET, connections=2)
        for _ in range(3):
            assert isinstance(await chat.attempt_call(REQUEST, None, 5), Reply)
        sdk = chat._sdk
        assert sdk is not None
        await chat.close()
        assert sdk.is_closed()
    assert [seen.headers.get("cookie") for seen in server.seen] == [None] * 3
    assert {seen.headers["accept-encoding"] for seen in server.seen} == {"identity"}, "a body's size is what is read"
    assert {seen.headers["content-type"] for seen in server.seen} == {"application/json"}


async def test_a_client_that_was_never_used_closes() -> None:
    chat = ChatClient("https://host/v1", SECRET)
    await chat.close()
    assert chat._sdk is None


@pytest.mark.parametrize(
    ("status", "body", "headers", "seconds"),
    [
        (429, {"error": {"message": "x"}}, {"Retry-After": "7", "x-ratelimit-reset-tokens": "90s"}, 7.0),
        (429, {"error": {"message": "x"}}, {"x-ratelimit-reset-tokens": "1m30s"}, 90.0),
        (429, b"<html>", {"x-ratelimit-reset-tokens": "1m30s"}, 90.0),
        (429, {"error": {"message": "x", "retry_after": 34}}, {"x-ratelimit-reset-tokens": "90s"}, 34.0),
        (429, {"error": {"message": "x", "retry_after": 34}}, {"Retry-After": "7"}, 7.0),
        (429, {"error": {"message": "x"}}, {}, None),
        (503, {"error": {"message": "x"}}, {"x-ratelimit-reset-tokens": "90s"}, None),
        (503, {"error": {"message": "x"}}, {"Retry-After": "7"}, 7.0),
        (400, {"error": {"message": "x"}}, {"Retry-After": "7"}, None),
        (401, {"error": {"message": "x"}}, {"Retry-After": "7"}, None),
    ],
)
async def test_the_wait_that_is_told_first_counts(
    status: int, body: object, headers: dict[str, str], seconds: float | None
) -> None:
    """``Retry-After``, then the body, then the resets of quotas, which every answer may hold."""
    outcome, _ = await attempt(answer(body, status, headers))
    assert isinstance(outcome, Fault)
    assert outcome.retry_after == seconds


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("x Canary y", "x (key) y"),
        ("x Canar y", "x Canar y"),
        (f"«{SECRET}»", "(key)"),
        ("s" * 300, "s" * 300),
        ("s" * 301, "s" * 300 + "…"),
    ],
)
async def test_words_that_hold_six_characters_of_the_key_are_hidden(said: str, shown: str) -> None:
    outcome, _ = await attempt(error(400, None, said))
    assert isinstance(outcome, Fault)
    assert outcome.said == shown
