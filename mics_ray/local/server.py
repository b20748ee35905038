"""The embedded server: simulated mentors and a simulated judge behind OpenAI's chat protocol, on loopback only.

``python -m mics_ray.local.server --port 0`` writes one JSON line with its address when it is ready, and serves until
its standard input closes (a parent that dies takes it along) or it gets SIGTERM or SIGINT.
"""

import argparse
import asyncio
import contextlib
import hmac
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from hashlib import blake2b
from itertools import count

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from mics_ray.local import judge, mentors
from mics_ray.local.chat_protocol import (
    ChatRequest,
    RequestRefused,
    build_completion,
    build_error_body,
    build_model_list,
    read_request,
)

LOOPBACK = "127.0.0.1"
MODELS = (*mentors.SKILLS, judge.JUDGE_MODEL)
MAX_BODY = 64 * 2**20  # pictures travel as base64 in the body
EX_USAGE = 64  # as in sysexits.h
_log = logging.getLogger(__name__)


def answer_request(request: ChatRequest) -> str:
    """What the model of ``request`` writes, the same for the same request. Raises RequestRefused (404) on others."""
    if request.model in mentors.SKILLS:
        return mentors.write_reply(request.model, request.prompt, request.temperature, request.seed)
    if request.model == judge.JUDGE_MODEL:
        key = f"{request.seed}\n{request.prompt}".encode("utf-8", "surrogatepass")
        return judge.write_verdict(request.prompt, request.temperature, random.Random(blake2b(key).digest()))
    raise RequestRefused(404, "The simulated server has no model of that name.", "model_not_found", "model")


def make_app(api_key: str | None = None) -> web.Application:
    """The application; with ``api_key`` everything under /v1 asks for it as a bearer token."""
    app = web.Application(middlewares=[_errors_as_json, _require_key(api_key)], client_max_size=MAX_BODY)
    started, numbers = int(time.time()), count(1)

    async def handle_chat(request: web.Request) -> web.Response:
        try:
            body = await request.json()
        # LookupError: an unknown charset in the Content-Type.
        except (ValueError, RecursionError, LookupError):
            raise RequestRefused(400, "The body is not valid JSON.") from None
        asked = read_request(body)
        return web.json_response(build_completion(asked, answer_request(asked), next(numbers), int(time.time())))

    async def handle_models(_: web.Request) -> web.Response:
        return web.json_response(build_model_list(MODELS, started))

    async def handle_health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "simulated": True})

    app.router.add_post("/v1/chat/completions", handle_chat)
    app.router.add_get("/v1/models", handle_models)
    app.router.add_get("/health", handle_health)
    return app


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RequestRefused as refused:
        return web.json_response(build_error_body(str(refused), refused.code, refused.param), status=refused.status)
    except web.HTTPException as error:
        return web.json_response(build_error_body(f"{error.reason}.", None), status=error.status)


def _require_key(api_key: str | None) -> Middleware:
    @web.middleware
    async def check_key(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        wanted = f"Bearer {api_key}".encode()
        # Compared in constant time, as bytes: compare_digest refuses text that is not ASCII.
        if api_key is not None and request.path != "/health" and not hmac.compare_digest(given, wanted):
            raise RequestRefused(401, "The API key is missing or wrong.", "invalid_api_key")
        return await handler(request)

    return check_key


async def run_server(port: int, api_key: str | None) -> None:
    """Serve on loopback (``port`` 0: any free one), announce the address on stdout, return when told to stop."""
    runner = web.AppRunner(make_app(api_key), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, port)
        await site.start()
        stopped = _stop_event()
        address = {"url": f"http://{LOOPBACK}:{runner.addresses[0][1]}/v1", "simulated": True, "models": list(MODELS)}
        sys.stdout.write(json.dumps(address) + "\n")
        sys.stdout.flush()
        _log.info("simulated mentors and judge are listening on %s", address["url"])
        await stopped.wait()
    finally:
        await runner.cleanup()


def _stop_event() -> asyncio.Event:
    """Set on SIGTERM, SIGINT, or the end of standard input."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)

    def watch_stdin() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop may have ended by a signal
            loop.call_soon_threadsafe(stopped.set)

    # os.read in a daemon thread: standard input may be a file, a pipe or a terminal, and must not hold up the exit.
    threading.Thread(target=watch_stdin, name="stdin-watch", daemon=True).start()
    return stopped


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code (64: the named environment variable is not set)."""
    parser = argparse.ArgumentParser(description="Simulated mentors and judge on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key-env", metavar="NAME", help="variable with the key that clients must send")
    options = parser.parse_args(arguments)
    api_key = os.environ.get(options.api_key_env) if options.api_key_env else None
    if options.api_key_env and not api_key:
        sys.stderr.write("simulated server: the variable named by --api-key-env is not set\n")
        return EX_USAGE
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(run_server(options.port, api_key))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
