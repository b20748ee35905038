"""What is counted over all rows of a run for its charts: sums and counters only, so that any number of rows fits."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mics_ray.core.display import make_one_line
from mics_ray.core.types import KEPT_OUTCOMES, Failure, LeakVerdict, Outcome, Usage, Verdict
from mics_ray.io.rows import add_usage
from mics_ray.review.data.case_data import is_flagged

MOST_REASONS = 200
"""Different reasons that are told apart; a run whose reasons are all different must not fill the memory."""
OTHER = "other reasons"
SCORE_BINS = ("0", "to 0.2", "to 0.4", "to 0.6", "to 0.8", "below 1", "1")
"""Of MICS-Scores: both ends stand alone, for they mean that no, or every, known vote was right."""


@dataclass(slots=True)
class Mean:
    """A mean that grows."""

    count: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.count += 1
        self.total += value

    @property
    def value(self) -> float | None:
        """The mean; ``None`` of nothing."""
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class RunTally:
    """Counts over rows. Candidates, votes and leaks of candidates are those of all attempts."""

    cases: int = 0
    kept: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(outcome, quality, reason)."""
    scores: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """(bin, whether chosen) of scored candidates."""
    score_by_round: dict[tuple[int, bool], Mean] = field(default_factory=lambda: defaultdict(Mean))
    chosen: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(mentor, round) of the chosen steps of kept chains, as in ``chosen_steps`` of a run's summary."""
    rises: dict[tuple[str, int], Mean] = field(default_factory=lambda: defaultdict(Mean))
    """(mentor, round): the score of its candidate less that of the candidate before."""
    votes: Counter[tuple[str, float, int, str]] = field(default_factory=Counter)
    """(intern, temperature, round, verdict)."""
    vote_failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(verdict, kind of failure) of votes that have one."""
    mentor_failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    candidates: Counter[str] = field(default_factory=Counter)
    flagged_candidates: Counter[str] = field(default_factory=Counter)
    partial: int = 0
    """Candidates with votes that were left out; they have no score."""
    leaks: Counter[str] = field(default_factory=Counter)
    """Kept chains with a leak of a kind; ``judge`` and ``judge, unknown`` are the leak judge's."""
    flagged: int = 0
    usage: dict[str, Usage] = field(default_factory=dict)
    seconds: Mean = field(default_factory=Mean)

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Count one case."""
        self.cases += 1
        self.outcomes[row["outcome"]] += 1
        self._count_reason(row)
        add_usage(self.usage, row)
        if row["outcome"] != Outcome.REJECTED:
            self.seconds.add(row["seconds"])
        if row["outcome"] in KEPT_OUTCOMES:
            self._add_chain(row)
        scores = {node["id"]: node["score"] for node in row["nodes"]}
        for node in row["nodes"]:
            self._add_node(node, scores.get(node["parent"]))

    def _count_reason(self, row: Mapping[str, Any]) -> None:
        key = (row["outcome"], row["quality"], generalise_reason(row["reason"]))
        if key not in self.reasons and len(self.reasons) >= MOST_REASONS:
            key = (row["outcome"], row["quality"], OTHER)
        self.reasons[key] += 1

    def _add_chain(self, row: Mapping[str, Any]) -> None:
        self.kept += 1
        self.chosen.update((make_one_line(mentor), number) for number, mentor in enumerate(row["mentors"], 1))
        self.flagged += is_flagged(row)
        kinds = {leak["kind"] for leak in row["leaks"]}
        verdicts = {check["verdict"] for check in row["leak_checks"]}
        named = {LeakVerdict.LEAK.value: "judge", LeakVerdict.UNKNOWN.value: "judge, unknown"}
        self.leaks.update(kinds | {named[verdict] for verdict in verdicts if verdict in named})

    def _add_node(self, node: Mapping[str, Any], before: float | None) -> None:
        mentor, number, score = make_one_line(node["mentor"]), node["round"], node["score"]
        if node["failure"]:
            self.mentor_failures[mentor, Failure.parse(node["failure"]).kind] += 1
            return
        self.candidates[mentor] += 1
        self.flagged_candidates[mentor] += bool(node["leaks"])
        for vote in node["votes"]:
            self._add_vote(vote, number)
        self.partial += bool(node["unasked"])
        if score is None:
            return
        self.scores[find_bin(score), node["chosen"]] += 1
        self.score_by_round[number, False].add(score)
        if node["chosen"]:
            self.score_by_round[number, True].add(score)
        if before is not None:
            self.rises[mentor, number].add(score - before)

    def _add_vote(self, vote: Mapping[str, Any], number: int) -> None:
        self.votes[make_one_line(vote["intern"]), vote["temperature"], number, vote["verdict"]] += 1
        if vote["failure"]:
            self.vote_failures[vote["verdict"], Failure.parse(vote["failure"]).kind] += 1

    def count_verdicts(self) -> dict[str, int]:
        """Votes by verdict; those that were left out only where there are any."""
        found = Counter[str]()
        for (_, _, _, verdict), count in self.votes.items():
            found[verdict] += count
        return {one.value: found[one] for one in Verdict if found[one] or one is not Verdict.UNASKED}


def find_bin(score: float) -> str:
    """The bin of :data:`SCORE_BINS` that holds a score from 0 to 1; an upper bound belongs to its bin."""
    if score <= 0:
        return SCORE_BINS[0]
    if score >= 1:
        return SCORE_BINS[-1]
    # Scores are shares of whole votes: 3/5 must not fall above 0.6 by a rounding error.
    return next(
        name for bound, name in zip((0.2, 0.4, 0.6, 0.8, 1.0), SCORE_BINS[1:], strict=False) if score <= bound + 1e-9
    )


def generalise_reason(reason: str) -> str:
    """A reason without what differs from case to case: names in quotes, numbers, the list behind a colon."""
    head = re.sub(r"'[^']*'", "…", make_one_line(reason)).partition(": ")[0]
    return re.sub(r"\d+", "…", head)[:120]
