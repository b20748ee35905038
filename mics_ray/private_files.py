"""Files and folders that their owner alone can read, each there whole or not at all. The standard library only.

It lies beside `errors` at the bottom, for `io` and `models`, which do not know each other, both write such files.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


def open_private(path: str, flags: int) -> int:
    """An ``opener`` for :func:`open`: the file has mode 0600, whatever the umask and whoever made it before."""
    descriptor = os.open(path, flags, 0o600)
    # A umask of 0o277 would make it unreadable to ourselves, and an older file keeps the mode that it had.
    os.fchmod(descriptor, 0o600)
    return descriptor


def open_append(path: str, flags: int) -> int:
    """An ``opener`` for files that grow over many runs: made with mode 0600; the mode of one that is there is its
    owner's own choice, and perhaps not ours to change."""
    return os.open(path, flags, 0o600)


def create_private(path: Path) -> None:
    """Make an empty file of mode 0600, before a library that knows no modes opens it. One that is there stays."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def make_private_folder(path: Path) -> None:
    """Make a folder and what its path lacks, mode 0700 whatever the umask; a folder that is there stays as it is."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)  # another process may make it at the same moment
        folder.chmod(0o700)


@contextmanager
def replace_file(path: Path, sync: bool = False) -> Iterator[BinaryIO]:
    """A file beside ``path`` to write to; it takes the place of ``path`` in one step when the block ends well.

    With ``sync`` it is on the disk by then. Raises ``OSError`` with ``path`` as it was.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with open(temporary, "wb", opener=open_private) as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_private(path: Path, content: str | bytes) -> None:
    """Replace a small file in one step. Raises ``OSError``."""
    with replace_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk: a renamed file may otherwise be lost with the power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a small JSON file; empty where there is none, or where a loss of power or a full disk cut it off:
    what cannot be read says nothing, and what it said is worked out again."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
