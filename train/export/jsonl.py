"""Writing the files of an export: whole or not at all, readable by the owner only, ASCII whatever the locale reads."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write one record a line and return how many. Raises ``OSError`` with no file of this name left behind."""
    count = 0
    temporary = _temporary(path)
    try:
        with open(temporary, "w", encoding="ascii", newline="\n", opener=open_private) as file:
            for record in records:
                file.write(json.dumps(record) + "\n")
                count += 1
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def write_text(path: Path, text: str) -> None:
    """Replace a small file in one step."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file in one step."""
    temporary = _temporary(path)
    try:
        with open(temporary, "wb", opener=open_private) as file:
            file.write(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """Create a folder below one that is there, mode 0700 whatever the umask."""
    for folder in [*reversed(path.parents), path]:
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o700)
    return path


def open_private(path: str, flags: int) -> int:
    """An opener for files that only their owner can read, whatever the umask."""
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _temporary(path: Path) -> Path:
    """A name beside ``path``, in a folder that is there afterwards."""
    make_folder(path.parent)
    return path.with_name(f".{path.name}.tmp")
