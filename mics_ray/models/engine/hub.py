"""Weights from the hub: fetched once on a node, and whole or not believed.

The token is read here and goes to the hub's client alone; the engine gets a folder, and no token.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mics_ray.config.keys import HUB_TOKEN, drop_hub_tokens, read_hub_token
from mics_ray.config.schema import ModelConfig
from mics_ray.errors import RefusedRun
from mics_ray.models.engine.hub_errors import describe_hub_error
from mics_ray.proxies import shows_secrets

SMALL_FILES = ("*.json", "*.jinja", "*.model", "*.txt")
WEIGHTS = (*SMALL_FILES, "*.safetensors", "*.tiktoken")
CODE = ("*.py",)


def is_hub_id(model: str) -> bool:
    """Whether ``model`` means a repository of the hub, ``owner/name`` or ``name``; anything else means a folder."""
    path = Path(model)
    return not (path.is_dir() or path.is_absolute() or len(path.parts) > 2 or model.startswith((".", "embedded:")))


def fetch_model(config: ModelConfig) -> ModelConfig:
    """``config`` as an engine of this process starts from it: with the folder of its weights.

    The token is gone from the environment after this. Raises :class:`RefusedRun`.
    """
    if is_hub_id(config.model):
        config = replace(config, model=str(fetch_weights(config.model, config.revision, config.trust_remote_code)))
    drop_hub_tokens()
    return config


def fetch_weights(model: str, revision: str | None, with_code: bool = False) -> Path:
    """The folder that holds all that serving ``model`` takes, fetched where it is not there.

    Processes of one node that want the same model wait for each other. Raises :class:`RefusedRun`.
    """
    with _turn_on_node(model, revision):
        return fetch_files(model, revision, (*WEIGHTS, *(CODE if with_code else ())))


def fetch_files(model: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """The folder with the files of ``model`` that ``patterns`` name. Raises :class:`RefusedRun`."""
    from huggingface_hub import get_token, snapshot_download

    token = read_hub_token() or get_token()
    _refuse_to_show(token)
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=list(patterns), token=token or False))
    except Exception as error:  # the client's own errors, those of its transport and the disk's have no common base
        if (said := describe_hub_error(error, revision, bool(token))) is None:
            raise
        raise RefusedRun(f"{model}: {said}") from None


def _refuse_to_show(token: str | None) -> None:
    from huggingface_hub import constants

    if token and shows_secrets(constants.ENDPOINT):
        raise RefusedRun(f"HF_ENDPOINT: plain http would show {HUB_TOKEN} to the network; use https")


@contextmanager
def _turn_on_node(model: str, revision: str | None) -> Iterator[None]:
    """While this lasts no other process of this user on this node fetches the same model; ends with the process."""
    from huggingface_hub import constants

    digest = hashlib.sha256(f"{constants.HF_HUB_CACHE}\0{model}\0{revision}".encode()).hexdigest()[:16]
    path = os.path.join(tempfile.gettempdir(), f"mics-ray-{os.getuid()}-fetch-{digest}.lock")
    try:
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:  # a full /tmp: the hub's client has locks of its own, for each file
        yield
        return
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
