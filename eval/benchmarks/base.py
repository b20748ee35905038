"""Where a benchmark's records and pictures come from: a local folder, or the hub's files of the same layout.

Readers see one folder either way. Of the hub only the files of the split are fetched, and of a big archive of pictures
only the members that the split names.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from eval.benchmarks.archive import unpack_members
from eval.benchmarks.hub import fetch_snapshot, open_file
from eval.benchmarks.record import BenchmarkRecord, read_benchmark_records
from eval.config import BenchmarkConfig
from eval.types import Item
from mics_ray.errors import RefusedRun
from mics_ray.private_files import make_private_folder, write_private

SUFFIXES = (".parquet", ".jsonl", ".json", ".csv")


@dataclass
class Source:
    """One benchmark to read.

    ``root`` is its own local folder (``None``: the hub); ``pictures`` is a folder for pictures that do not lie there as
    files; ``context`` are the notes of a case that are told with its question (eval.context). ``picture_root`` is where
    ``Item.images`` lie once the items are read.
    """

    name: str
    config: BenchmarkConfig
    root: Path | None
    pictures: Path
    context: tuple[str, ...] = ()
    picture_root: Path = field(init=False)

    def __post_init__(self) -> None:
        self.picture_root = self.root or self.pictures

    @cached_property
    def base(self) -> Path:
        """The folder with the records: ``root``, or the hub's files in the cache of ``huggingface_hub``."""
        return self.root or self._fetch_split()

    def read_table(self, split: str, config: str | None = None) -> Iterator[BenchmarkRecord]:
        """The records of a split (of a configuration) in the order of the files.

        Files are ``SPLIT.EXT``, ``SPLIT-*.EXT`` or ``SPLIT/*.EXT`` in the folder, its ``data``, or the configuration's
        folder; EXT is parquet, jsonl, json or csv. Raises :class:`RefusedRun` when there is none, or one is damaged.
        """
        for file in self._split_files(split, config):
            yield from read_benchmark_records(file)

    def find_file(self, names: Sequence[str]) -> Path | None:
        """The first of some files that is there."""
        return next((self.base / name for name in names if (self.base / name).is_file()), None)

    def named_file(self, name: str) -> Path:
        """A file of records with a name of its own. Raises :class:`RefusedRun` when it is not there."""
        path = self.base / name
        if not path.is_file():
            raise RefusedRun(f"{self.name}: {path} is not there; check eval.root and the benchmark's folder")
        return path

    def store_embedded_picture(self, record: BenchmarkRecord, column: str) -> str:
        """The picture that a record holds as ``{bytes, path}``, written to ``pictures``; the relative path."""
        content = record.picture_bytes(column)
        # Named by content: equal pictures are one file, and one cluster of the intervals.
        name = hashlib.sha256(content).hexdigest()
        self.picture_root = self.pictures
        write_picture(self.pictures, name, content)
        return name

    def locate_pictures(self, names: Sequence[str], folders: Sequence[str], archive: str) -> dict[str, str]:
        """Relative paths of pictures that lie as files where their names say, or in one of ``folders``, or else in the
        zip file ``archive`` (of the folder, or of the hub), whose members they are unpacked from. A name found nowhere
        is left as it is."""
        if (folder := self._find_picture_folder(names, folders)) is not None:
            self.picture_root = self.base
            return {name: f"{folder}/{name}" if folder else name for name in names}
        self.picture_root = self.pictures
        # A second run reads nothing of the archive, which is gigabytes behind a network.
        if missing := [name for name in names if not (self.pictures / name).exists()]:
            unpack_members(
                self._open_archive(archive), missing, lambda name, content: write_picture(self.pictures, name, content)
            )
        return {name: name for name in names}

    def _find_picture_folder(self, names: Sequence[str], folders: Sequence[str]) -> str | None:
        """The folder that holds the first picture, "" for names that are whole paths; else one that is there at all."""
        holds = (one for one in ("", *folders) if names and (self.base / one / names[0]).is_file())
        found = next(holds, None)
        return next((one for one in folders if (self.base / one).is_dir()), None) if found is None else found

    def _open_archive(self, name: str) -> Any:
        """An archive to read from: the local file, or the hub's without fetching all of it."""
        if self.root is None:
            return open_file(str(self.config.hub), self.config.revision, name)
        if not (self.root / name).is_file():
            raise RefusedRun(f"{self.name}: neither a folder of pictures nor {name} in {self.root}")
        return open(self.root / name, "rb")

    def _split_files(self, split: str, config: str | None) -> list[Path]:
        folders = [self.base / config] if config else [self.base, self.base / "data"]
        for folder in folders:
            # The first kind that is there, never two: a set often lies in the same folder in several formats.
            for suffix in SUFFIXES:
                for pattern in (f"{split}{suffix}", f"{split}-*{suffix}", f"{split}/*{suffix}"):
                    if files := sorted(folder.glob(pattern)):
                        return files
        wanted = f"{split}.parquet, {split}-*.parquet (or jsonl, json, csv)"
        raise RefusedRun(f"{self.name}: no split {split!r} in {folders[0]}; there should be {wanted}")

    def _fetch_split(self) -> Path:
        """The hub's files of the split: the same layouts that a local folder may have."""
        # Patterns and not the whole repository: training splits are a hundred times larger.
        prefixes = [f"{name}/" for name in self.config.config] or ["", "data/"]
        patterns = [f"{prefix}{self.config.split}{rest}" for prefix in prefixes for rest in (".*", "-*", "/*")]
        return fetch_snapshot(str(self.config.hub), self.config.revision, patterns)


Reader = Callable[[Source], Iterator[Item]]


def open_source(
    name: str, config: BenchmarkConfig, root: str | None, pictures: Path, context: tuple[str, ...] = ()
) -> Source:
    """The source of a benchmark: ``root/FOLDER`` where ``root`` (eval.root) is given, else the hub.

    Raises :class:`RefusedRun` for a folder that is not there and for a benchmark that has neither.
    """
    if root is None:
        if config.hub is None:
            raise RefusedRun(f"{name}: is on no hub; give eval.root, a folder with the folder {config.folder or name}")
        return Source(name, config, None, pictures, context)
    folder = Path(root) / (config.folder or name)
    if not folder.is_dir():
        raise RefusedRun(f"{name}: no folder {folder}; give eval.root, a folder with one folder per benchmark")
    return Source(name, config, folder, pictures, context)


def write_picture(folder: Path, name: str, content: bytes) -> None:
    """Put a picture's bytes under ``folder``, once, readable by the owner only."""
    path = folder / name
    # What is there is whole, for it was written in one step.
    if not path.exists():
        make_private_folder(path.parent)
        write_private(path, content)
