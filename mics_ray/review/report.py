"""A run's report: its rows are streamed once into the page's data and the charts' figures, then the page is built."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.text import Text

from mics_ray.errors import RefusedRun
from mics_ray.private_files import write_private
from mics_ray.review.case_notes import CaseNotes, read_case_notes
from mics_ray.review.data.chunks import CaseChunks
from mics_ray.review.data.tally import RunTally
from mics_ray.review.other_run import OtherRun
from mics_ray.review.page.build import DrawnChart, PageContent, build_page, list_assets
from mics_ray.review.page.content import describe_run
from mics_ray.review.page.draw import draw_chart
from mics_ray.review.page.pictures import PictureFiles
from mics_ray.review.page.single import join_report
from mics_ray.review.report_folder import REPORT, batch_rows, make_writer, replace_report, write_assets, write_text
from mics_ray.review.run_source import RunSource
from mics_ray.review.summary.collect import ReviewTally, read_books
from mics_ray.review.summary.figures import list_review_charts, list_tables
from mics_ray.runtime.monitor.progress import Progress

LARGE = 2_000
"""Cases from which on it is told how far a report is."""
PAGE, SINGLE = "index.html", f"{REPORT}.html"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MadeReport:
    """``single`` is the page in one file; where there is none, ``why_not`` says why.

    ``not_shown`` counts pictures that could not be read.
    """

    page: Path
    single: Path | None
    why_not: str
    cases: int
    not_shown: int


def make_report(run: RunSource, against: RunSource | None = None) -> MadeReport:
    """Write ``run.dir/report`` and, for a small run, ``run.dir/report.html``.

    Raises :class:`RefusedRun`, :class:`mics_ray.errors.LockedRun`, ``OSError``; the report that was there stays then.
    """
    with replace_report(run.folder) as folder:
        write = make_writer(folder)
        other = None if against is None else OtherRun(against, CaseChunks("b", write))
        if other is not None:
            other.read_cases()
        written = WrittenCases(
            RunTally(),
            ReviewTally(read_books(run.folder)),
            CaseChunks("a", write),
            PictureFiles(folder, run.find_pictures(), run.read_view()),
        )
        with read_case_notes((run.config.get("data") or {}).get("cases"), folder / "notes.sqlite") as notes:
            written.write_cases(run, notes, other)
        if other is not None and not other.pairs.pairs:
            raise RefusedRun(
                f"against: no case of {run.folder} is in {other.source.folder} with the same question and pictures"
            )
        content = _add_reviews(describe_run(run, written.tally, written.chunks, other, notes.problem), written.reviews)
        _write_page(folder, content)
        single = join_report(folder, content, written.chunks.count)
    place = run.folder / SINGLE
    if single.text is None:
        place.unlink(missing_ok=True)  # of an earlier report: it would show another state of the run
    else:
        write_private(place, single.text)
    shown = None if single.text is None else place
    counts = written.chunks.count, written.pictures.not_shown
    return MadeReport(run.folder / REPORT / PAGE, shown, single.why_not, *counts)


@dataclass(frozen=True, slots=True)
class WrittenCases:
    """Where rows go: the charts' figures, the page's data, the folder of pictures."""

    tally: RunTally
    reviews: ReviewTally
    chunks: CaseChunks
    pictures: PictureFiles

    def write_cases(self, run: RunSource, notes: CaseNotes, other: OtherRun | None) -> None:
        """Take all rows of a run, a few in memory at a time."""
        total, progress = int(run.summary.get("cases") or 0), Progress()
        with closing(progress):
            for rows in batch_rows(run.iter_rows()):
                for row, shown in zip(rows, self.pictures.add_pictures(rows), strict=True):
                    self.tally.add_row(row)
                    self.reviews.add_row(row)
                    paired = other.pair_row(row) if other is not None else {}
                    self.chunks.add_row(row, shown, notes.find_notes(row), paired)
                _show_progress(progress, self.chunks.count, total)
        self.chunks.close()


def _show_progress(progress: Progress, done: int, total: int) -> None:
    # A small run is done before a line could be read.
    if done >= LARGE:
        progress.show_line(done, total, Text(f"{done:,} of {max(total, done):,} cases read"))


def _add_reviews(content: PageContent, reviews: ReviewTally) -> PageContent:
    """The page with what people say of its chains."""
    charts = [DrawnChart(chart, f"charts/{chart.name}.svg") for chart in list_review_charts(reviews)]
    return replace(content, tables=[*content.tables, *list_tables(reviews)], charts=[*content.charts, *charts])


def _write_page(folder: Path, content: PageContent) -> None:
    write_assets(folder, list_assets())
    for one in content.charts:
        write_text(folder / one.picture, draw_chart(one.chart))
    write_text(folder / PAGE, build_page(content))
