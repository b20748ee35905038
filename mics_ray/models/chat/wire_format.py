"""The bytes of the OpenAI chat-completions protocol: requests out, replies and errors in. No I/O.

Lone surrogates, which UTF-8 cannot carry, are sent and kept as ``?``.
"""

import base64
import json
from collections import OrderedDict
from typing import Any

import msgspec

from mics_ray.models.chat.retry import Action, ErrorBody, Fault, broken_reply
from mics_ray.models.types import Failure, Pictures, Reply, Request

MAX_TOKENS = 2**31 - 1  # of one reply; a count beyond it, or below zero, is garbage
PICTURE_CACHE = 64 * 2**20  # bytes of encoded pictures that are kept


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


_decode_strictly = msgspec.json.Decoder(_Completion).decode


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
    """A request as JSON; the picture ``parts`` go before the text."""
    text: object = _replace_surrogates(request.text)
    if parts:
        text = [*parts, {"type": "text", "text": text}]
    system = [{"role": "system", "content": _replace_surrogates(request.system)}] if request.system else []
    return msgspec.json.encode(
        {
            "model": request.model,
            "messages": [*system, {"role": "user", "content": text}],
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
            "seed": request.seed,
        }
    )


def parse_reply(body: bytes) -> Reply | Fault:
    """A chat completion, its cost not filled in, or why the body of a 200 is none."""
    try:
        completion = _decode_completion(body)
    except (ValueError, RecursionError):
        return broken_reply("200 is not a chat completion")
    if not completion.choices:
        return broken_reply("200 without a choice")
    message, finish = completion.choices[0].message, completion.choices[0].finish_reason or "stop"
    if message.refusal or finish == "content_filter":
        evidence = _replace_surrogates(message.refusal or message.content or "")
        return Fault(Action.LOSE, Failure("refused", "200 refusal or content filter"), text=evidence)
    if message.content is None and finish != "length":  # a model that thinks may run out of tokens before it writes
        return broken_reply("200 without content")
    usage = completion.usage or _Usage()
    tokens = _clean_token_count(usage.prompt_tokens), _clean_token_count(usage.completion_tokens)
    return Reply(_replace_surrogates(message.content or ""), finish, *tokens)


def parse_error(body: bytes) -> ErrorBody | None:
    """The error that a body tells: ``{"error": {…}}``, the same in a list, or bare; ``None`` if it tells none."""
    try:
        said: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    said = said[0] if isinstance(said, list) and said else said
    said = said.get("error", said) if isinstance(said, dict) else None
    if isinstance(said, str):
        return ErrorBody(message=said)
    if not isinstance(said, dict) or not {"message", "code", "type"} & said.keys():
        return None
    codes = (value for value in (said.get("code"), said.get("type")) if isinstance(value, str) and value)
    return ErrorBody(next(codes, ""), str(said.get("message", "")))


def _decode_completion(body: bytes) -> _Completion:
    try:
        return _decode_strictly(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # lone surrogates, which the fast parser does not take
        return msgspec.convert(json.loads(body), _Completion)


def _clean_token_count(tokens: int | None) -> int:
    """A count of tokens that money can be reckoned with and a row can hold; garbage is taken as not told."""
    return tokens if tokens is not None and 0 <= tokens <= MAX_TOKENS else 0


def _replace_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
