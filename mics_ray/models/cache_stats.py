"""What a response cache holds: entries, bytes, tokens and ages, by file and model. Reads no text, holds no row."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from mics_ray.models.cache_file import connect_reader, layout

_BY_MODEL = """SELECT model, COUNT(*), SUM(size), SUM(prompt_tokens), SUM(completion_tokens),
    MIN(NULLIF(stored, 0)), MAX(NULLIF(stored, 0)) FROM {rows} GROUP BY model"""


@dataclass(slots=True)
class Tally:
    """Replies of one model: ``text_bytes`` of their texts, Unix seconds of the first and last (``None``: not noted)."""

    entries: int = 0
    text_bytes: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    oldest: int | None = None
    newest: int | None = None

    def add(self, other: "Tally") -> None:
        """Count ``other`` in."""
        self.entries += other.entries
        self.text_bytes += other.text_bytes
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.oldest = min((at for at in (self.oldest, other.oldest) if at is not None), default=None)
        self.newest = max((at for at in (self.newest, other.newest) if at is not None), default=None)


@dataclass(slots=True)
class FileStats:
    """One file: its bytes on the disk, journal included, and its replies by model; ``problem`` where it is damaged."""

    name: str
    disk_bytes: int
    models: dict[str, Tally] = field(default_factory=dict)
    problem: str | None = None


def files(folder: Path) -> list[Path]:
    """The files of a cache, in order of their names; those that were set aside are not among them."""
    return sorted(folder.glob("*.sqlite"))


def disk_bytes(path: Path) -> int:
    """A file's bytes on the disk, its journals included."""
    return sum(one.stat().st_size for suffix in ("", "-wal", "-journal") if (one := Path(f"{path}{suffix}")).exists())


def stats(folder: Path) -> list[FileStats]:
    """Look into every file; a run may be writing meanwhile."""
    return [_file(path) for path in files(folder)]


def by_model(found: list[FileStats]) -> dict[str, Tally]:
    """The same over all files."""
    total: dict[str, Tally] = {}
    for file in found:
        for model, tally in file.models.items():
            total.setdefault(model, Tally()).add(tally)
    return dict(sorted(total.items()))


def _file(path: Path) -> FileStats:
    found = FileStats(path.name, disk_bytes(path))
    try:
        connection = connect_reader(path)
        try:
            rows = connection.execute(_BY_MODEL.format(rows=layout(connection).rows))
            found.models = {model: Tally(*values) for model, *values in rows}
        finally:
            connection.close()
    except sqlite3.Error as error:
        found.problem = str(error)
    return found
