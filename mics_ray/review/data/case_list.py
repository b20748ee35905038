"""The list of cases that the page searches, sorts and filters: one short entry a case, kept by columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from mics_ray.core.display import make_one_line
from mics_ray.review.data.case_data import find_score, is_flagged, sum_cost

EXCERPT = 100
"""Characters of a question that the list shows and searches."""
COLUMNS = ("id", "name", "question", "outcome", "quality", "score", "rounds", "flagged", "cost_usd", "seconds")


def describe_entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the list shows of a row, by :data:`COLUMNS`. ``name`` is empty where it is the id itself."""
    name = make_one_line(row["case_id"])
    score = find_score(row)
    return {
        "id": row["case_id"],
        "name": "" if name == row["case_id"] else name,
        "question": make_one_line(" ".join(row["question"].split())[:EXCERPT]),
        "outcome": row["outcome"],
        "quality": row["quality"],
        "score": None if score is None else round(score, 4),
        "rounds": row["rounds"],
        "flagged": is_flagged(row),
        "cost_usd": round(sum_cost(row), 6),
        "seconds": round(row["seconds"], 2),
    }


def arrange_columns(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Entries by column: names once and not in each entry."""
    return {name: [entry[name] for entry in entries] for name in entries[0]} if entries else {}
