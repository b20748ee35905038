"""How searches go: their rounds, candidates and votes, from a finished run's rows or assumed."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mics_ray.config.schema import Config, StrategyKind
from mics_ray.core.types import Verdict

ASSUMED_ROUNDS = {1: 0.35, 2: 0.25, 3: 0.15, 4: 0.15, 5: 0.1}
"""Shares of cases by rounds, restarts included, where no run was recorded. Mean 2.4."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One mentor's next step: ``mentor`` is called for it unless ``None``; the interns that vote on it."""

    mentor: str | None
    votes: tuple[str, ...]


Round = tuple[Candidate, ...]
Shape = tuple[Round, ...]
"""One case's search, round after round, attempt after attempt; empty for a rejected one."""


def read_shapes(rows: Iterable[Mapping[str, Any]]) -> list[Shape]:
    """The searches of a run's rows."""
    return [_shape_of_row(row["nodes"]) for row in rows]


def _shape_of_row(nodes: Sequence[Mapping[str, Any]]) -> Shape:
    mentors = {node["id"]: node["mentor"] for node in nodes}
    rounds: dict[tuple[int, int], list[Candidate]] = {}
    for node in nodes:
        # A mentor whose candidate was chosen has written its chain to the end: the next step is there, unasked.
        goes_on = node["parent"] is not None and mentors[node["parent"]] == node["mentor"]
        asked = tuple(vote["intern"] for vote in node["votes"] if vote["verdict"] != Verdict.UNASKED)
        candidate = Candidate(None if goes_on else node["mentor"], asked)
        rounds.setdefault((node["attempt"], node["round"]), []).append(candidate)
    # Attempts follow one another: a restart is a search of its own.
    return tuple(tuple(rounds[key]) for key in sorted(rounds))


def assume_shapes(config: Config, count: int, seed: int = 0) -> list[Shape]:
    """``count`` searches of the assumed lengths, as many rounds as the search allows at most."""
    rng = random.Random(seed)
    most = config.search.max_rounds * (1 + config.search.restarts)
    # Best-of-n asks once and votes once.
    if config.search.strategy is StrategyKind.best_of_n:
        most = 1
    lengths = rng.choices(list(ASSUMED_ROUNDS), list(ASSUMED_ROUNDS.values()), k=count)
    return [_shape_of_length(config, min(length, most), rng) for length in lengths]


def _shape_of_length(config: Config, rounds: int, rng: random.Random) -> Shape:
    votes = tuple(name for name in config.interns for _ in config.search.intern_temperatures)
    first = tuple(Candidate(name, votes) for name in config.mentors)
    later = []
    for _ in range(rounds - 1):
        chosen = rng.choice(list(config.mentors))
        later.append(tuple(Candidate(None if name == chosen else name, votes) for name in config.mentors))
    return (first, *later)


def count_calls(shapes: Sequence[Shape], judge: str) -> dict[str, int]:
    """Calls that the searches make of each model, each asked once for each purpose."""
    count: dict[str, int] = {}
    for candidate in (one for shape in shapes for level in shape for one in level):
        asked = [candidate.mentor] if candidate.mentor else []
        for name in [*asked, *candidate.votes, *[judge] * len(candidate.votes)]:
            count[name] = count.get(name, 0) + 1
    return count
