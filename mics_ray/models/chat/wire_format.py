"""The bytes of a chat-completions request, pictures included. No I/O.

Lone surrogates, which UTF-8 cannot carry, are sent as ``?``.
"""

import base64
import hashlib
from collections import OrderedDict

import msgspec

from mics_ray.models.types import Pictures, Request, decode_options

PICTURE_CACHE = 64 * 2**20  # bytes of encoded pictures that are kept
CASE = "{case}"
"""As a value in ``extra_body``: a name that the requests of a case share, as OpenAI's ``prompt_cache_key`` wants it."""
TOLD_FIRST = 2048
"""Characters of a text without pictures that tell cases apart; a prefix cache needs more of them to be of use."""


class PictureParts:
    """Pictures as encoded message parts; the recently used ones are kept, because the calls of a case share them."""

    def __init__(self, capacity: int = PICTURE_CACHE) -> None:
        self._capacity = capacity
        self._size = 0
        self._kept: OrderedDict[str, list[bytes]] = OrderedDict()

    def encode_pictures(self, pictures: Pictures) -> list[msgspec.Raw]:
        """The ``image_url`` parts, as JSON, in reading order."""
        parts = self._kept.pop(pictures.digest, None)
        if parts is None:
            parts = [_encode_picture_part(file) for file in pictures.files]
            self._size += sum(map(len, parts))
        self._kept[pictures.digest] = parts
        while self._size > self._capacity and len(self._kept) > 1:
            self._size -= sum(map(len, self._kept.popitem(last=False)[1]))
        return [msgspec.Raw(part) for part in parts]


def _encode_picture_part(file: bytes) -> bytes:
    kind = b"png" if file.startswith(b"\x89PNG") else b"jpeg"
    data = base64.b64encode(file)
    return b'{"type":"image_url","image_url":{"url":"data:image/' + kind + b";base64," + data + b'"}}'


def encode_request(request: Request, parts: list[msgspec.Raw]) -> bytes:
    """A request as JSON; the picture ``parts`` go before the text, the entry's ``extra_body`` over all the rest."""
    options = decode_options(request.options)
    text: object = replace_surrogates(request.text)
    if parts:
        text = [*parts, {"type": "text", "text": text}]
    system = [{"role": "system", "content": replace_surrogates(request.system)}] if request.system else []
    body = {
        "model": request.model,
        "messages": [*system, {"role": "user", "content": text}],
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "seed": request.seed,
        **options.get("sampling", {}),
    }
    for name, value in options.get("extra_body", {}).items():
        if value is None:
            body.pop(name, None)
        else:
            body[name] = name_case(request) if value == CASE else value
    return msgspec.json.encode(body)


def name_case(request: Request) -> str:
    """The same 32 characters for all requests of a case: from its pictures, else from the beginning of the text."""
    # Worked out here, so that a reply's address in the store holds no more than the entry says.
    told = request.pictures or request.text[:TOLD_FIRST]
    return hashlib.sha256(replace_surrogates(told).encode()).hexdigest()[:32]


def read_query(request: Request) -> dict[str, str]:
    """What the entry adds to the address."""
    query: dict[str, str] = decode_options(request.options).get("query", {})
    return query


def replace_surrogates(text: str) -> str:
    """The text with ``?`` for each lone surrogate."""
    return text.encode("utf-8", "replace").decode()
