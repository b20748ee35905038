"""Writing the files of an export: whole or not at all, readable by the owner only, ASCII whatever the locale reads."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mics_ray.private_files import make_private_folder, replace_file, write_private


@dataclass(slots=True)
class JsonlFile:
    """A file that is being written, one record a line; ``count`` of them so far."""

    file: BinaryIO
    count: int = 0

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record. Raises ``OSError``."""
        self.file.write(f"{json.dumps(record)}\n".encode("ascii"))
        self.count += 1


@contextmanager
def open_jsonl(path: Path) -> Iterator[JsonlFile]:
    """A file to write records to, which has its name once the block ends well. Raises ``OSError``."""
    make_private_folder(path.parent)
    with replace_file(path) as file:
        yield JsonlFile(file)


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write one record a line and return how many. Raises ``OSError`` with no file of this name left behind."""
    with open_jsonl(path) as file:
        for record in records:
            file.write(record)
    return file.count


def write_file(path: Path, content: str | bytes) -> None:
    """Replace a small file in one step, in a folder that is there afterwards. Raises ``OSError``."""
    make_private_folder(path.parent)
    write_private(path, content)
