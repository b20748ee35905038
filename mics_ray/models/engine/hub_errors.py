"""Why the hub, the way to it or the disk does not give a model: one line that says what to do, and shows no token."""

import errno
import os
from collections.abc import Sequence
from typing import Any

from mics_ray.config.keys import HUB_TOKEN

_FULL = (errno.ENOSPC, errno.EDQUOT)


def describe_hub_error(error: BaseException, revision: str | None, token: bool) -> str | None:
    """What stands after the model's name; ``None`` for an error of neither hub, network nor disk.

    ``token``: whether one was sent.
    """
    from huggingface_hub import errors

    chain = _list_causes(error)
    for link in chain:
        if isinstance(link, errors.GatedRepoError):
            return f"gated on the hub; ask for access on its page, and {_advise_token(token)}"
        if isinstance(link, errors.RevisionNotFoundError):
            return f"the hub has no revision {(revision or 'main')[:80]!r} of it; give a branch, a tag or a commit"
        if isinstance(link, errors.RepositoryNotFoundError):
            return f"no such folder, and the hub has no such model, or it is private: {_advise_token(token)}"
        if isinstance(link, errors.OfflineModeIsEnabled):
            return (
                f"no such folder, HF_HUB_OFFLINE is set, and {_lacks(revision)}; `mics fetch` where there is a network"
            )
    return _describe_answer(chain, errors.HfHubHTTPError, token) or _describe_failure(chain, revision)


def _describe_answer(chain: Sequence[BaseException], kind: type[Any], token: bool) -> str | None:
    status = next((link.response.status_code for link in chain if isinstance(link, kind)), None)
    if status in (401, 403):
        return f"the hub does not allow it ({status}): {_advise_token(token)}"
    if status == 429:
        return "the hub asks to be left alone for a while (429); the same command goes on"
    return None if status is None else f"the hub answers {status}; the same command goes on"


def _describe_failure(chain: Sequence[BaseException], revision: str | None) -> str | None:
    """Of the transport, of the disk, of the name."""
    import httpx2
    from huggingface_hub import constants, errors

    for link in chain:
        if isinstance(link, httpx2.ProxyError):
            return "the proxy of the environment does not lead to the hub (see https_proxy)"
        if isinstance(link, httpx2.ConnectError | httpx2.ConnectTimeout):
            return f"cannot reach {constants.ENDPOINT}, and {_lacks(revision)}"
        if isinstance(link, httpx2.TransportError) or "onsistency check failed" in str(link):
            return "the download broke off; the same command goes on where it stopped"
        if isinstance(link, errors.FileMetadataError):
            return f"{constants.ENDPOINT} does not answer as the hub does (see HF_ENDPOINT, https_proxy)"
        if said := _describe_disk(link):
            return said
    if isinstance(chain[0], errors.IncompleteSnapshotError | errors.LocalEntryNotFoundError):
        return f"no such folder, and {_lacks(revision)}"
    if isinstance(chain[0], errors.HFValidationError):
        return "no such folder, and no id of the hub (owner/name)"
    return None


def _describe_disk(error: BaseException) -> str | None:
    from huggingface_hub import constants

    if not isinstance(error, OSError) or error.errno is None:
        return None  # the client's own
    if error.filename is None and error.errno not in _FULL:
        return None  # of a socket
    room = "is full; HF_HOME names another" if error.errno in _FULL else "cannot be written to; see HF_HOME"
    return f"{constants.HF_HUB_CACHE} {room} ({os.strerror(error.errno)})"


def _list_causes(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (link := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(link)
    return chain


def _lacks(revision: str | None) -> str:
    from huggingface_hub import constants

    return f"{constants.HF_HUB_CACHE} does not hold {revision[:80] if revision else 'it'} whole"


def _advise_token(token: bool) -> str:
    if token:
        return f"the token that is set does not see it ({HUB_TOKEN})"
    return f"set {HUB_TOKEN} to a token that sees it"
