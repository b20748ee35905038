"""Writing the files of an export: whole or not at all, readable by the owner only, ASCII whatever the locale reads."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mics_ray.private_files import make_private_folder, replace_file, write_private


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write one record a line and return how many. Raises ``OSError`` with no file of this name left behind."""
    count = 0
    make_private_folder(path.parent)
    with replace_file(path) as file:
        for record in records:
            file.write(f"{json.dumps(record)}\n".encode("ascii"))
            count += 1
    return count


def write_file(path: Path, content: str | bytes) -> None:
    """Replace a small file in one step, in a folder that is there afterwards. Raises ``OSError``."""
    make_private_folder(path.parent)
    write_private(path, content)
