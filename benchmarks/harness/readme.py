"""The README's table, written between two marks from ``results.json``: nobody types its figures.

``python -m benchmarks.harness.readme`` writes it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness.figures import Figure
from benchmarks.harness.results import ROOT, Results, format_value, list_figures, read_results
from benchmarks.suite.peers import NAMES, REFERENCE, THIS

BEGIN, END = "<!-- figures of benchmarks/results.json: begin -->", "<!-- figures: end -->"
RESULTS = ROOT / "benchmarks/results.json"
SPEED_UP = {THIS: "speed-up over the reference", NAMES[4]: "bare aiohttp loop: speed-up over the reference"}
LABELS = {
    REFERENCE: "the reference's way: one call in flight",
    NAMES[4]: "bound: a bare aiohttp loop, nothing but calls",
}
ORDER = (REFERENCE, NAMES[1], NAMES[3], NAMES[2], THIS, NAMES[4])
MISSING = "-"


def build_table(results: Results) -> str:
    """The table and a line of what it was measured on."""
    return "\n".join(iter_table(results))


def iter_table(results: Results) -> Iterator[str]:
    """Its lines."""
    figures = {(one.key, one.name): one for one in list_figures(results)}
    yield "| | independent calls a second | CPU a call | searching 100 cases, over the reference |"
    yield "|---|---:|---:|---:|"
    for name in ORDER:
        cells = [
            tell_cell(figures.get(("B11", f"calls a second: {name}"))),
            tell_cell(figures.get(("B11", f"CPU a call: {name}"))),
            tell_cell(figures.get(("B3", SPEED_UP.get(name, "")))),
        ]
        label = LABELS.get(name, name)
        yield f"| {f'**{label}**' if name == THIS else label} | {' | '.join(cells)} |"
    yield ""
    quick = any(found["quick"] for found in results["benchmarks"].values())
    note = "; small sizes, no figures to quote" if quick else ""
    machine = results["machine"]
    yield f"Medians of one `make bench` on {machine['cores']} cores{note}; all of it: [RESULTS](benchmarks/RESULTS.md)."


def tell_cell(one: Figure | None) -> str:
    """A median with its unit, as RESULTS.md has it."""
    if one is None or one.median is None:
        return MISSING
    doubt = "" if one.valid else " (busy machine)"
    return f"{format_value(one.median)} {one.unit.removesuffix('calls/s')}".strip() + doubt


def put_table(readme: str, table: str) -> str:
    """The page with this table between its marks. Raises ``ValueError`` where they are missing."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no line {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def write_readme(path: Path = ROOT / "README.md") -> None:
    """From the results that are there."""
    path.write_text(put_table(path.read_text(), build_table(read_results(RESULTS))))


if __name__ == "__main__":
    write_readme(*map(Path, sys.argv[1:]))
