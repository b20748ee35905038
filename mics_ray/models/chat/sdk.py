"""The openai SDK as it is used here: bytes out, the whole body of any status back, nothing on its own initiative.

Importing this module loads the SDK (0.5 s), so :mod:`mics_ray.models.chat.client` does it when the first call is made.
"""

import logging
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
import httpx2
import openai
from openai import AsyncOpenAI, DefaultAioHttpClient

from mics_ray.models.chat.classify import UnusableProxy, classify_exception, refuse_proxy
from mics_ray.models.chat.retry import Fault, broken_reply
from mics_ray.proxies import is_loopback

MAX_BODY = 8 * 2**20  # bytes, decompressed; no reply of ours comes near it
CONNECT_S = 15.0
KEEP_ALIVE_S = 30.0
PLAIN = ("", "identity")
DECODED = (*PLAIN, "gzip", "deflate")
"""Encodings whose decoder, fed 16 KB at a time, cannot burst the cap; we ask for none of them."""
DROPPED = (b"content-encoding", b"content-length", b"transfer-encoding", b"location", b"set-cookie")
"""Headers that do not describe a body read to its end, or would make the client follow or remember something."""
SENT = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": f"mics-ray (openai {openai.__version__})",
}
"""Headers of every request."""

# They log every call, its address included.
for _name in ("openai", "httpx2"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class _UnreadableBody(Exception):
    """An answer whose body did not come whole; the message says its status and why."""


class _WholeBodyTransport(httpx2.AsyncBaseTransport):
    """Reads every body to its end, or to :data:`MAX_BODY`, before the SDK, which knows no bound, sees the answer."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send ``request``. Raises :class:`_UnreadableBody`, and what the inner transport raises before an answer."""
        answer = await self._inner.handle_async_request(request)
        try:
            body = await _read_capped_body(answer)
        except (httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
            cause = error.__cause__ or error
            raise _UnreadableBody(f"{answer.status_code} cut off, {type(cause).__name__}") from error
        finally:
            await answer.aclose()
        headers = [(name, value) for name, value in answer.headers.raw if name.lower() not in DROPPED]
        return httpx2.Response(answer.status_code, headers=headers, content=body, request=request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _UnusableProxy(httpx2.AsyncBaseTransport):
    """Stands for a proxy variable that names none, until an address is to be reached through it."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raise :class:`UnusableProxy`."""
        raise UnusableProxy


async def _read_capped_body(answer: httpx2.Response) -> bytes:
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if encoding not in DECODED:
        raise _UnreadableBody(f"{answer.status_code} in an encoding that was not asked for")
    body = bytearray()
    # Most bodies are not encoded; a decoder that does nothing costs CPU all the same.
    plain = encoding in PLAIN and isinstance(answer.stream, httpx2.AsyncByteStream)
    async for chunk in answer.stream if plain else answer.aiter_bytes():  # type: ignore[union-attr]
        body += chunk
        if len(body) > MAX_BODY:
            raise _UnreadableBody(f"{answer.status_code} over {MAX_BODY} bytes")
    return bytes(body)


class _Connections(DefaultAioHttpClient):
    """The SDK's client over aiohttp with our pool: proxies and certificates come from the environment."""

    def __init__(self, host: str, limit: int) -> None:
        self._limit = limit  # first: the constructor makes the transports
        self._certificates = ssl.create_default_context()  # the system's, or those of SSL_CERT_FILE
        super().__init__(
            verify=self._certificates,
            follow_redirects=False,
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
            trust_env=not is_loopback(host),  # its proxies; none of them can reach what listens on this machine only
        )

    def _init_transport(self, *args: Any, **kwargs: Any) -> httpx2.AsyncBaseTransport:
        return self._wrap_transport(super()._init_transport(*args, **kwargs))

    def _init_proxy_transport(self, proxy: httpx2.Proxy, *args: Any, **kwargs: Any) -> httpx2.AsyncBaseTransport:
        if proxy.url.scheme not in ("http", "https") or not proxy.url.host:
            return _UnusableProxy()
        return self._wrap_transport(super()._init_proxy_transport(proxy, *args, **kwargs))

    def _wrap_transport(self, transport: httpx2.AsyncBaseTransport) -> httpx2.AsyncBaseTransport:
        transport.client = self._open_session  # type: ignore[attr-defined]  # AiohttpTransport's, called at its first use
        return _WholeBodyTransport(transport)

    def _open_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=self._limit, keepalive_timeout=KEEP_ALIVE_S, ssl=self._certificates)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


class SdkClient(AsyncOpenAI):
    """One address and key. Nothing is read from the SDK's environment variables, and nothing is retried."""

    def __init__(self, base_url: str, key: str, limit: int) -> None:
        """``limit`` bounds the connections (0: no bound). Raises :class:`UnusableProxy`."""
        try:
            connections = _Connections(httpx2.URL(base_url).host, limit)
        except (httpx2.InvalidURL, ValueError):
            raise UnusableProxy from None
        # Given as "", neither key is looked for in the environment.
        super().__init__(
            base_url=base_url,
            api_key=key,
            admin_api_key="",
            max_retries=0,
            timeout=connections.timeout,
            http_client=connections,
        )
        self._address = httpx2.URL(f"{base_url}/chat/completions")
        self._sent_headers = httpx2.Headers({**SENT, "Authorization": f"Bearer {key}"} if key else SENT)
        self._extensions = {"timeout": connections.timeout.as_dict()}

    async def post_body(
        self, body: bytes, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> httpx2.Response | Fault:
        """Ask for one chat completion: the answer whatever its status, or why there is none.

        Sent by the SDK's own step below its ``post``, whose copies of the options, for retries that we make elsewhere,
        are a fifth of a call's CPU.
        """
        try:
            return await self._send_request(self._make_request(body, headers, query), stream=True)
        except _UnreadableBody as error:
            return broken_reply(str(error))
        except UnusableProxy:
            return refuse_proxy()
        except (openai.OpenAIError, httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
            return classify_exception(error)

    def _make_request(self, body: bytes, headers: Mapping[str, str], query: Mapping[str, str]) -> httpx2.Request:
        """All that is sent: the key and the entry's own; no word on this machine, an organization or a project."""
        sent = self._sent_headers
        if headers:
            sent = sent.copy()
            sent.update(headers)
        address = self._address.copy_merge_params(query) if query else self._address
        return httpx2.Request("POST", address, headers=sent, content=body, extensions=dict(self._extensions))
