"""Where the candidates of a search stand when its tree is drawn: a row for each depth, siblings side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

Place = tuple[float, int]
"""Column (its left edge, in widths of a candidate, from 0) and row (from 0) of a candidate."""


def place_nodes(nodes: Sequence[Mapping[str, Any]]) -> dict[int, Place]:
    """The place of each candidate of one attempt, by its id. Needs ``id`` and ``parent``; parents come first.

    The children of a candidate stand together, in the order of their parents, so that no two lines of the tree cross;
    each row is centred. Nothing wider is needed: a search mostly goes on from one candidate of a row.
    """
    depth: dict[int, int] = {}
    rows: list[list[int]] = []
    for node in nodes:
        parent = node["parent"]
        depth[node["id"]] = 0 if parent is None else depth[parent] + 1
    for level in range(max(depth.values(), default=-1) + 1):
        here = [node for node in nodes if depth[node["id"]] == level]
        above = {number: at for at, number in enumerate(rows[-1])} if rows else {}
        # A stable sort: siblings keep the order in which the mentors are named.
        here.sort(key=lambda node: above.get(node["parent"], 0))
        rows.append([node["id"] for node in here])
    widest = max(map(len, rows), default=0)
    return {
        number: ((widest - len(row)) / 2 + at, level) for level, row in enumerate(rows) for at, number in enumerate(row)
    }
