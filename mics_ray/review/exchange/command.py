"""``mics review export`` and ``mics review import``."""

from pathlib import Path

from rich.console import Console

from mics_ray.errors import EXIT_OK, RefusedRun
from mics_ray.review.chosen import Choice
from mics_ray.review.exchange.sending import FILES, send_review
from mics_ray.review.exchange.taking import read_filled, take_review
from mics_ray.review.marks.book import MarkBook
from mics_ray.review.marks.reviewers import check_reviewer, find_file, find_folder
from mics_ray.review.marks.store import open_store, read_marks
from mics_ray.review.run_source import open_source


def export_review(given: dict[str, str], choice: Choice, console: Console) -> int:
    """Write chains for another tool, with a reviewer's marks where ``reviewer`` is given; returns the exit code."""
    form, run = _read_form(given), open_source(Path(given["run.dir"]))
    book, name = MarkBook(), ""
    if "reviewer" in given:
        name = check_reviewer(run.folder, given["reviewer"])
        book = read_marks(find_file(run.folder, name)).book
    usual = find_folder(run.folder) / f"export-{form}{f'-{name}' if name else ''}"
    sent = send_review(run, form, Path(given.get("dir", usual)), choice, book)
    console.print(f"{sent.chains:,} chains   {sent.file.resolve()}   (its pictures lie beside it)", markup=False)
    if sent.not_shown:
        console.print(f"{sent.not_shown} pictures cannot be read and are left out", style="yellow")
    return EXIT_OK


def import_review(given: dict[str, str], console: Console) -> int:
    """Take the marks of a file into a reviewer's; returns the exit code."""
    form, run, path = _read_form(given), open_source(Path(given["run.dir"])), Path(given["file"])
    name = check_reviewer(run.folder, given["reviewer"])
    if not path.is_file():
        raise RefusedRun(f"file: there is no file {path}")
    filled = read_filled(form, path, given.get("completed_by"))
    with open_store(run.folder, name) as store:
        taken = take_review(run, path, filled, store)
    counts = f"{taken.fresh:,} new, {taken.replaced:,} in place of others of {name}, {taken.same:,} as they stood"
    console.print(f"{len(filled):,} marks read: {counts}", markup=False)
    return EXIT_OK


def _read_form(given: dict[str, str]) -> str:
    if given["format"] not in FILES:
        raise RefusedRun(f"format: write {' or '.join(FILES)}")
    return given["format"]
