"""A provider that fails at given rates, the same way for the same seed, and counts what it did.

Whether an attempt fails is decided by a hash of (seed, how often this body was asked, body): runs are repeatable
however their calls are interleaved.
"""

import asyncio
import json
import socket
import struct
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import blake2b
from typing import Any

from aiohttp import web

from benchmarks.harness.provider import prompt_text
from tests.support.provider import Provider

Act = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]

TRANSIENT = {
    "server_error": 0.06, "reset": 0.04, "reset_in_body": 0.02, "broken_json": 0.02, "error_body": 0.02,
    "null_content": 0.02, "html": 0.01, "rate_limit": 0.004, "rate_limit_date": 0.002, "rate_limit_bare": 0.004,
    "hang": 0.003, "drip": 0.003,
}  # fmt: skip
"""Shares of all attempts; a fifth of them fails."""
FIELD = {
    "told_429": 0.01, "told_502": 0.03, "told_string": 0.03, "half_text": 0.03, "no_completion": 0.02,
    "minute_quota": 0.004, "gemini_limit": 0.004, "reset_header": 0.004, "tool_calls": 0.02, "parts": 0.06,
    "odd_fields": 0.06,
}  # fmt: skip
"""What today's providers do (FIELD): errors inside a 200, waits told elsewhere, replies of other shapes."""
SLOW = ("hang", "drip")
SHAPES = ("parts", "odd_fields")
"""Whole replies of another form: nothing is asked again."""
UNPAID = (
    "server_error", "reset", "rate_limit", "rate_limit_date", "rate_limit_bare", "outage", "quota", "told_429",
    "told_502", "told_string", "minute_quota", "gemini_limit", "reset_header", "error_body",
)  # fmt: skip
"""What the provider does not charge for."""
RETRY_AFTER_S = 0.3


@dataclass
class FaultyProvider(Provider):
    """``rates``: the share of attempts for each kind of fault. A body fails ``most`` times at most, slowly but once.

    With ``stubborn`` the same bodies fail at every attempt. From call ``quota_after`` on the quota is exhausted, while
    ``out`` is set nothing is answered; both may be changed while it serves. ``price``: US dollars per million tokens,
    in and out. ``times`` and, by model, ``arrivals`` hold when each call came, probes left out.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    most: int = 2
    stubborn: bool = False
    quota_after: int | None = None
    price: tuple[float, float] = (0.0, 0.0)
    injected: Counter[str] = field(default_factory=Counter)
    asked: Counter[bytes] = field(default_factory=Counter)
    paid: Counter[bytes] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    arrivals: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    bill_usd: float = 0.0
    first_refusal: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.out = threading.Event()
        self._failed: Counter[bytes] = Counter()
        self._slow: set[bytes] = set()

    def repaid(self) -> int:
        """Replies that were charged more than once, and not because one of them was broken."""
        return sum(self.paid.values()) - len(self.paid)

    def densest(self, seconds: float) -> int:
        """The most calls that one model got within any so many seconds."""
        return max(_densest(times, seconds) for times in self.arrivals.values())

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        digest = blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=16).digest()
        completion = self.completion(body)
        if is_probe(body):
            self._charge(completion)
            return web.json_response(completion)
        self.times.append(time.monotonic())
        self.arrivals[body["model"]].append(self.times[-1])
        self.asked[digest] += 1
        kind = self._kind(digest)
        if kind not in UNPAID:
            self._charge(completion)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            return await self._answer(kind, digest, request, completion)
        finally:
            self.open -= 1

    async def _answer(
        self, kind: str, digest: bytes, request: web.Request, completion: dict[str, Any]
    ) -> web.StreamResponse:
        if kind != "quota":
            await self._answer_when_due()
        kind = "outage" if self.out.is_set() else kind
        if not kind:
            self.paid[digest] += 1
            return web.json_response(completion)
        self.injected[kind] += 1
        if kind in SHAPES:
            self.paid[digest] += 1
        return await ACTS[kind](request, completion)

    def _kind(self, digest: bytes) -> str:
        """The fault of this attempt, "" for none."""
        if self.quota_after is not None and len(self.times) > self.quota_after:
            self.first_refusal = self.first_refusal or time.monotonic()
            return "quota"
        attempt = 0 if self.stubborn else self.asked[digest]
        draw = blake2b(f"{self.seed} {attempt} ".encode() + digest, digest_size=8).digest()
        kind = self._drawn(int.from_bytes(draw, "big") / 2**64)
        if not kind or (not self.stubborn and self._failed[digest] >= self.most):
            return ""
        if kind in SLOW and digest in self._slow:
            return ""
        self._failed[digest] += 1
        if kind in SLOW:
            self._slow.add(digest)
        return kind

    def _drawn(self, chance: float) -> str:
        for kind, rate in self.rates.items():
            if chance < rate:
                return kind
            chance -= rate
        return ""

    def _charge(self, completion: dict[str, Any]) -> None:
        used = completion["usage"]
        self.bill_usd += self.price[0] * used["prompt_tokens"] / 1e6 + self.price[1] * used["completion_tokens"] / 1e6


def _densest(times: list[float], seconds: float) -> int:
    first, most = 0, 0
    for last, end in enumerate(times):
        while end - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def is_probe(body: dict[str, Any]) -> bool:
    """Whether a request is the start-up check."""
    return "## " not in prompt_text(body)


def _error(status: int, code: str, message: str = "", **headers: str) -> web.Response:
    body = {"error": {"message": message or code, "code": code, "type": "x"}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(body, status=status, headers=named)


def _sends(make: Callable[[dict[str, Any]], web.Response]) -> Act:
    async def act(request: web.Request, completion: dict[str, Any]) -> web.StreamResponse:
        return make(completion)

    return act


def _html(status: int) -> web.Response:
    return web.Response(status=status, text="<html>busy</html>", content_type="text/html")


def _null(completion: dict[str, Any]) -> web.Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": "stop"}
    return web.json_response(completion | {"choices": [choice]})


def _refusal(completion: dict[str, Any]) -> web.Response:
    message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    return web.json_response(completion | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


def _dated(completion: dict[str, Any]) -> web.Response:
    """An hour ahead of us: the provider's own clock is what counts."""
    now = time.time() + 3600
    return _error(429, "rate", Date=formatdate(now, usegmt=True), Retry_After=formatdate(now + 1, usegmt=True))


def _change_choice(**fields: Any) -> Callable[[dict[str, Any]], web.Response]:
    """The reply with other fields in its choice; ``text`` makes the message's content from its text."""

    def make(completion: dict[str, Any]) -> web.Response:
        choice, more = completion["choices"][0], dict(fields)
        text = more.pop("text", lambda said: said)(choice["message"]["content"])
        changed = choice | more | {"message": choice["message"] | {"content": text}}
        return web.json_response(completion | {"choices": [changed]})

    return make


def _odd_fields(completion: dict[str, Any]) -> web.Response:
    """Every field beside the text in a form of its own."""
    usage = {"prompt_tokens": float(completion["usage"]["prompt_tokens"]), "completion_tokens": "7", "x": []}
    message = completion["choices"][0]["message"] | {"refusal": [], "tool_calls": {}, "annotations": 5}
    choices = [{"index": "0", "message": message, "finish_reason": {"type": "stop"}}, 5]
    return web.json_response({"id": 5, "error": None, "choices": choices, "usage": usage})


def _in_parts(text: str) -> list[dict[str, Any]]:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "### The final answer is: draft"}]}
    return [thought, *({"type": "text", "text": part} for part in (text[:5], text[5:]))]


def _gemini_limit(completion: dict[str, Any]) -> web.Response:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{RETRY_AFTER_S}s"}]
    error = {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED", "details": details}
    return web.json_response([{"error": error}], status=429)


async def _reset(request: web.Request, completion: dict[str, Any]) -> web.StreamResponse:
    if (transport := request.transport) is not None:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def _reset_in_body(request: web.Request, completion: dict[str, Any]) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    with suppress(ConnectionError):
        await answer.prepare(request)
        await answer.write(b'{"choices": [')
        await asyncio.sleep(0.02)
    await _reset(request, completion)
    return answer


async def _hang(request: web.Request, completion: dict[str, Any]) -> web.StreamResponse:
    """No answer for as long as the client waits."""
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - nothing wakes a handler whose client has gone
        await asyncio.sleep(0.05)
    return web.Response()


async def _drip(request: web.Request, completion: dict[str, Any]) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": "1000000", "Content-Type": "application/json"})
    with suppress(ConnectionError):
        await answer.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await answer.write(b" ")
            await asyncio.sleep(0.05)
    return answer


ACTS: dict[str, Act] = {
    "server_error": _sends(lambda _: _html(503)),
    "rate_limit": _sends(lambda _: _error(429, "rate", Retry_After=str(RETRY_AFTER_S))),
    "rate_limit_date": _sends(_dated),
    "rate_limit_bare": _sends(lambda _: _error(429, "rate")),
    "reset": _reset,
    "reset_in_body": _reset_in_body,
    "hang": _hang,
    "drip": _drip,
    "broken_json": _sends(lambda _: web.Response(body=b'{"choices": [{"message": ', content_type="application/json")),
    "error_body": _sends(lambda _: web.json_response({"error": {"message": "overloaded", "code": None}})),
    "null_content": _sends(_null),
    "html": _sends(lambda _: _html(200)),
    "refusal": _sends(_refusal),
    "outage": _reset,
    "quota": _sends(lambda _: _error(429, "billing_hard_limit_reached")),
    "told_429": _sends(lambda _: web.json_response({"error": {"message": "Rate limit exceeded", "code": 429}})),
    "told_502": _sends(lambda _: web.json_response({"error": {"message": "Provider returned error", "code": "502"}})),
    "told_string": _sends(lambda _: web.json_response({"error": "who knows"})),
    "half_text": _sends(
        _change_choice(text=lambda said: said[: len(said) // 2], finish_reason="error", error={"code": 502})
    ),
    "tool_calls": _sends(_change_choice(text=lambda _: "", finish_reason="tool_calls")),
    "no_completion": _sends(lambda _: web.json_response({"status": "ok"})),
    "minute_quota": _sends(
        lambda _: _error(429, "insufficient_quota", "Allocated quota exceeded #token-limit", Retry_After="0.3")
    ),
    "gemini_limit": _sends(_gemini_limit),
    "reset_header": _sends(
        lambda _: _error(429, "rate", X_RateLimit_Remaining_Tokens="0", X_RateLimit_Reset_Tokens="300ms")
    ),
    "parts": _sends(_change_choice(text=_in_parts)),
    "odd_fields": _sends(_odd_fields),
}
