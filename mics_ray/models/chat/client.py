"""A client of one OpenAI-compatible address: one attempt at one request, the outcome as a value."""

import ipaddress
import re

import aiohttp
from yarl import URL

from mics_ray.models.chat import suspend_aware_clock
from mics_ray.models.chat.retry import Fault, broken_reply, classify_exception, classify_status, parse_retry_after
from mics_ray.models.chat.wire_format import PictureParts, encode_request, parse_error, parse_reply
from mics_ray.models.types import Pictures, Reply, Request

MAX_BODY = 8 * 2**20  # bytes; no reply of ours comes near it
CONNECT_S = 15.0
KEEP_ALIVE_S = 30.0
ERROR_CODE = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
HEADER_SAFE = re.compile(r"[\x21-\x7e]*")


def check_base_url(url: str) -> str:
    """Return ``url`` without a closing slash. Raises :class:`ValueError` unless it is https, or http on loopback."""
    try:
        parsed = URL(url)
        scheme, host = parsed.scheme, parsed.host
    except ValueError:
        raise ValueError("base_url: not an address") from None
    if not host or parsed.user or parsed.password or parsed.query_string or parsed.fragment:
        raise ValueError("base_url: only scheme, host, port and path, such as https://host/v1")
    if scheme != "https" and not (scheme == "http" and _is_loopback(host)):
        raise ValueError(f"base_url: {scheme}://{host} is not https (http is for loopback only)")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ChatClient:
    """The connections to one address with one key. The key goes into the Authorization header and nowhere else."""

    def __init__(self, base_url: str, key: str | None = None, connections: int = 0) -> None:
        """``connections`` bounds the pool (0: no bound). Raises :class:`ValueError` for a forbidden address or key."""
        self._url = URL(check_base_url(base_url) + "/chat/completions")
        self._key = (key or "").strip()
        if not HEADER_SAFE.fullmatch(self._key):
            raise ValueError("the API key holds characters that a header cannot carry")
        self._connections = connections
        self._pictures = PictureParts()
        self._session: aiohttp.ClientSession | None = None

    async def attempt_call(self, request: Request, pictures: Pictures | None, timeout_s: float) -> Reply | Fault:
        """Ask once, in at most ``timeout_s`` seconds awake, connecting included. The reply's cost is not filled in."""
        body = encode_request(request, self._pictures.encode_pictures(pictures) if pictures is not None else [])
        try:
            # A deadline of ours: the client's own read timeout never ends a slow drip.
            async with (
                suspend_aware_clock.awake_timeout(timeout_s),
                self._open_session().post(self._url, data=body, allow_redirects=False) as answer,
            ):
                return await self._read_answer(answer, request)
        except (aiohttp.ClientError, OSError) as error:  # OSError: timeouts too, and no free file handle
            return classify_exception(error, sent=not isinstance(error, aiohttp.ClientConnectorError))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:  # a session belongs to the loop that runs, so the constructor cannot make it
            headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEP_ALIVE_S),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=headers,
            )
        return self._session

    async def _read_answer(self, answer: aiohttp.ClientResponse, request: Request) -> Reply | Fault:
        try:
            body = await _read_capped_body(answer)
        except (aiohttp.ClientError, OSError) as error:
            return broken_reply(f"{answer.status} cut off, {type(error).__name__}")
        if answer.status == 200:
            return broken_reply(f"200 over {MAX_BODY} bytes") if body is None else parse_reply(body)
        error_body = None if body is None else parse_error(body)
        code = "" if error_body is None else self._sanitize_code(error_body.code, request)
        return classify_status(answer.status, error_body, parse_retry_after(answer.headers), code)

    def _sanitize_code(self, code: str, request: Request) -> str:
        """The provider's error code, or "" where it may echo the key or medical text."""
        echo = bool(self._key) and (code in self._key or self._key in code)
        echo = echo or code in request.text or code in request.system
        return code if ERROR_CODE.fullmatch(code) and not echo else ""


async def _read_capped_body(answer: aiohttp.ClientResponse) -> bytes | None:
    """The body, or ``None`` for one over the limit; no more than the limit is ever held."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            answer.close()
            return None
    return bytes(body)
