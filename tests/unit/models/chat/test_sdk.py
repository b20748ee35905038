"""What the openai SDK must not do on its own initiative, and what it must do with proxies and certificates."""

import asyncio
import gzip
import json
import os
import socket
import ssl
import subprocess
import sys
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from mics_ray.models.chat.client import ChatClient
from mics_ray.models.chat.retry import Action, Fault
from mics_ray.models.chat.sdk import MAX_BODY
from mics_ray.models.types import Reply, Request
from tests.support.faulty_server import Behaviour, FaultyServer, Seen, answer, completion, error, head
from tests.support.proxy import Proxy, write_certificate

SECRET = "sk-Canary_abcdef"
REQUEST = Request("m", "model-1", "", "Be brief.", "Is it pneumothorax?", "", 0.3, 64, 7)
HOST = "provider.test"


async def ask(url: str, key: str | None = SECRET, timeout_s: float = 10.0, **settings: object) -> Reply | Fault:
    chat = ChatClient(url, key, **settings)  # type: ignore[arg-type]
    try:
        return await chat.attempt_call(REQUEST, None, timeout_s)
    finally:
        await chat.close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


OF_THE_SDK = {
    "OPENAI_API_KEY": "sk-ambient",
    "OPENAI_ADMIN_KEY": "sk-admin-ambient",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/elsewhere",
    "OPENAI_ORG_ID": "org-ambient",
    "OPENAI_PROJECT_ID": "proj_ambient",
    "OPENAI_WEBHOOK_SECRET": "whsec-ambient",
    "OPENAI_CUSTOM_HEADERS": "X-Ambient: ambient\nAuthorization: Bearer sk-ambient",
    "OPENAI_LOG": "debug",
}


@pytest.mark.parametrize("key", [SECRET, None, ""])
async def test_no_environment_variable_of_the_sdk_counts(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OF_THE_SDK.items():
        monkeypatch.setenv(name, value)
    async with FaultyServer() as server:
        assert isinstance(await ask(server.url, key), Reply)
    (seen,) = server.seen
    assert seen.headers.get("authorization") == (f"Bearer {SECRET}" if key else None)
    assert "ambient" not in json.dumps([seen.headers, seen.body])
    assert set(seen.headers) - {"authorization"} == {
        "host", "accept", "accept-encoding", "content-length", "content-type", "user-agent"
    }, "nothing is told of this machine"  # fmt: skip


async def test_an_entrys_headers_query_and_body_go_with_its_requests_alone() -> None:
    async with FaultyServer() as server:
        chat = ChatClient(
            server.url, None, headers={"m": {"HTTP-Referer": "https://x"}}, secret_headers={"m": {"api-key": SECRET}}
        )
        options = json.dumps(
            {
                "extra_body": {
                    "max_tokens": None,
                    "max_completion_tokens": 9,
                    "seed": None,
                    "thinking": {"type": "off"},
                },
                "query": {"api-version": "2024-10-21", "a b": "c&d"},
            }
        )
        for request in (replace(REQUEST, options=options), replace(REQUEST, entry="other")):
            assert isinstance(await chat.attempt_call(request, None, 10), Reply)
        await chat.close()
    mine, other = server.seen
    assert mine.path in (
        "/v1/chat/completions?api-version=2024-10-21&a%20b=c%26d",
        "/v1/chat/completions?api-version=2024-10-21&a+b=c%26d",
    )
    assert (mine.headers["http-referer"], mine.headers["api-key"]) == ("https://x", SECRET)
    assert "authorization" not in mine.headers
    assert sorted(mine.body) == ["max_completion_tokens", "messages", "model", "temperature", "thinking"]
    assert mine.body["thinking"] == {"type": "off"}
    assert other.path == "/v1/chat/completions"
    assert not {"http-referer", "api-key"} & other.headers.keys()
    assert sorted(other.body) == ["max_tokens", "messages", "model", "seed", "temperature"]


LOG_PROGRAM = f"""
import asyncio, logging, os
from mics_ray.models.chat.client import ChatClient
from mics_ray.models.types import Request
from tests.support.faulty_server import FaultyServer, error

async def main():
    async with FaultyServer([error(401)]) as server:
        chat = ChatClient(server.url + "", "{SECRET}")
        for _ in range(2):
            print(await chat.attempt_call(Request("m", "m", "", "", "Is it pneumothorax?", "", 0.0, 9, 0), None, 60))
        await chat.close()

asyncio.run(main())
print(logging.getLogger().handlers, os.environ["OPENAI_LOG"])
"""


def test_the_sdks_log_switch_writes_nothing() -> None:
    """In a process of its own: the SDK reads it when it is imported."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4]), **OF_THE_SDK}
    done = subprocess.run(
        [sys.executable, "-c", LOG_PROGRAM], env=env, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "[] debug"


def sends(body: bytes, *more: bytes, encoding: str = "") -> Behaviour:
    headers = {"Content-Encoding": encoding} if encoding else {}

    async def act(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, len(body) + sum(map(len, more)), headers) + body)
        for part in more:
            await writer.drain()
            writer.write(part)

    return act


PLAIN = json.dumps(completion("squeezed")).encode()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(PLAIN), "gzip"),
        (zlib.compress(PLAIN), "deflate"),
        (PLAIN, "identity"),
        (gzip.compress(PLAIN), "GZIP"),
    ],
)
async def test_a_reply_that_is_compressed_unasked_is_read(body: bytes, encoding: str) -> None:
    async with FaultyServer([sends(body, encoding=encoding)]) as server:
        outcome = await ask(server.url)
    assert isinstance(outcome, Reply)
    assert outcome.text == "squeezed"
    assert server.seen[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("body", "encoding"), [(gzip.compress(PLAIN)[:-20], "gzip"), (PLAIN, "gzip"), (PLAIN, "br"), (PLAIN, "zstd")]
)
async def test_a_body_that_cannot_be_unpacked_is_a_broken_reply(body: bytes, encoding: str) -> None:
    async with FaultyServer([sends(body, encoding=encoding)]) as server:
        outcome = await ask(server.url)
    assert isinstance(outcome, Fault)
    assert (outcome.action, outcome.failure.kind) == (Action.AGAIN_PAID, "broken_reply")


async def test_what_is_unpacked_counts_for_the_cap() -> None:
    bomb = gzip.compress(b" " * (256 * 2**20), compresslevel=1)
    async with FaultyServer([sends(bomb, encoding="gzip")]) as server:
        await ask(server.url)  # what is loaded at the first call is not counted
        server.script.append(sends(bomb, encoding="gzip"))
        tracemalloc.start()
        outcome = await ask(server.url)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert isinstance(outcome, Fault)
    assert outcome.failure.message == f"200 over {MAX_BODY} bytes"
    assert peak < 5 * MAX_BODY


async def test_an_answer_before_the_request_was_read_ends_at_once() -> None:
    """A server that refuses a large body early, and reads no more of it."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head(413, 2) + b"{}")
        await writer.drain()
        await asyncio.sleep(3600)

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        chat = ChatClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        request = replace(REQUEST, text="x" * 40_000_000)
        outcome = await asyncio.wait_for(chat.attempt_call(request, None, 20), 30)
        await chat.close()
    assert isinstance(outcome, Fault)
    assert outcome.failure.message == "413"


@pytest.mark.parametrize("location", ["http://127.0.0.1:9/", "https://[no address/", "/v2/chat/completions", ""])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status: int, location: str) -> None:
    async with FaultyServer([answer(b"moved", status, {"Location": location})]) as server:
        outcome = await ask(server.url)
    assert isinstance(outcome, Fault)
    assert (outcome.failure.kind, outcome.failure.message) == ("bad_request", str(status))
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_an_errors_nested_or_endless_body_is_harmless(status: int) -> None:
    for body in (
        b"[" * 100_000,
        b'{"error":' * 50_000,
        b"\xff\xfe\x00",
        b'{"error": {"message": ' + b"9" * 10**6 + b"}}",
    ):
        async with FaultyServer([answer(body, status)]) as server:
            assert isinstance(await ask(server.url), Fault)
            assert len(server.seen) == 1


# Proxies and certificates.


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for HOST that nobody trusts, and the server's side of it."""
    certificate, key = write_certificate(tmp_path, HOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_https_goes_through_the_proxy_and_trusts_the_named_certificates(
    variable: str, pair: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
    async with FaultyServer(tls=pair[1], host=HOST) as server, Proxy(server.port) as proxy:
        monkeypatch.setenv(variable, proxy.url.replace("//", "//user:pass-word@"))
        assert isinstance(await ask(server.url), Reply)
    (asked,) = proxy.asked
    assert asked.startswith(f"CONNECT {HOST}:{server.port} ")
    assert "Proxy-Authorization: Basic " in asked
    assert SECRET not in asked
    assert server.seen[0].headers["authorization"] == f"Bearer {SECRET}"
    assert "proxy-authorization" not in server.seen[0].headers


async def test_http_inside_a_cluster_goes_through_its_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FaultyServer(host=HOST) as server, Proxy(server.port) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert isinstance(await ask(server.url, allow_http=True), Reply)
    assert proxy.asked[0].startswith(f"POST http://{HOST}:{server.port}/v1/chat/completions ")
    assert server.seen[0].path == "/v1/chat/completions"


async def test_loopback_and_no_proxy_are_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FaultyServer() as server, Proxy(server.port) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", "ftp://nonsense")
        assert isinstance(await ask(server.url), Reply)
        assert isinstance(await ask(server.url.replace("127.0.0.1", "localhost")), Reply)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", f"other.test, {HOST}")
        outcome = await ask(f"http://{HOST}:{server.port}/v1", allow_http=True)
        assert isinstance(outcome, Fault), "there is no such host"
    assert proxy.asked == []


@pytest.mark.parametrize(("status", "refuses"), [(407, True), (403, True), (502, False), (503, False)])
async def test_a_proxy_that_refuses_is_named_and_its_password_is_not(
    status: int, refuses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Proxy(9, refusal=status) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:pass-word@"))
        outcome = await ask(f"https://{HOST}/v1")
    assert isinstance(outcome, Fault)
    assert (outcome.failure.kind, outcome.failure.message) == ("connection", f"the proxy answered {status}")
    assert (outcome.charged, outcome.refuses_probe) == (False, refuses)
    assert "pass-word" not in repr(outcome)


async def test_a_proxy_that_wants_a_password_refuses_http_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FaultyServer([answer(b"who are you?", 407)]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        outcome = await ask(f"http://{HOST}/v1", allow_http=True)
    assert isinstance(outcome, Fault)
    assert (outcome.action, outcome.failure.message) == (Action.AGAIN, "the proxy answered 407")
    assert outcome.refuses_probe


@pytest.mark.parametrize(("code", "refuses"), [("EAI_NONAME", True), ("EAI_NODATA", True), ("EAI_AGAIN", False)])
async def test_a_host_that_a_name_server_does_not_know_is_refused_beforehand(
    code: str, refuses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the resolver says is the machine's: here it is told."""

    async def look_up(*args: object, **kwargs: object) -> NoReturn:
        raise socket.gaierror(getattr(socket, code), "told by the test")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    outcome = await ask("https://no-such-host.example/v1")
    assert isinstance(outcome, Fault)
    assert (outcome.action, outcome.failure.kind, outcome.charged) == (Action.AGAIN, "connection", False)
    assert outcome.refuses_probe == refuses


async def test_no_proxy_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    outcome = await ask(f"https://{HOST}/v1")
    assert isinstance(outcome, Fault)
    assert (outcome.action, outcome.failure.kind, outcome.charged) == (Action.AGAIN, "connection", False)


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:9", "ftp://127.0.0.1", "http://[::", "http://user:pass-word@"])
async def test_a_proxy_variable_that_names_none_stops_with_one_clear_line(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    outcome = await ask(f"https://{HOST}/v1")
    assert isinstance(outcome, Fault)
    assert (outcome.action, outcome.failure.kind, outcome.refuses_probe) == (Action.STOP, "proxy", True)
    assert "pass-word" not in repr(outcome)


async def test_an_untrusted_certificate_is_named(
    pair: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultyServer(tls=pair[1]) as server:
        outcome = await ask(server.url)
        assert isinstance(outcome, Fault)
        assert (outcome.action, outcome.failure.kind, outcome.charged) == (Action.STOP, "certificate", False)
        assert "self-signed certificate" in outcome.failure.message
        assert "SSL_CERT_FILE" in outcome.failure.message
        monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
        outcome = await ask(server.url)
        assert isinstance(outcome, Fault)
        assert "127.0.0.1" in outcome.failure.message, "trusted, but for another name"
        assert server.seen == []


async def test_https_to_a_server_without_tls_is_said() -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 this is not TLS\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        outcome = await ask(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    assert isinstance(outcome, Fault)
    assert (outcome.failure.kind, outcome.refuses_probe, outcome.charged) == ("connection", True, False)
    assert "TLS" in outcome.failure.message


async def test_a_connection_that_was_closed_while_idle_is_asked_again_by_nobody_but_us() -> None:
    async def once(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await answer(completion("one"))(seen, writer)
        await writer.drain()
        writer.close()

    async with FaultyServer([once, once]) as server:
        chat = ChatClient(server.url)
        assert isinstance(await chat.attempt_call(REQUEST, None, 5), Reply)
        again = await chat.attempt_call(REQUEST, None, 5)
        assert isinstance(again, Reply) or again.failure.kind == "connection"
        await chat.close()


async def test_no_key_in_what_is_kept_of_an_error() -> None:
    for behaviour in (
        error(400, message=f"bad {SECRET}"),
        error(401, SECRET),
        answer(b"<html>" + SECRET.encode(), 403),
    ):
        async with FaultyServer([behaviour]) as server:
            outcome = await ask(server.url)
        assert isinstance(outcome, Fault)
        assert "Canary" not in repr(outcome) + outcome.said + outcome.text


async def test_the_pool_is_bounded_where_the_entry_says_so() -> None:
    under_way = most = 0

    async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        await answer(completion())(seen, writer)

    for limit, expected in ((3, 3), (0, 150)):
        under_way = most = 0
        async with FaultyServer(otherwise=slow) as server:
            chat = ChatClient(server.url, None, limit)
            calls = [chat.attempt_call(replace(REQUEST, seed=seed), None, 60) for seed in range(150)]
            assert all(isinstance(outcome, Reply) for outcome in await asyncio.gather(*calls))
            await chat.close()
        assert most <= expected
        assert most > 100 or limit
