"""Run folders of any number of cases, for tests and measurements of what must not slow down with them.

Cases are copies of a few real searches with other ids and outcomes: their rows are as long as those of a run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mics_ray.io.shards.store import ShardStore
from tests.support.run_folders import make_run, row

SHARD = 5_000
ROUNDS = ({"ann": "rrwwww", "bob": "rwwwww", "cat": "wwww??"}, {"ann": "rrrwww", "bob": "rrrrww", "cat": "rrrrrr"})
SENTENCE = "The heart is of normal size, the lungs are clear, and no effusion is seen at either side. "


def make_large_run(folder: Path, cases: int) -> Path:
    """A run folder with ``cases`` rows; two pictures are shown by all of them."""
    rows = iter_rows(cases)
    first = [next(rows) for _ in range(min(cases, 100))]
    make_run(folder, first)
    store = ShardStore(folder / "results")
    batch: list[dict[str, Any]] = []
    for one in rows:
        batch.append(one)
        if len(batch) == SHARD:
            store.commit(batch)
            batch = []
    if batch:
        store.commit(batch)
    return folder


def iter_rows(cases: int) -> Iterator[dict[str, Any]]:
    """Rows ``case-0``, …: solved, depth, and dead ends without a chain."""
    solved = _lengthen(row("x", ROUNDS, "ac", images=("a.png",)))
    depth = _lengthen(row("x", ROUNDS, "ab", "depth", images=("b.png",)))
    kinds = (solved, depth, solved, depth | {"outcome": "dead_end", "steps": [], "final_answer": "", "reasoning": ""})
    for number in range(cases):
        yield kinds[number % len(kinds)] | {"case_id": f"case-{number}", "question": f"What does film {number} show?"}


def _lengthen(one: dict[str, Any]) -> dict[str, Any]:
    """The same search with texts as long as models write them."""
    for node in one["nodes"]:
        node["rest"] = SENTENCE * 8
        node["votes"] = [
            vote | {"text": SENTENCE * 4, "judge_reply": "Yes, both mean the same."} for vote in node["votes"]
        ]
    return one
