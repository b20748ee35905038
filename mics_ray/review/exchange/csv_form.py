"""A table for any spreadsheet: a line for each step and one for each chain; ``verdict``, ``comment`` are filled in."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from mics_ray.review.exchange.items import WHOLE, FilledMark, SentChain, read_step, refuse_file
from mics_ray.review.marks.mark import Target

FILE = "marks.csv"
HEAD = ("case_id", "chain", "step", "text", "verdict", "comment", "question", "answer", "context", "pictures")
NEEDED = ("case_id", "chain", "step", "verdict", "comment")
# A spreadsheet takes a cell that begins so for a formula, and works it out.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MOST_CELL = 10_000_000


def format_csv(chains: Iterable[SentChain]) -> str:
    """The table as text."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(HEAD)
    for chain in chains:
        for target in chain.targets:
            table.writerow(map(guard_cell, _list_cells(chain, target)))
    return out.getvalue()


def _list_cells(chain: SentChain, target: Target) -> list[str]:
    row = chain.row
    text = row["final_answer"] if target.step is None else row["steps"][target.step - 1]
    step = WHOLE if target.step is None else str(target.step)
    return [
        target.case_id, target.chain, step, text, *chain.tell_mark(target), row["question"],
        row["answer"], row["context"], "\n".join(chain.pictures),
    ]  # fmt: skip


def guard_cell(text: str) -> str:
    """A cell that no spreadsheet works out; :func:`read_cell` gives the text again."""
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def read_cell(text: str) -> str:
    """The text of a cell of :func:`guard_cell`."""
    return text[1:] if text.startswith("'") and text[1:].startswith((*_FORMULA, "'")) else text


def read_csv(path: Path) -> list[FilledMark]:
    """What a filled table says, empty lines left out. Raises :class:`~mics_ray.errors.RefusedRun`, ``OSError``.

    Separated by commas, semicolons or tabs, as spreadsheets save in different countries.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refuse_file(path, ["it is not UTF-8: save it as “CSV UTF-8”"]) from None
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    csv.field_size_limit(_MOST_CELL)
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        names = table.fieldnames or ()
    except csv.Error:
        raise refuse_file(path, ["line 1 is no line of a table"]) from None
    if missing := [name for name in NEEDED if name not in names]:
        raise refuse_file(path, [f"its first line lacks {', '.join(missing)}"])
    found: list[FilledMark] = []
    problems = []
    for line, cells in _iter_lines(table, path):
        try:
            found += _read_line(line, cells)
        except ValueError:
            problems.append(f"line {line}: step is neither a number nor “{WHOLE}”")
    if problems:
        raise refuse_file(path, problems)
    return found


def _iter_lines(table: "csv.DictReader[str]", path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        for cells in table:
            yield table.line_num, {name: read_cell(cells.get(name) or "") for name in NEEDED}
    except csv.Error:
        raise refuse_file(path, [f"line {table.line_num} is no line of a table"]) from None


def _read_line(line: int, cells: dict[str, str]) -> list[FilledMark]:
    # A spreadsheet writes its own line ends into cells of several lines.
    verdict, comment = cells["verdict"].strip().lower(), cells["comment"].replace("\r\n", "\n")
    if not verdict and not comment:
        return []
    target = Target(cells["case_id"], cells["chain"].strip(), read_step(cells["step"]))
    return [FilledMark(f"line {line}", target, verdict or None, comment)]
