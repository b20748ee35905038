"""What stands in the README of speed is what the benchmarks measured, and was written by the script."""

import re
from pathlib import Path

import pytest

from benchmarks.harness.readme import BEGIN, END, RESULTS, build_table, put_table
from benchmarks.harness.results import iter_lines, read_results
from benchmarks.harness.suite import SUITE

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGE = (ROOT / "benchmarks/RESULTS.md").read_text()
TABLE = README.partition(BEGIN)[2].partition(END)[0]
FIGURE = re.compile(r"\d[\d,.]*(?: ?(?:ms|x)\b)?")


def read_cells(table: str) -> list[str]:
    """The figures of a table's rows, its head left out."""
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [figure for row in rows for cell in row.split("|")[2:] for figure in FIGURE.findall(cell)]


def test_each_figure_of_the_readme_is_a_result() -> None:
    found = read_cells(TABLE)
    assert len(found) >= 10
    for figure in found:
        assert re.search(rf"\| {re.escape(figure)}(?: calls/s)? \|", PAGE), figure


def test_both_pages_are_what_the_script_writes_from_the_raw_figures() -> None:
    results = read_results(RESULTS)
    assert put_table(README, build_table(results)) == README
    assert "\n".join(iter_lines(results)) + "\n" == PAGE


def test_a_readme_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="the README has no line"):
        put_table(README.replace(END, ""), "| |")


def test_the_suite_is_what_its_folder_holds() -> None:
    """A benchmark that nobody runs would be forgotten."""
    assert set(SUITE) == {path.stem for path in (ROOT / "benchmarks/suite").glob("*.py")} - {"__init__"}
