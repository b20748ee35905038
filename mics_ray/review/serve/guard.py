"""Who may ask the page's server: a browser on this host that was given the address, and no page of another site."""

import hmac
from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

HEADERS: Mapping[str, str] = MappingProxyType({
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
})  # fmt: skip
"""Of every answer: medical text is kept by no cache, shown in no frame, read by no other site."""


def make_guard(token: str, port: int) -> Middleware:
    """The middleware that answers 403 to everybody else."""
    hosts = (f"127.0.0.1:{port}", f"localhost:{port}")

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if not is_allowed(request, token, hosts):
                raise web.HTTPForbidden(text="403: open the address that mics review printed\n")
            response = await handler(request)
        except web.HTTPException as answer:
            answer.headers.update(HEADERS)
            raise
        response.headers.update(HEADERS)
        return response

    return guard


def is_allowed(request: web.Request, token: str, hosts: tuple[str, ...]) -> bool:
    """Whether a request knows the token and comes from our own page.

    The host's name is looked at because a site may give its own name this host's address (DNS rebinding); the origin
    because a browser posts to any address for any site.
    """
    given = request.path.split("/")[1] if request.path.startswith("/") else ""
    if not hmac.compare_digest(given.encode(), token.encode()) or request.headers.getall("Host", []) not in (
        [host] for host in hosts
    ):
        return False
    if request.method in ("GET", "HEAD"):
        return True
    own = request.headers.getall("Origin", []) == [f"http://{request.host}"]
    return own and request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"
