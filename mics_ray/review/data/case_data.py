"""One case as the page shows it: the row's columns, counts of votes, the place of each candidate in the drawn tree.

Every text is data: characters that a screen would obey, or that turn the direction of writing, are replaced here, so
that no place which shows a text has to think of them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from mics_ray.core.display import OBEYED, make_one_line, make_printable
from mics_ray.core.types import Verdict
from mics_ray.review.data.tree_layout import place_nodes

Row = Mapping[str, Any]

PLAIN = (
    "outcome", "quality", "context_names_answer", "rounds", "attempts", "seconds", "seed", "mentors", "scores",
    "config_digest", "code_version", "schema_version",
)  # fmt: skip
"""Columns that the page has as they are, texts of them printable."""
_TAB = "    "
# In JSON: escapes of control characters, and characters that are written as they are. A backslash in a text may look
# like an escape, and costs time only.
_PERHAPS_UNCLEAN = re.compile(rf"\\[rtbfu]|[{OBEYED}]")
_UNKNOWN, _RIGHT, _WRONG = Verdict.UNKNOWN.value, Verdict.RIGHT.value, Verdict.WRONG.value


def describe_case(
    row: Row, pictures: Sequence[Mapping[str, Any]] = (), notes: Sequence[Mapping[str, str]] = ()
) -> dict[str, Any]:
    """Everything that the page shows of a row. ``pictures`` are ``{name, file, problem}`` each, in reading order,
    ``notes`` ``{label, text}``.

    ``id`` is the case's own, for links; ``name`` is how it is shown.
    """
    found: dict[str, Any] = clean_value(_gather_case(row, pictures, notes))
    return found | {"id": row["case_id"]}


def dump_case(row: Row, pictures: Sequence[Mapping[str, Any]] = (), notes: Sequence[Mapping[str, str]] = ()) -> str:
    """:func:`describe_case` as JSON."""
    text = write_json(_gather_case(row, pictures, notes))
    # Nearly all cases are clean as they are, and one look at the whole takes far less time than one at each text.
    return write_json(describe_case(row, pictures, notes)) if _PERHAPS_UNCLEAN.search(text) else text


def write_json(value: Any) -> str:
    """A value as JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _gather_case(row: Row, pictures: Sequence[Mapping[str, Any]], notes: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The case with its texts as models wrote them."""
    return {
        "id": row["case_id"],
        "name": make_one_line(row["case_id"]),
        "question": row["question"],
        "answers": [row["answer"], *row["other_answers"]],
        "context": row["context"],
        "notes": [dict(note) for note in notes],
        "pictures": [dict(one) for one in pictures],
        "reason": row["reason"],
        "steps": list(row["steps"]),
        "final_answer": row["final_answer"],
        "leaks": [dict(leak) for leak in row["leaks"]],
        "leak_checks": row["leak_checks"],
        "attempts_drawn": [_describe_attempt(list(nodes)) for _, nodes in groupby(row["nodes"], _read_attempt)],
        "usage": row["usage"],
        "cost_usd": sum_cost(row),
        **{name: row[name] for name in PLAIN},
    }


def _read_attempt(node: Row) -> int:
    return int(node["attempt"])


def _describe_attempt(nodes: Sequence[Row]) -> dict[str, Any]:
    """The tree of one attempt; ``columns`` and ``rows`` are its size in candidates."""
    places = place_nodes(nodes)
    return {
        "number": nodes[0]["attempt"],
        "columns": max(column for column, _ in places.values()) + 1,
        "rows": max(row for _, row in places.values()) + 1,
        "nodes": [_describe_node(node, places[node["id"]]) for node in nodes],
    }


def _describe_node(node: Row, place: tuple[float, int]) -> dict[str, Any]:
    verdicts = [vote["verdict"] for vote in node["votes"]]
    return {
        "id": node["id"],
        "parent": node["parent"],
        "round": node["round"],
        "column": place[0],
        "row": place[1],
        "mentor": make_one_line(node["mentor"]),
        "steps": node["steps"],
        "rest": node["rest"],
        "score": node["score"],
        "right": verdicts.count(_RIGHT),
        "known": verdicts.count(_RIGHT) + verdicts.count(_WRONG),
        "unknown": verdicts.count(_UNKNOWN),
        "unasked": node["unasked"],
        "chosen": node["chosen"],
        "leaks": list(node["leaks"]),
        "leak_checks": node["leak_checks"],
        "failure": node["failure"],
        "votes": node["votes"],
    }


def find_leaf(row: Row) -> Row | None:
    """The last chosen candidate of the attempt that decided; ``None`` where no chain was kept."""
    if not row["steps"]:
        return None
    chosen = [node for node in row["nodes"] if node["chosen"] and node["attempt"] == row["attempts"]]
    return chosen[-1] if chosen else None


def find_score(row: Row) -> float | None:
    """The MICS-Score of the kept chain: that of its last chosen candidate."""
    leaf = find_leaf(row)
    return None if leaf is None else leaf["score"]


def is_flagged(row: Row) -> bool:
    """Whether a step of the kept chain gives the answer away, by its words or by the judge's word."""
    return bool(row["leaks"]) or any(check["verdict"] == "leak" for check in row["leak_checks"])


def sum_cost(row: Row) -> float:
    """US dollars that the case cost."""
    return float(sum(used["cost_usd"] for used in row["usage"]))


def clean_text(text: str) -> str:
    """``text`` in its lines, harmless wherever it is shown."""
    return make_printable(text.replace("\r\n", "\n").replace("\t", _TAB))


def clean_value(value: Any) -> Any:
    """:func:`clean_text` for all strings in a value made of dicts, lists and scalars."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {key: clean_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_value(item) for item in value]
    return value
