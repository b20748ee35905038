"""The closing account of a run's folder, from its committed rows alone."""

from collections import Counter
from pathlib import Path
from typing import Any

from mics_ray.core.usage import Usage
from mics_ray.io.shards import iter_rows

COLUMNS = ["outcome", "quality", "rounds", "mentors", "usage", "attempts"]


def summarise(results: Path) -> dict[str, Any]:
    """Counts over all committed rows: outcomes, quality and rounds of kept chains, chosen steps, usage per model."""
    outcomes, quality, rounds, chosen = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    usage: dict[str, Usage] = {}
    attempts = 0
    for row in iter_rows(results, COLUMNS):
        outcomes[row["outcome"]] += 1
        attempts += row["attempts"]
        if row["outcome"] in ("solved", "depth"):
            quality[row["quality"]] += 1
            rounds[str(row["rounds"])] += 1
            chosen.update(row["mentors"])
        for name, used in row["usage"].items():
            usage[name] = usage.get(name, Usage()) + Usage(**used)
    kept = outcomes["solved"] + outcomes["depth"]
    cost = sum(used.cost_usd for used in usage.values())
    return {
        "cases": sum(outcomes.values()),
        "outcomes": dict(outcomes),
        "quality": dict(quality),
        "rounds": dict(sorted(rounds.items())),
        "attempts": attempts,
        "chosen_steps": dict(chosen),
        "chosen_share": {name: count / chosen.total() for name, count in chosen.items()},
        "usage": {name: _plain(used) for name, used in sorted(usage.items())},
        "cost_usd": cost,
        "cost_usd_per_kept_chain": cost / kept if kept else None,
    }


def _plain(used: Usage) -> dict[str, float]:
    return {name: getattr(used, name) for name in used.__dataclass_fields__}
