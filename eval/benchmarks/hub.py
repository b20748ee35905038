"""The hub of Hugging Face: the files of a data set that are wanted, and no others."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mics_ray.config.keys import read_hub_token
from mics_ray.errors import RefusedRun


def fetch_snapshot(hub: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """A folder with the files of the data set ``hub`` that match ``patterns``, in the library's own cache.

    Raises :class:`RefusedRun` when the hub cannot be reached and the files are not in the cache.
    """
    from huggingface_hub import snapshot_download

    return Path(
        _reach_hub(
            hub,
            lambda: snapshot_download(
                hub,
                repo_type="dataset",
                revision=revision,
                allow_patterns=list(patterns),
                token=read_hub_token(),
            ),
        )
    )


def open_file(hub: str, revision: str | None, name: str) -> Any:
    """A seekable binary file on the hub, of which only what is read is fetched. Raises :class:`RefusedRun`."""
    from huggingface_hub import HfFileSystem

    return _reach_hub(hub, lambda: HfFileSystem().open(f"datasets/{hub}/{name}", "rb", revision=revision))


def _reach_hub(hub: str, call: Callable[[], Any]) -> Any:
    from httpx import HTTPError

    try:
        return call()
    except (OSError, ValueError, HTTPError) as error:
        raise RefusedRun(
            f"{hub}: cannot be fetched from the hub ({type(error).__name__}); go online, or give eval.root, a folder "
            "with one folder per benchmark"
        ) from None
