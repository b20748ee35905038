"""``mics review summary``: what the marks of all reviewers come to, on the terminal."""

from rich.console import Console

from mics_ray.command_line import make_table
from mics_ray.errors import RefusedRun
from mics_ray.review.run_source import RunSource
from mics_ray.review.summary.collect import ReviewTally, read_books
from mics_ray.review.summary.figures import list_tables


def tally_reviews(run: RunSource) -> ReviewTally:
    """The marks of a run's reviewers beside its rows. Raises :class:`RefusedRun`."""
    tally = ReviewTally(read_books(run.folder))
    if tally.books:
        for row in run.iter_rows():
            tally.add_row(row)
    return tally


def print_summary(run: RunSource, console: Console) -> None:
    """Print all tables. Raises :class:`RefusedRun` where nothing is marked."""
    tables = list_tables(tally_reviews(run))
    if not tables:
        raise RefusedRun(
            f"no chain of {run.folder} is marked; mics review run.dir={run.folder} reviewer=NAME does that"
        )
    for told in tables:
        table = make_table(told.title, *told.head)
        for row in told.rows:
            table.add_row(*row)
        console.print(table)
        console.print(told.words, style="dim", markup=False)
        console.print()
