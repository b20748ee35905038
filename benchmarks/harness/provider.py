"""A simulated OpenAI-compatible provider with given latencies and quotas, in a process of its own; it reasons nothing.

Mentors write chains of four steps; an intern is right more often with more steps; the judge compares strings; ``chat``
says yes. The kind of a model is what stands before the first ``-`` of its name. What it was asked is seeded by the
request, so the same request is answered alike. ``GET /stats`` tells what came in, ``POST /quotas`` changes the quotas.
"""

import argparse
import asyncio
import hashlib
import json
import random
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any
from urllib.request import Request, urlopen

from aiohttp import web

ROOT = Path(__file__).resolve().parents[2]
LATENCY_S = {"mentor": 0.4, "intern": 0.1, "judge": 0.1, "chat": 0.1}
"""Means."""
JITTER = 0.5
"""Of a latency, either way."""
RIGHT = (0.25, 0.45, 0.6, 0.7, 0.8)
"""Chance of a right answer by number of steps in the prefix, on the average case."""
WINDOW_S = 60.0
CASE = re.compile(r"What does (case \d+) show\?")
"""The question of a benchmark's case, which each of its prompts holds."""
PROBE = "Reply with the one word"
"""Begins what a run asks before it begins: not counted."""


def prompt_text(body: dict[str, Any]) -> str:
    """The prompt's text."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)


def compose_reply(kind: str, prompt: str, rng: random.Random) -> str:
    """What the simulated model says."""
    if kind == "chat":
        return "### The final answer is: Yes"
    if kind == "mentor":
        first = prompt.count("### Step ", prompt.rfind("## Reasoning so far")) + 1
        steps = [
            f"### Step {k}: Observation {rng.randrange(10**6)} of the case." for k in range(first, max(first + 1, 5))
        ]
        return "\n\n".join([*steps, "### The final answer is: right"])
    if kind == "intern":
        known = prompt.count("### Step ", prompt.rfind("## Reasoning so far"))
        hard = hashlib.sha256(prompt.split("## Reasoning so far")[0].encode()).digest()[0] / 255
        right = rng.random() < RIGHT[min(known, 4)] * (1.3 - 0.6 * hard)
        # No two answers are worded alike, so no verdict can be saved by asking once.
        return f"### The final answer is: {'right' if right else 'wrong'}, said in {rng.randrange(10**9)} words"
    return "Yes" if "## Answer to check\nright" in prompt else "No"


def draw_seconds(latency_s: float, jitter: float, rng: random.Random) -> float:
    """How long a call takes: its kind's mean, more or less by at most ``jitter`` of it."""
    return latency_s * rng.uniform(1 - jitter, 1 + jitter)


@dataclass
class QuotaWindows:
    """``quotas``: requests in any ``window_s`` seconds by model; a model without one has none."""

    quotas: dict[str, float] = field(default_factory=dict)
    window_s: float = WINDOW_S
    _served: dict[str, deque[float]] = field(default_factory=dict)

    def admit_call(self, model: str, now: float) -> bool:
        """Whether a call of this moment, in seconds, is served; then it counts."""
        if (quota := self.quotas.get(model)) is None:
            return True
        served = self._served.setdefault(model, deque())
        while served and served[0] <= now - self.window_s:
            served.popleft()
        if len(served) >= quota:
            return False
        served.append(now)
        return True


@dataclass
class Settings:
    """How the provider behaves. ``quotas`` and ``window_s``: see :class:`QuotaWindows`."""

    latency_s: Mapping[str, float] = field(default_factory=lambda: dict(LATENCY_S))
    jitter: float = JITTER
    faults: float = 0.0
    """Share of calls that end in a 503."""
    quotas: dict[str, float] = field(default_factory=dict)
    window_s: float = WINDOW_S


class SimulatedProvider:
    """Answers calls and counts them; times are ``time.monotonic``, which all processes of a machine share."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._windows = QuotaWindows(settings.quotas, settings.window_s)
        self._seen: set[bytes] = set()
        self._served: dict[str, list[float]] = {}
        self._refused: dict[str, list[float]] = {}
        self._counts: Counter[str] = Counter()
        self._open = self._most_open = 0
        self._cases: dict[str, list[float]] = {}
        self._last = 0.0

    async def answer_chat(self, request: web.Request) -> web.Response:
        """One completion after its latency."""
        raw = await request.read()
        body = json.loads(raw)
        if not body["messages"]:  # some clients ask so, to read the limits in the headers
            return web.json_response({"error": {"message": "no messages"}}, status=400)
        model, prompt, now = body["model"], prompt_text(body), time.monotonic()
        if not self._windows.admit_call(model, now):
            self._refused.setdefault(model, []).append(now)
            return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "1"})
        if not prompt.startswith(PROBE):
            self._note_call(model, raw, now)
        self._open += 1
        self._most_open = max(self._most_open, self._open)
        try:
            return await self._answer_later(model, prompt, body)
        finally:
            self._open -= 1
            self._last = time.monotonic()
            if case := CASE.search(prompt):
                self._cases.setdefault(case[1], [now, now])[1] = self._last

    async def _answer_later(self, model: str, prompt: str, body: dict[str, Any]) -> web.Response:
        kind, settings = model.split("-")[0], self._settings
        rng = random.Random(f"{body.get('seed')}{body.get('temperature')}{prompt}")
        await asyncio.sleep(draw_seconds(settings.latency_s[kind], settings.jitter, rng))
        # Not by the request: the same one asked again is a chance of its own.
        if settings.faults and random.random() < settings.faults:
            self._counts["faults"] += 1
            return web.json_response({"error": {"message": "try again"}}, status=503)
        text = compose_reply(kind, prompt, rng)
        tokens = len(prompt) // 4, len(text) // 4
        usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        answer = {"id": "sim", "object": "chat.completion", "created": 0, "model": model, "choices": [choice]}
        return web.json_response(answer | {"usage": usage})

    def _note_call(self, model: str, raw: bytes, now: float) -> None:
        self._served.setdefault(model, []).append(now)
        digest = hashlib.blake2b(raw, digest_size=8).digest()
        self._counts["repeated"] += digest in self._seen
        self._seen.add(digest)

    async def tell_stats(self, request: web.Request) -> web.Response:
        """What came in so far; only where asked for ``times``, and by case its first call and its last answer."""
        times = sorted(at for served in self._served.values() for at in served)
        told = {
            "calls": {model: len(served) for model, served in self._served.items()},
            "refused": {model: len(refused) for model, refused in self._refused.items()},
            "repeated": self._counts["repeated"], "faults": self._counts["faults"], "most_open": self._most_open,
            "first": times[0] if times else 0.0, "last": self._last,
        }  # fmt: skip
        more = {"times": self._served, "cases": self._cases} if "times" in request.query else {}
        return web.json_response(told | more)

    async def change_quotas(self, request: web.Request) -> web.Response:
        """Other quotas from here on."""
        self._windows.quotas.update(await request.json())
        return web.json_response({"at": time.monotonic()})


async def serve_until_closed(settings: Settings) -> None:
    """Serve until standard input closes."""
    provider, app = SimulatedProvider(settings), web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/chat/completions", provider.answer_chat)
    app.router.add_get("/stats", provider.tell_stats)
    app.router.add_post("/quotas", provider.change_quotas)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    # A benchmark opens hundreds of connections at once; the default of 128 would refuse some of them.
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    # The benchmark that started us closes the pipe when it ends, also when it is killed.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@dataclass(frozen=True, slots=True)
class ProviderProcess:
    """A provider that runs. ``url`` ends in ``/v1``."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        """What goes into ``base_url``."""
        return f"http://127.0.0.1:{self.port}/v1"

    def read_stats(self, times: bool = False) -> dict[str, Any]:
        """See :meth:`SimulatedProvider.tell_stats`."""
        return self._ask(f"/stats{'?times' if times else ''}")

    def change_quotas(self, quotas: Mapping[str, float]) -> float:
        """Other quotas; the moment from which they hold."""
        at: float = self._ask("/quotas", json.dumps(quotas).encode())["at"]
        return at

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        asked = Request(f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": "application/json"})
        with urlopen(asked, timeout=60) as answer:
            told: dict[str, Any] = json.loads(answer.read())
        return told


@contextmanager
def serve_provider(**settings: Any) -> Iterator[ProviderProcess]:
    """A provider for a while; ``settings`` as :class:`Settings` has them."""
    command = [sys.executable, "-m", "benchmarks.harness.provider", json.dumps(settings)]
    with Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield ProviderProcess(process.pid, json.loads(process.stdout.readline())["port"])
        finally:
            process.stdin.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", type=json.loads, nargs="?", default={}, help="as JSON")
    given = parser.parse_args().settings
    given["latency_s"] = LATENCY_S | given.get("latency_s", {})
    asyncio.run(serve_until_closed(Settings(**given)))
