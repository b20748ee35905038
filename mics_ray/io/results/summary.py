"""The closing account of a run's folder, from its committed rows alone."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mics_ray.core.leaks import Leak
from mics_ray.core.types import KEPT_OUTCOMES, LeakVerdict, Usage
from mics_ray.io.rows import USAGE_FIELDS, add_usage
from mics_ray.io.shards.kind import ShardError
from mics_ray.io.shards.reading import iter_rows, list_shards, read_shard

TALLY_COLUMNS = ["outcome", "quality", "usage"]


@dataclass
class ResultsTally:
    """Totals over the shards in ``folder``: cases by outcome, kept chains by quality, usage by model."""

    folder: Path
    outcomes: Counter[str] = field(default_factory=Counter)
    quality: Counter[str] = field(default_factory=Counter)
    usage: dict[str, Usage] = field(default_factory=dict)
    damaged: list[Path] = field(default_factory=list)
    """Shards that cannot be read; their rows are in no total."""
    newest: float = 0.0
    """When the youngest shard was written, in seconds since 1970; 0 before the first."""
    _read: dict[str, tuple[int, int]] = field(default_factory=dict)

    def update(self) -> None:
        """Read the shards that were added; all of them where one that was read is another or is gone (a retry)."""
        seen = {path.name: _stat_shard(path) for path in list_shards(self.folder)}
        if any(seen.get(name) != before for name, before in self._read.items()):
            self._forget()
        for name, state in seen.items():
            if name not in self._read:
                # Marked before it is read: a damaged shard is reported once and not read again on every update.
                self._read[name] = state
                self._add_shard(self.folder / name)

    def _forget(self) -> None:
        for totals in (self.outcomes, self.quality, self.usage, self.damaged, self._read):
            totals.clear()

    def _add_shard(self, path: Path) -> None:
        try:
            rows = list(read_shard(path, TALLY_COLUMNS))
            self.newest = max(self.newest, path.stat().st_mtime)
        except (OSError, ShardError):
            self.damaged.append(path)
            return
        for row in rows:
            self.outcomes[row["outcome"]] += 1
            if row["outcome"] in KEPT_OUTCOMES:
                self.quality[row["quality"]] += 1
            add_usage(self.usage, row)


def _stat_shard(path: Path) -> tuple[int, int]:
    """What tells a shard from another of its name; zeros for one that is just being moved."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino


_JUDGED = {LeakVerdict.LEAK.value: "judge", LeakVerdict.UNKNOWN.value: "judge_unknown"}
SUMMARY_COLUMNS = [
    *("outcome", "quality", "rounds", "mentors", "usage", "attempts", "leaks.kind", "leak_checks.verdict"),
    "context_names_answer",
]


def summarise_results(results: Path, spent_usd: float = 0.0) -> dict[str, Any]:
    """Counts over all committed rows: outcomes, quality and rounds of kept chains, chosen steps, usage per model.

    ``leaks`` are kept chains with a leak of ``any`` kind, by words or the judge's word, and of each kind of words;
    ``judge`` those of which the judge says so, ``judge_unknown`` those where it left a step open.
    ``context_names_answer`` are cases whose context, such as the complaint, names the diagnosis.
    ``spent_usd`` is the ledger's: calls of lost searches and attempts without a reply too, which no row accounts for.
    """
    outcomes, quality, rounds, chosen = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    leaks = Counter[str](dict.fromkeys(("any", *(kind.value for kind in Leak), "judge", "judge_unknown"), 0))
    usage: dict[str, Usage] = {}
    attempts = named = 0
    for row in iter_rows(results, SUMMARY_COLUMNS):
        outcomes[row["outcome"]] += 1
        attempts += row["attempts"]
        named += bool(row["context_names_answer"])
        if row["outcome"] in KEPT_OUTCOMES:
            quality[row["quality"]] += 1
            rounds[str(row["rounds"])] += 1
            chosen.update(row["mentors"])
            leaks.update(_leak_labels(row))
        add_usage(usage, row)
    kept = sum(outcomes[outcome] for outcome in KEPT_OUTCOMES)
    cost = sum(used.cost_usd for used in usage.values())
    # Without the ledger (0) the rows tell the least that was spent.
    spent = max(spent_usd, cost)
    return {
        "cases": sum(outcomes.values()),
        "outcomes": dict(outcomes),
        "quality": dict(quality),
        "rounds": dict(sorted(rounds.items())),
        "attempts": attempts,
        "chosen_steps": dict(chosen),
        "chosen_share": {name: count / chosen.total() for name, count in chosen.items()},
        "leaks": dict(leaks),
        "context_names_answer": named,
        "usage": {name: _list_usage_columns(used) for name, used in sorted(usage.items())},
        "cost_usd": cost,
        "spent_usd": spent,
        "cost_usd_per_kept_chain": spent / kept if kept else None,
    }


def _leak_labels(row: Mapping[str, Any]) -> set[str]:
    """What a row's chain is counted under."""
    labels = {_JUDGED[check["verdict"]] for check in row["leak_checks"] if check["verdict"] in _JUDGED}
    labels |= {leak["kind"] for leak in row["leaks"]}
    return labels | ({"any"} if labels - {"judge_unknown"} else set())


def _list_usage_columns(used: Usage) -> dict[str, float]:
    return {name: getattr(used, name) for name in USAGE_FIELDS}
