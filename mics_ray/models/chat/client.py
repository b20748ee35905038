"""A client of one OpenAI-compatible address: one attempt at one request, the outcome as a value."""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from mics_ray.core.display import make_one_line
from mics_ray.models.chat import suspend_aware_clock
from mics_ray.models.chat.address import check_base_url
from mics_ray.models.chat.classify import UnusableProxy, classify_exception, classify_status, refuse_proxy
from mics_ray.models.chat.reply_decoder import parse_error, parse_reply, read_words
from mics_ray.models.chat.retry import Fault
from mics_ray.models.chat.retry_hints import parse_reset, parse_retry_after
from mics_ray.models.chat.wire_format import PictureParts, encode_request, read_query
from mics_ray.models.types import Pictures, Reply, Request

if TYPE_CHECKING:
    from mics_ray.models.chat.sdk import Answer, SdkClient

ERROR_CODE = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
KEY_SAFE = re.compile(r"[\x21-\x7e]*")
HEADER_SAFE = re.compile(r"[\x20-\x7e]*")
MAX_SAID = 300  # characters of a provider's words that are shown
SHARED = 6  # so many characters in a row of a secret make a word unfit to be shown

Headers = Mapping[str, Mapping[str, str]]
"""Headers by the name of the entry that they go with."""


class Chat(Protocol):
    """What an endpoint asks its provider through."""

    async def attempt_call(self, request: Request, pictures: Pictures | None, timeout_s: float) -> Reply | Fault:
        """Ask once, in at most ``timeout_s`` seconds; what goes wrong is a value."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


def load_sdk() -> "type[SdkClient]":
    """The client class of the SDK, which is loaded here: half a second of CPU that the first call takes otherwise."""
    level = os.environ.pop("OPENAI_LOG", None)  # read at the SDK's import, which then writes into our terminal
    try:
        from mics_ray.models.chat.sdk import SdkClient
    finally:
        if level is not None:
            os.environ["OPENAI_LOG"] = level
    return SdkClient


class ChatClient:
    """The connections to one address with one key. The key goes into the Authorization header and nowhere else."""

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        connections: int = 0,
        headers: Headers | None = None,
        secret_headers: Headers | None = None,
        allow_http: bool = False,
    ) -> None:
        """``connections`` bounds the pool (0: no bound). Raises :class:`ValueError` for a forbidden address or key."""
        self._url = check_base_url(base_url, allow_http)
        self._key = (key or "").strip()
        self._headers = dict(headers or {})
        for entry, sent in (secret_headers or {}).items():
            self._headers[entry] = {**self._headers.get(entry, {}), **sent}
        self._secrets = [self._key, *(value for sent in (secret_headers or {}).values() for value in sent.values())]
        if not KEY_SAFE.fullmatch(self._key):
            raise ValueError("the API key holds characters that a header cannot carry")
        if not all(HEADER_SAFE.fullmatch(value) for sent in self._headers.values() for value in sent.values()):
            raise ValueError("a header holds characters that a header cannot carry")
        self._connections = connections
        self._pictures = PictureParts()
        self._sdk: SdkClient | None = None

    async def attempt_call(self, request: Request, pictures: Pictures | None, timeout_s: float) -> Reply | Fault:
        """Ask once, in at most ``timeout_s`` seconds awake, connecting included. The reply's cost is not filled in."""
        body = encode_request(request, self._pictures.encode_pictures(pictures) if pictures is not None else [])
        try:
            sdk = self._open_sdk()
        except UnusableProxy:
            return refuse_proxy()
        try:
            # A deadline of ours: the client's own read timeout never ends a slow drip.
            async with suspend_aware_clock.AwakeTimeout(timeout_s):
                answer = await sdk.post_body(body, self._headers.get(request.entry, {}), read_query(request))
        except TimeoutError as error:
            return classify_exception(error)
        return answer if isinstance(answer, Fault) else self._read_answer(answer, request)

    async def close(self) -> None:
        """Close the connections."""
        if self._sdk is not None:
            await self._sdk.close()

    def _open_sdk(self) -> "SdkClient":
        if self._sdk is None:  # its connections belong to the loop that runs, so the constructor cannot make it
            self._sdk = load_sdk()(self._url, self._key, self._connections)
        return self._sdk

    def _read_answer(self, answer: "Answer", request: Request) -> Reply | Fault:
        body = answer.body
        if answer.status == 200:
            outcome = parse_reply(body, request.max_tokens)
            return replace(outcome, said=self._clean_words(body)) if isinstance(outcome, Fault) else outcome
        error, headers = parse_error(body), answer.headers
        wait = parse_retry_after(headers)
        if wait is None and answer.status == 429 and (error is None or error.wait_s is None):
            wait = parse_reset(headers)
        code = "" if error is None else self._sanitize_code(error.code, request)
        return replace(classify_status(answer.status, error, wait, code), said=self._clean_words(body))

    def _sanitize_code(self, code: str, request: Request) -> str:
        """The provider's error code, or "" where it may echo a secret or medical text."""
        echo = any(secret and (code in secret or secret in code) for secret in self._secrets)
        echo = echo or code in request.text or code in request.system
        return code if ERROR_CODE.fullmatch(code) and not echo else ""

    def _clean_words(self, body: bytes) -> str:
        """What the provider says, in one line, without words that hold a part of a secret."""
        words = make_one_line(" ".join(read_words(body).split())).split(" ")
        shown = " ".join("(key)" if self._holds_secret(word) else word for word in words)
        return shown if len(shown) <= MAX_SAID else f"{shown[:MAX_SAID]}…"

    def _holds_secret(self, word: str) -> bool:
        parts = {word[start : start + SHARED] for start in range(max(1, len(word) - SHARED + 1))}
        return any(len(part) == SHARED and part in secret for part in parts for secret in self._secrets)
