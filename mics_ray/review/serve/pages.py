"""The files of the page: the chains that a reviewer is given, in the form of a report's cases."""

import shutil
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rich.text import Text

from mics_ray.core.display import make_one_line
from mics_ray.private_files import make_private_folder
from mics_ray.review.case_notes import CaseNotes, read_case_notes
from mics_ray.review.chosen import Choice, choose_rows
from mics_ray.review.data.chunks import LIST_ENTRIES, CaseChunks
from mics_ray.review.marks.chain import list_targets
from mics_ray.review.marks.mark import Target
from mics_ray.review.marks.reviewers import find_folder
from mics_ray.review.page.build import REVIEW_SCRIPTS, PageContent, build_review_page, list_assets
from mics_ray.review.page.pictures import PictureFiles
from mics_ray.review.report_folder import batch_rows, make_writer, write_assets, write_text
from mics_ray.review.run_source import RunSource
from mics_ray.review.serve.server import PAGE
from mics_ray.runtime.monitor.progress import Progress

LARGE = 500
"""Chains from which on it is told how far the page is."""


@contextmanager
def make_page_folder(run: Path, reviewer: str) -> Iterator[Path]:
    """An empty folder for the page, removed at the end; what a killed process left is removed. Under the store's lock,
    which lets one process of this reviewer in."""
    folder = find_folder(run) / f".{reviewer}.page"
    shutil.rmtree(folder, ignore_errors=True)
    make_private_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_pages(
    run: RunSource, folder: Path, reviewer: str, choice: Choice, marked: Collection[str]
) -> dict[str, list[Target]]:
    """Write the page; the targets of each case, in the order of the review.

    Cases of ``marked``, which the reviewer has marked already, are among them whatever is chosen. Raises
    :class:`RefusedRun` where the run keeps no chain, ``OSError``.
    """
    chosen = choose_rows(run, choice, marked)
    chunks = CaseChunks("a", make_writer(folder))
    pictures = PictureFiles(folder, run.find_pictures(), run.read_view())
    with read_case_notes((run.config.get("data") or {}).get("cases"), folder / "notes.sqlite") as notes:
        targets = _write_cases(chosen.iter_rows(), len(chosen.order), chunks, pictures, notes)
    write_assets(folder, list_assets(REVIEW_SCRIPTS))
    write_text(folder / PAGE, build_review_page(_describe_page(run, reviewer, chunks, notes.problem)))
    return targets


def _write_cases(
    rows: Iterator[dict[str, Any]], total: int, chunks: CaseChunks, pictures: PictureFiles, notes: CaseNotes
) -> dict[str, list[Target]]:
    targets: dict[str, list[Target]] = {}
    with closing(Progress()) as progress:
        for batch in batch_rows(rows):
            for row, shown in zip(batch, pictures.add_pictures(batch), strict=True):
                chunks.add_row(row, shown, notes.find_notes(row))
                targets[row["case_id"]] = list_targets(row)
            if total >= LARGE:
                progress.show_line(chunks.count, total, Text(f"{chunks.count:,} of {total:,} chains prepared"))
    chunks.close()
    return targets


def _describe_page(run: RunSource, reviewer: str, chunks: CaseChunks, no_notes: str) -> PageContent:
    warnings = run.list_warnings()
    if no_notes:
        warnings.append(f"Of the case notes only the context is shown: {make_one_line(no_notes)}.")
    name = make_one_line(run.name)
    needed: dict[str, Any] = {
        "name": name,
        "against": None,
        "sides": {"a": {"count": chunks.count, "first": chunks.first, "lists": chunks.lists}},
        "list_entries": LIST_ENTRIES,
        "outcomes": [],
        "review": {"reviewer": reviewer, "cases": chunks.count},
    }
    return PageContent(f"Review by {reviewer}: run {name}", warnings, (), (), (), needed)
