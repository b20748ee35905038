"""One call to one model, whatever serves it: the request, the pictures beside it, the reply, the protocol."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any, Protocol

from mics_ray.core.types import Failure, LostCall


@dataclass(frozen=True, slots=True)
class Pictures:
    """A case's pictures as one role sees them: encoded files (PNG or JPEG) in reading order, and their digest."""

    digest: str
    files: tuple[bytes, ...]


@dataclass(frozen=True)
class Request:
    """What is asked. Everything in it decides the reply, so its digest is the address of the reply in the cache.

    ``entry`` is the model's name in the configuration (for accounts and messages; not part of the address),
    ``revision`` pins weights, ``system`` may be empty, ``pictures`` is the digest of the :class:`Pictures` that go
    before ``text`` ("" for none). ``options`` is what the entry's ``extra_body``, ``query`` and ``sampling`` change
    in the request, and the texts that the reply must be one of, as canonical JSON (:func:`encode_options`).
    """

    entry: str
    model: str
    revision: str
    system: str
    text: str
    pictures: str
    temperature: float
    max_tokens: int
    seed: int
    options: str = ""

    @cached_property
    def key(self) -> bytes:
        """The content address, 32 bytes."""
        # Without `entry`: a model that is renamed in the configuration keeps its paid replies.
        # Without empty options: replies that were paid for before an entry had any keep their address.
        names = ADDRESSED if self.options else ADDRESSED[:-1]
        parts = [getattr(self, name) for name in names]
        text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()


ADDRESSED = tuple(field.name for field in fields(Request))[1:]


def encode_options(**options: Any) -> str:
    """:attr:`Request.options` as text, those that are empty left out; "" for nothing."""
    given = {name: value for name, value in options.items() if value}
    return json.dumps(given, sort_keys=True, separators=(",", ":")) if given else ""


def encode_choice(texts: Sequence[str]) -> str:
    """:attr:`Request.options` that hold the reply of an engine of ours to one of ``texts``."""
    return encode_options(choice=list(texts))


@lru_cache(maxsize=256)  # one for each entry
def decode_options(options: str) -> dict[str, Any]:
    """What :func:`encode_options` was given; not to be changed."""
    decoded: dict[str, Any] = json.loads(options) if options else {}
    return decoded


def read_choice(options: str) -> list[str] | None:
    """The texts of :func:`encode_choice`; ``None`` where the reply is free."""
    choice: list[str] | None = decode_options(options).get("choice")
    return choice


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. ``finish`` is the protocol's finish reason; ``cached`` replies were paid for earlier.

    ``cached_tokens`` of the prompt were in the provider's prefix cache, ``reasoning_tokens`` of the completion were
    thoughts.
    """

    text: str
    finish: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    cached: bool = False
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def at_cost(self, usd: float) -> "Reply":
        """The same reply with its bill."""
        # Field by field, for every call has one: `replace` takes four times as long.
        tokens = self.prompt_tokens, self.completion_tokens
        return Reply(self.text, self.finish, *tokens, usd, self.cached, self.cached_tokens, self.reasoning_tokens)


class Model(Protocol):
    """Anything that answers requests: an endpoint, an engine, or a remote handle on one."""

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        """Answer. Raises :class:`LostCall` when only this call is lost, :class:`Refused` when no call can succeed."""
        ...


class Refused(Exception):
    """The provider refuses every call (bad key, unknown model, quota used up): the run stops and keeps what it has.

    ``failure.kind`` is ``auth``, ``unknown_model``, ``quota``, ``outage``, ``silent`` where a model's first calls were
    all lost, ``restarts`` where what serves it ends again and again, ``budget`` where the next call does not fit into
    the run's, or ``disk`` where its replies cannot be kept.
    ``entry`` is the model's name in the configuration, "" where it is not known.
    """

    def __init__(self, failure: Failure, entry: str = "") -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.entry = entry

    def __reduce__(self) -> tuple[type["Refused"], tuple[Failure, str]]:
        # Ray pickles errors, and by default an exception is rebuilt from the text given to Exception.__init__.
        return type(self), (self.failure, self.entry)


__all__ = [
    "Failure", "LostCall", "Model", "Pictures", "Refused", "Reply", "Request", "decode_options", "encode_choice",
    "encode_options", "read_choice",
]  # fmt: skip
