"""Whole results of seeded fake searches, every preset, compared with stored ones: `trees/PRESET.json`.

A difference means that a rerun of an old job would choose otherwise. Where that is meant:
`pytest tests/golden --regenerate-golden`.
"""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mics_ray.assemble.panel import build_strategy
from mics_ray.config.compose import compose_config
from mics_ray.core.search import SearchResult, search_case
from mics_ray.core.types import Outcome
from mics_ray.testing import CASE, MENTORS
from tests.support.fake_panel import chancy

TREES = Path(__file__).parent / "trees"
SEARCHES = [(1, 0.0), (2, 0.0), (2, 0.2), (11, 0.0), (26, 0.0), (64, 0.0), (69, 0.2), (50, 0.2)]
"""Seed and share of lost calls."""


def view(result: SearchResult) -> dict[str, Any]:
    """A result as JSON, with every score spelled out; vote texts and failure messages are left out."""
    return {
        "outcome": result.outcome.value,
        "reason": result.reason,
        "quality": result.quality.value,
        "chain": asdict(result.chain) if result.chain else None,
        "leaf": result.leaf,
        "attempts": [
            [
                {
                    "id": node.id,
                    "parent": node.parent,
                    "round": node.round,
                    "mentor": node.mentor,
                    "steps": list(node.steps),
                    "rest": list(node.rest.steps),
                    "score": node.score,
                    "votes": "".join(vote.verdict.value[0] for vote in node.votes),
                    "failure": node.failure.kind if node.failure else None,
                }
                for node in tree.nodes
            ]
            for tree in result.attempts
        ],
    }


@pytest.mark.parametrize("preset", ["paper", "reference", "best_of_n"])
def test_trees_are_the_stored_ones(preset: str, regenerate: bool) -> None:
    search = compose_config(["experiment=demo", f"search={preset}"]).search
    policy = build_strategy(search, MENTORS)
    results = [
        asyncio.run(search_case(CASE, policy, chancy(seed, loss).panel(), seed, search.restarts))
        for seed, loss in SEARCHES
    ]
    found = json.loads(json.dumps([view(result) for result in results]))
    stored = TREES / f"{preset}.json"
    if regenerate:
        stored.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(stored.read_text())
    assert Outcome.SOLVED.value in {result["outcome"] for result in found}
    assert len({result["outcome"] for result in found}) > 1
