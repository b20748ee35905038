"""The server of the page: on loopback, for one reviewer, until it is stopped."""

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from mics_ray.errors import RefusedRun
from mics_ray.review.serve.guard import make_guard
from mics_ray.review.serve.session import Answer, BadRequest, ReviewSession

MOST_BYTES = 200_000
"""Of a request: a comment of the most characters, each escaped."""
PAGE = "index.html"
_log = logging.getLogger(__name__)


def serve_review(session: ReviewSession, folder: Path, tell: Callable[[str], None]) -> None:
    """Serve the page in ``folder`` until Ctrl-C or SIGTERM; ``tell`` gets its address once it answers.

    Raises ``OSError`` where loopback cannot be listened on.
    """
    asyncio.run(_serve(session, folder, tell))


async def _serve(session: ReviewSession, folder: Path, tell: Callable[[str], None]) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        token, port = secrets.token_urlsafe(24), listener.getsockname()[1]
        # Its access log would hold the token.
        runner = web.AppRunner(make_app(session, folder, token, port), access_log=None)
        await runner.setup()
        try:
            await web.SockSite(runner, listener, shutdown_timeout=1).start()
            tell(f"http://127.0.0.1:{port}/{token}/")
            await stop.wait()
        finally:
            await runner.cleanup()


def make_app(session: ReviewSession, folder: Path, token: str, port: int) -> web.Application:
    """The application: the page's files, and its marks as JSON."""

    async def show_page(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(folder / PAGE)

    async def read_marks(request: web.Request) -> web.Response:
        case_id = request.query.get("case")
        return _answer(lambda: (session.tell_all() if case_id is None else session.tell_case(case_id), True))

    async def set_mark(request: web.Request) -> web.Response:
        asked = await _read_object(request)
        return _answer(lambda: session.set_mark(asked))

    async def undo_mark(request: web.Request) -> web.Response:
        asked = await _read_object(request)
        return _answer(lambda: session.undo_mark(asked))

    app = web.Application(middlewares=[make_guard(token, port)], client_max_size=MOST_BYTES)
    app.router.add_get(f"/{token}/", show_page)
    app.router.add_get(f"/{token}/api/marks", read_marks)
    app.router.add_post(f"/{token}/api/mark", set_mark)
    app.router.add_post(f"/{token}/api/undo", undo_mark)
    for name in ("assets", "data", "pictures"):
        if (folder / name).is_dir():
            app.router.add_static(f"/{token}/{name}/", folder / name)
    return app


async def _read_object(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    try:
        found = await request.json()
    except ValueError:
        raise web.HTTPBadRequest from None
    if not isinstance(found, dict):
        raise web.HTTPBadRequest
    return found


def _answer(act: Callable[[], tuple[Answer, bool]]) -> web.Response:
    """200 with the case as it stands; 409 with the same where it was marked meanwhile; else ``error`` in words."""
    try:
        told, kept = act()
    except BadRequest as error:
        return web.json_response({"error": str(error)}, status=400)
    except RefusedRun as refused:
        return web.json_response({"error": str(refused)}, status=500)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        _log.error("a mark cannot be kept: %s", reason)
        return web.json_response({"error": f"the disk does not take the mark: {reason}"}, status=507)
    return web.json_response(told, status=200 if kept else 409)
