"""What the report's page is given of small searches: `page_data/`.

Where a difference is meant: `pytest tests/golden --regenerate-golden`.
"""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mics_ray.core.mics import Mics
from mics_ray.core.search import search_case
from mics_ray.core.types import Case, Usage
from mics_ray.io.rows import Stamp, result_row
from mics_ray.review.data.case_data import describe_case
from mics_ray.review.data.case_list import describe_entry
from mics_ray.review.data.figures import list_charts
from mics_ray.review.data.pairs import PairTally, note_case
from mics_ray.review.data.tally import RunTally
from mics_ray.testing import lose_call, script_panel, write_steps

STORED = Path(__file__).parent / "page_data"
TELLS = write_steps("The diagnosis is gold: ", 3)


def search(case_id: str, table: dict[str, str], rounds: int = 3, restarts: int = 0, **mentors: Any) -> dict[str, Any]:
    case = Case(case_id, "What is shown?", "gold", (f"ct/{case_id}.png",), context="Complaint: chest pain")
    panel = script_panel(table, **mentors).panel()
    result = asyncio.run(search_case(case, Mics(tuple(panel.mentors), max_rounds=rounds), panel, 7, restarts))
    usage = {name: Usage(10, 2, 1000, 100, 0.25) for name in ("a", "judge")}
    return result_row(result, usage, 2.5, Stamp(7, "d1gest", "1.0"))


def make_rows() -> list[dict[str, Any]]:
    """Solved in the second round, with lost votes; a dead end after a second search; a leak and a lost mentor."""
    return [
        search("solved", {"a1": "rrw?!w", "b1": "rwwwww", "b1 c2": "rrrrrr", "a1 c2": "rrrrrr"}),
        search("dead end", {}, restarts=1),
        search("told", {"The diagnosis is gold: 1": "rrrwww"}, rounds=1, a=TELLS, b=lose_call),
    ]


def same(name: str, value: Any, regenerate: bool) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if regenerate:
        STORED.mkdir(exist_ok=True)
        (STORED / name).write_text(text)
    assert text == (STORED / name).read_text()


def test_cases_and_entries_are_the_stored_ones(regenerate: bool) -> None:
    picture = {"name": "ct/0.png", "file": "pictures/ab/ab0.png", "problem": ""}
    rows = make_rows()
    same("cases.json", [describe_case(row, [picture]) for row in rows], regenerate)
    same("list.json", [describe_entry(row) for row in rows], regenerate)


def test_the_charts_are_the_stored_ones(regenerate: bool) -> None:
    tally = RunTally()
    for row in make_rows():
        tally.add_row(row)
    same("charts.json", [asdict(chart) | {"table": chart.tabulate()} for chart in list_charts(tally)], regenerate)


def test_the_comparison_is_the_stored_one(regenerate: bool) -> None:
    rows = make_rows()
    other = [search("solved", {"a1": "rrrwww"}, rounds=1), search("dead end", {"c1": "rrrrrr"}), search("more", {})]
    known = {row["case_id"]: note_case(row, number) for number, row in enumerate(other)}
    pairs = PairTally()
    for row in rows:
        pairs.add_row(row, known.get(row["case_id"]))
    flips = sorted([*pair, count] for pair, count in pairs.flips.items())
    same("comparison.json", {"flips": flips, "measures": [asdict(one) for one in pairs.compare()]}, regenerate)
