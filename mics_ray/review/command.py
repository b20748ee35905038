"""``mics report`` and ``mics show``: from a command line to an exit code."""

import difflib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from rich.console import Console

from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, EXIT_STOPPED, RefusedRun
from mics_ray.review.run_source import RunSource, open_source
from mics_ray.review.settings import run_settings

REPORT_HELP = """\
Write what people look at: run.dir/report/index.html, to be opened in a browser from the disk, without a network.

  mics report run.dir=FOLDER                   the run: its charts, its cases, each with its search tree
  mics report run.dir=FOLDER against=FOLDER    beside another run of the same cases

A small run (1,000 cases, 10 MB) is also one file that can be sent: run.dir/report.html. Both hold medical text and
pictures. A report that is there is replaced when the new one is whole.

Exit codes: 0 written, 73 another report is being made, 74 cannot write, 75 stopped, 78 no run there.
"""
SHOW_HELP = """\
Print one case of a run: its question, its search tree with the chosen path marked by *, its chain.

  mics show run.dir=FOLDER case=ID

Exit codes: 0 shown, 78 no such run or case.
"""
SUGGESTED = 20_000
"""Ids among which the nearest to a mistyped one is looked for."""


def run_report(argv: Sequence[str]) -> int:
    """Write a run's report; returns the exit code."""
    return run_settings(argv, REPORT_HELP, ("run.dir",), ("against",), _report)


def run_show(argv: Sequence[str]) -> int:
    """Show a case on the terminal; returns the exit code."""
    return run_settings(argv, SHOW_HELP, ("run.dir", "case"), (), _show)


def _report(given: dict[str, str]) -> int:
    run = open_source(Path(given["run.dir"]))
    against = open_source(Path(given["against"]), "against") if "against" in given else None
    if against is not None and against.folder.resolve() == run.folder.resolve():
        raise RefusedRun("against: the run itself; give another run of the same cases")
    from mics_ray.review.report import make_report

    console = Console(highlight=False, soft_wrap=True)
    try:
        made = make_report(run, against)
    except KeyboardInterrupt:
        console.print(
            "stopped; a report that was there is as it was, and the same command makes a new one", style="yellow"
        )
        return EXIT_STOPPED
    except OSError as error:
        console.print(f"cannot write {error.filename or run.folder}: {error.strerror}", style="red", markup=False)
        return EXIT_CANNOT_WRITE
    if made.not_shown:
        told = f"{made.not_shown} pictures are named and not shown: the page says why at each"
        console.print(told, style="yellow", markup=False)
    console.print(f"report   {made.page.resolve()}   ({made.cases:,} cases; open it in a browser)", markup=False)
    one = f"{made.single.resolve()}   (the same in one file)" if made.single else f"none in one file: {made.why_not}"
    console.print(f"         {one}", markup=False)
    return EXIT_OK


def _show(given: dict[str, str]) -> int:
    from mics_ray.runtime.monitor.case_view import draw_case

    run = open_source(Path(given["run.dir"]))
    row = next((row for row in run.iter_rows() if row["case_id"] == given["case"]), None)
    if row is None:
        raise RefusedRun(f"case: {run.folder} has no case {given['case'][:80]}{_suggest_id(run, given['case'])}")
    Console(highlight=False).print(draw_case(row))
    return EXIT_OK


def _suggest_id(run: RunSource, wanted: str) -> str:
    ids = [row["case_id"] for row in islice(run.iter_rows(["case_id"]), SUGGESTED)]
    close = difflib.get_close_matches(wanted, ids, n=1, cutoff=0.3)
    return f"; did you mean {close[0][:80]}?" if close else f"; the first is {ids[0][:80]}"
