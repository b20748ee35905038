"""The one place that keys are read from: the environment, or files that a cluster mounts. Standard library only."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mics_ray.config.schema import ModelConfig

DIRECTORY = "MICS_SECRETS_DIR"
"""The environment variable with the folder of mounted files, each named as the variable whose key it holds."""

HUB_TOKEN = "HF_TOKEN"  # a variable's name
HUB_TOKENS = (HUB_TOKEN, "HUGGING_FACE_HUB_TOKEN")
"""What the client of the hub takes its token from; only processes that fetch from it may have them."""
_held: dict[str, str] = {}


def drop_hub_tokens() -> None:
    """Take the hub's token out of this process' environment, and so out of what it starts."""
    for name in HUB_TOKENS:
        os.environ.pop(name, None)


@contextmanager
def hold_hub_token() -> Iterator[None]:
    """While this lasts the hub's token is no part of the environment, whatever is started; `read_hub_token` has it."""
    taken = {name: os.environ.pop(name) for name in HUB_TOKENS if name in os.environ}
    _held.update(taken)
    try:
        yield
    finally:
        for name in taken:
            os.environ[name] = _held.pop(name)


def read_hub_token() -> str | None:
    """The token for the hub: the one that is held, of the environment, or in the mounted file ``HF_TOKEN``."""
    held = (_held.get(name, "").strip() or read_key(name) for name in HUB_TOKENS)
    return next(filter(None, held), None)


def read_key(name: str) -> str | None:
    """The key that the environment variable ``name`` or the mounted file of that name holds; ``None`` for neither.

    White space around it, such as the line break at a secret's end, is no part of it.
    """
    if value := os.environ.get(name, "").strip():
        return value
    folder = os.environ.get(DIRECTORY)
    if not folder or not name.isidentifier():
        return None
    try:
        return (Path(folder) / name).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def list_key_names(entry: "ModelConfig") -> list[str]:
    """The names of the variables whose values ``entry`` sends."""
    return [*([entry.api_key_env] if entry.api_key_env else []), *entry.headers_env.values()]


def read_secret_headers(entries: "Mapping[str, ModelConfig]") -> dict[str, dict[str, str]]:
    """The values of the entries' ``headers_env``: by entry, by header. A variable that is not set is left out."""
    return {
        name: {header: key for header, variable in entry.headers_env.items() if (key := read_key(variable))}
        for name, entry in entries.items()
    }
