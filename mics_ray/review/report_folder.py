"""The folder of a report: written beside the one that is there, and put in its place when it is whole; its files."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from mics_ray.errors import LockedRun
from mics_ray.jobs.lock import LockHeld, RunLock
from mics_ray.private_files import make_private_folder, write_private
from mics_ray.review.data.chunks import Write, wrap_script

REPORT = "report"
"""In the run's folder; ``report.html`` beside it is the same in one file."""
LOCK = ".report.lock"
BATCH = 64
"""Rows in memory at a time; their pictures are decoded side by side."""


@contextmanager
def replace_report(run: Path) -> Iterator[Path]:
    """A new folder to write a report into; it takes the place of ``run/report`` when the block ends well.

    What a killed report left is removed, or, where it fell between both renames, put back. One report at a time is
    made of a run. Raises :class:`LockedRun`, ``OSError``.
    """
    place, fresh, old = (run / f"{REPORT}{ending}" for ending in ("", ".tmp", ".old"))
    try:
        lock = RunLock(run / LOCK)
    except LockHeld:
        raise LockedRun(f"another report is being made in {run}; wait for it") from None
    with lock:
        if old.exists() and not place.exists():
            old.rename(place)
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        make_private_folder(fresh)
        try:
            yield fresh
            if place.exists():
                place.rename(old)
            fresh.rename(place)
        finally:
            for leftover in (fresh, old):
                shutil.rmtree(leftover, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a file of a report, its folder made where it is missing; readable by its owner only."""
    if not path.parent.is_dir():
        make_private_folder(path.parent)
    write_private(path, text)


def write_assets(folder: Path, assets: Mapping[str, str]) -> None:
    """Write the scripts and styles that go beside a page."""
    for name, text in assets.items():
        write_text(folder / "assets" / name, text)


def make_writer(folder: Path) -> Write:
    """What writes the pieces of a page's data into its folder."""

    def write(name: str, text: str) -> None:
        write_text(folder / "data" / f"{name}.js", wrap_script(name, text))

    return write


def batch_rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Rows, :data:`BATCH` at a time."""
    left = iter(rows)
    while batch := list(islice(left, BATCH)):
        yield batch
