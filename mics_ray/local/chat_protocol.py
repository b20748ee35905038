"""The part of OpenAI's chat completion protocol that the embedded server speaks: requests in, replies out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHARS_PER_TOKEN = 4  # the usual rule of thumb for English; no tokenizer is loaded here
TOKENS_PER_PICTURE = 85  # what OpenAI counts for a picture in low detail
FINGERPRINT = "simulated"
MAX_SEED = 2**63  # seeds are signed 64-bit integers in the protocol


class RequestRefused(Exception):
    """A request that is answered with OpenAI's error body. The message never holds the request's text or a key."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request as read: the text of all messages, the number of pictures; ``max_tokens`` None means no limit."""

    model: str
    prompt: str
    pictures: int
    temperature: float
    seed: int | None
    max_tokens: int | None


def read_request(body: object) -> ChatRequest:
    """The request in a decoded JSON body. Raises RequestRefused (400) on anything that the protocol does not allow."""
    if not isinstance(body, dict):
        raise _make_refusal("The body must be a JSON object.")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise _make_refusal("A model name is required.", "model")
    if body.get("stream"):
        raise _make_refusal("The simulated server does not stream.", "stream")
    # Refused rather than ignored: a client that asks for two choices must not take one for both.
    if body.get("n") not in (None, 1):
        raise _make_refusal("The simulated server writes one choice.", "n")
    texts, pictures = _read_messages(body.get("messages"))
    # Newer models of OpenAI take only max_completion_tokens; clients send either.
    limit = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
    return ChatRequest(
        model=model,
        prompt="\n\n".join(texts),
        pictures=pictures,
        temperature=_read_temperature(body.get("temperature")),
        seed=_read_whole_number(body.get("seed"), "seed", -MAX_SEED),
        max_tokens=_read_whole_number(body.get(limit), limit, 1),
    )


def build_completion(request: ChatRequest, content: str, number: int, created: int) -> dict[str, Any]:
    """The reply to ``request`` with ``content``, cut at its token limit (``finish_reason`` length)."""
    room = math.inf if request.max_tokens is None else request.max_tokens * CHARS_PER_TOKEN
    cut = len(content) > room
    content = content[: int(room)] if cut else content
    asked = _count_tokens(request.prompt) + TOKENS_PER_PICTURE * request.pictures
    told = _count_tokens(content)
    message = {"role": "assistant", "content": content, "refusal": None}
    reason = "length" if cut else "stop"
    return {
        "id": f"chatcmpl-simulated-{number}",
        "object": "chat.completion",
        "created": created,
        "model": request.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told},
        "system_fingerprint": FINGERPRINT,
    }


def build_model_list(models: tuple[str, ...], created: int) -> dict[str, Any]:
    """The reply to ``GET /v1/models``."""
    entries = [{"id": m, "object": "model", "created": created, "owned_by": "mics-ray-simulated"} for m in models]
    return {"object": "list", "data": entries}


def build_error_body(message: str, code: str | None, param: str | None = None) -> dict[str, Mapping[str, str | None]]:
    """OpenAI's error body."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def _make_refusal(message: str, param: str | None = None) -> RequestRefused:
    return RequestRefused(400, message, None, param)


def _read_messages(messages: object) -> tuple[list[str], int]:
    """(texts, number of pictures) of all messages."""
    if not isinstance(messages, list) or not messages:
        raise _make_refusal("A list of at least one message is required.", "messages")
    texts: list[str] = []
    pictures = 0
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _make_refusal("Every message is an object with a role.", "messages")
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list):
            raise _make_refusal("A message's content is text or a list of parts.", "messages")
        for part in parts:
            if text := _read_part(part):
                texts.append(text)
            pictures += part["type"] == "image_url"
    return texts, pictures


def _read_part(part: object) -> str:
    """The text of a content part, nothing for a picture."""
    kind = part.get("type") if isinstance(part, dict) else None
    if isinstance(part, dict) and kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    link = part.get("image_url") if isinstance(part, dict) and kind == "image_url" else None
    if isinstance(link, dict) and isinstance(link.get("url"), str):
        return ""
    raise _make_refusal("A content part is a text or an image_url with a url.", "messages")


def _read_temperature(value: object) -> float:
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2:
        raise _make_refusal("The temperature is a number from 0 to 2.", "temperature")
    return float(value)


def _read_whole_number(value: object, name: str, least: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < MAX_SEED:
        raise _make_refusal(f"{name} is a whole number of at least {least}.", name)
    return value


def _count_tokens(text: str) -> int:
    return max(1, math.ceil(len(text) / CHARS_PER_TOKEN))
