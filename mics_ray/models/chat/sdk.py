"""The openai SDK as it is used here: bytes out, the whole body of any status back, nothing on its own initiative.

Importing this module loads the SDK (0.5 s), so :mod:`mics_ray.models.chat.client` does it when the first call is made.
"""

import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2
import openai
from openai import AsyncOpenAI

from mics_ray.models.chat.classify import UnusableProxy, classify_exception, refuse_proxy
from mics_ray.models.chat.retry import Fault, broken_reply
from mics_ray.proxies import is_loopback

MAX_BODY = 8 * 2**20  # bytes, decompressed; no reply of ours comes near it
CONNECT_S = 15.0
KEEP_ALIVE_S = 30.0
PLAIN = ("", "identity")
DECODED = (*PLAIN, "gzip", "deflate")
"""Encodings whose decoder, fed :data:`CHUNK` at a time, cannot burst the cap; we ask for none of them."""
CHUNK = 16 * 1024
"""Bytes."""
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


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status; the body is decoded."""

    status: int
    headers: httpx2.Headers
    body: bytes


class _WholeBody(httpx2.AsyncByteStream):
    """A body as it is sent, or as it was read and decoded; the SDK passes it on unread, for reading costs CPU."""

    def __init__(self, body: bytes) -> None:
        self.body = body


class _Transport(httpx2.AsyncBaseTransport):
    """Sends over aiohttp, and reads every body to its end, or to :data:`MAX_BODY`, before the SDK sees the answer.

    The SDK's own transport over aiohttp makes each answer twice, bounds no body, and takes two thirds more CPU.
    """

    def __init__(self, open_session: Callable[[], aiohttp.ClientSession], proxy: httpx2.Proxy | None = None) -> None:
        self._open_session = open_session  # called at the first use, in the loop that runs
        self._session: aiohttp.ClientSession | None = None
        self._through = {} if proxy is None else _describe_proxy(proxy)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send ``request``. Raises :class:`_UnreadableBody`, and what aiohttp raises before an answer."""
        if self._session is None:
            self._session = self._open_session()
        assert isinstance(request.stream, _WholeBody)
        headers = [(name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw]
        asked = self._session.request(
            request.method,
            str(request.url),
            data=request.stream.body,
            headers=headers,
            allow_redirects=False,
            **self._through,
        )
        async with asked as answer:
            try:
                body = await _read_capped_body(answer)
            except (httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
                cause = error.__cause__ or error
                raise _UnreadableBody(f"{answer.status} cut off, {type(cause).__name__}") from error
        return httpx2.Response(answer.status, headers=answer.raw_headers, stream=_WholeBody(body), request=request)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class _UnusableProxy(httpx2.AsyncBaseTransport):
    """Stands for a proxy variable that names none, until an address is to be reached through it."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raise :class:`UnusableProxy`."""
        raise UnusableProxy


class _Chunks(httpx2.AsyncByteStream):
    """A body as it comes, in pieces that no decoder can burst the cap with."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._content.iter_chunked(CHUNK):
            yield chunk


def _describe_proxy(proxy: httpx2.Proxy) -> dict[str, Any]:
    """What aiohttp is told of it."""
    headers = dict(proxy.headers)
    if proxy.auth:
        headers["Proxy-Authorization"] = aiohttp.encode_basic_auth(*proxy.auth)
    return {"proxy": str(proxy.url), "proxy_headers": headers}


async def _read_capped_body(answer: aiohttp.ClientResponse) -> bytes:
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if encoding not in DECODED:
        raise _UnreadableBody(f"{answer.status} in an encoding that was not asked for")
    body = bytearray()
    # Most bodies are not encoded; a decoder that does nothing costs CPU all the same.
    async for chunk in answer.content.iter_any() if encoding in PLAIN else _decode_body(answer):
        body += chunk
        if len(body) > MAX_BODY:
            raise _UnreadableBody(f"{answer.status} over {MAX_BODY} bytes")
    return bytes(body)


def _decode_body(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    return httpx2.Response(answer.status, headers=answer.raw_headers, stream=_Chunks(answer.content)).aiter_bytes()


class _Connections(httpx2.AsyncClient):
    """The SDK's HTTP client over aiohttp with our pool: proxies and certificates come from the environment."""

    def __init__(self, host: str, limit: int) -> None:
        self._limit = limit  # first: the constructor makes the transports
        self._certificates = ssl.create_default_context()  # the system's, or those of SSL_CERT_FILE
        super().__init__(
            verify=self._certificates,
            trust_env=not is_loopback(host),  # its proxies; none of them can reach what listens on this machine only
        )

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send ``request`` as it is: no redirect is followed, no cookie kept, no word of ``.netrc`` added.

        The steps for these, none of which is wanted, take a tenth of a call's CPU.
        """
        return await self._transport_for_url(request.url).handle_async_request(request)

    def _init_transport(self, *args: Any, **kwargs: Any) -> httpx2.AsyncBaseTransport:
        return _Transport(self._open_session)

    def _init_proxy_transport(self, proxy: httpx2.Proxy, *args: Any, **kwargs: Any) -> httpx2.AsyncBaseTransport:
        if proxy.url.scheme not in ("http", "https") or not proxy.url.host:
            return _UnusableProxy()
        return _Transport(self._open_session, proxy)

    def _open_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._limit, keepalive_timeout=KEEP_ALIVE_S, ssl=self._certificates),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_S),
            auto_decompress=False,
        )


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
            http_client=connections,
        )
        self._address = httpx2.URL(f"{base_url}/chat/completions")
        self._sent_headers = httpx2.Headers({**SENT, "Authorization": f"Bearer {key}"} if key else SENT)

    async def post_body(self, body: bytes, headers: Mapping[str, str], query: Mapping[str, str]) -> Answer | Fault:
        """Ask for one chat completion: the answer whatever its status, or why there is none.

        Sent by the SDK's own step below its ``post``, whose copies of the options, for retries that we make elsewhere,
        are a fifth of a call's CPU, and below the renewal of a workload's token, of which there is none.
        """
        try:
            answer = await super(AsyncOpenAI, self)._send_request(self._make_request(body, headers, query), stream=True)
            assert isinstance(answer.stream, _WholeBody)
            return Answer(answer.status_code, answer.headers, answer.stream.body)
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
        return httpx2.Request("POST", address, headers=sent, stream=_WholeBody(body))
