"""A simulated OpenAI-compatible provider in a thread of the test: it answers like the benchmark's and keeps a log."""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from benchmarks.harness.provider import compose_reply, prompt_text


@dataclass
class Provider:
    """Serves on loopback from ``start`` to ``stop``; ``log`` holds every request in order of arrival.

    ``hold_when`` is asked as each call comes in. Once it is true nobody is answered until :meth:`release`: so a test
    can act in the middle of a run, however quick the machine is.
    """

    key: str | None = None
    models: frozenset[str] = frozenset(
        [*(f"mentor-{i}" for i in range(3)), *(f"intern-{i}" for i in range(3)), "judge-0"]
    )
    latency_s: float = 0.0
    log: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    open: int = 0
    most_open: int = 0
    permits: int = 0
    hold_when: Callable[[], bool] | None = None

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._answering = asyncio.Event()
        self._answering.set()

    @property
    def held(self) -> bool:
        """Whether nobody is answered."""
        return not self._answering.is_set()

    def hold(self) -> None:
        """Answer nobody until :meth:`release`."""
        self._set_answering(False)

    def release(self) -> None:
        """Answer again, those first who wait."""
        self._set_answering(True)

    def _set_answering(self, answering: bool) -> None:
        """In the provider's own thread, and done when this returns: ``held`` is read right after it."""

        async def change() -> None:
            self._answering.set() if answering else self._answering.clear()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result(30)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()  # the answers to clients that were killed are held too, and the server waits for its handlers
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _serve(self) -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        prompt, model = prompt_text(body), body["model"]
        probe = "## " not in prompt
        self.log.append(
            {"model": model, "prompt": prompt, "probe": probe, "seed": body.get("seed"), "body": body,
             "at": time.monotonic(),
             "key": request.headers.get("Authorization")}
        )  # fmt: skip
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return _error(401, "invalid_api_key")
        if model not in self.models:
            return _error(404, "model_not_found")
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._answer_when_due(probe)
        finally:
            self.open -= 1
        return web.json_response(self.completion(body))

    async def _answer_when_due(self, probe: bool = False) -> None:
        """Wait out the latency and, from the moment that ``hold_when`` names, for the release."""
        if not probe and self.hold_when is not None and self.hold_when():
            self.hold_when = None
            self._answering.clear()
        await asyncio.sleep(self.latency_s)
        await self._answering.wait()

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """What the model of a request answers: the same for the same request."""
        prompt = prompt_text(body)
        rng = random.Random(f"{body.get('seed')}{body['temperature']}{prompt}")
        text = compose_reply(body["model"].split("-")[0], prompt, rng)
        usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(text) // 4}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {"object": "chat.completion", "choices": [choice], "usage": usage}

    def calls(self) -> Counter[str]:
        """Requests by kind of model, probes left out."""
        return Counter(call["model"].split("-")[0] for call in self.log if not call["probe"])

    def repeated(self) -> int:
        """Requests that were asked before, word for word; probes left out."""
        bodies = Counter(json.dumps(call["body"], sort_keys=True) for call in self.log if not call["probe"])
        return sum(bodies.values()) - len(bodies)

    def write_groups(self, folder: Path, interns: bool = True, key_env: str | None = None, **settings: Any) -> None:
        """Group files named ``test`` that lead here; ``settings`` stand in every entry.

        ``permits`` becomes the calls that they allow in flight: a death costs no more of them than that.
        """
        more = {"base_url": self.url} | ({"api_key_env": key_env} if key_env else {}) | settings
        blocks: dict[str, Any] = {
            "mentors": {f"mentor_{i}": {"model": f"mentor-{i}", **more} for i in range(3)},
            "judge": {"model": "judge-0", **more},
        }
        if interns:
            engine = {"engine": "endpoint", **more}
            blocks["interns"] = {f"intern_{i}": {"model": f"intern-{i}", **engine} for i in range(3)}
        self.permits = sum(len(block) if "model" not in block else 1 for block in blocks.values()) * int(
            settings.get("max_in_flight", 0)
        )
        for name, block in blocks.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / "test.yaml").write_text(json.dumps(block))


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"error": {"message": code, "code": code, "type": "invalid_request_error"}}, status=status)


def write_cases(path: Path, count: int, first: int = 0) -> None:
    """Cases without pictures in the reference's format."""
    path.write_text("".join(record(f"case-{number:04}") + "\n" for number in range(first, first + count)))


def record(rid: object, images: tuple[str, ...] = ()) -> str:
    """One line of a cases file."""
    question = {"role": "user", "content": f"**Question:** What does {rid} show?"}
    answer = {"role": "assistant", "content": "**Correct Answer:** right"}
    return json.dumps({"rid": rid, "messages": [question, answer], "images": list(images)})
