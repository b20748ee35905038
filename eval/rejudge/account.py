"""What another judge changes, case by case: rows of verdicts, and the sums of the report."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from eval.rejudge.agreement import Table, measure_agreement, tabulate_verdicts
from eval.rejudge.run_rules import find_choice, is_judged, replace_verdicts
from mics_ray.core.ports import Strategy
from mics_ray.core.tree import SearchTree
from mics_ray.core.types import Verdict

SCHEMA = pa.schema(
    [
        ("case_id", pa.string()),
        ("attempt", pa.int32()),
        ("round", pa.int32()),
        ("mentor", pa.string()),
        ("intern", pa.string()),
        ("temperature", pa.float64()),
        ("answer", pa.string()),
        ("recorded", pa.string()),
        ("other", pa.string()),
        ("other_reply", pa.string()),
        ("failure", pa.string()),
    ]
)
"""A row a vote that is asked about: the run's verdict, the other judge's, what that wrote, why it is unknown."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the other judge says of one answer."""

    verdict: Verdict
    reply: str
    failure: str | None = None


@dataclass(slots=True)
class Account:
    """The sums over cases."""

    policy: Strategy
    cases: int = 0
    rounds: int = 0
    votes: int = 0
    not_reproduced: int = 0
    undecided: int = 0
    """Rounds that votes would decide which the run did not ask for (``search.adaptive``)."""
    unknown: Counter[str] = field(default_factory=Counter)
    flips: Counter[str] = field(default_factory=Counter)
    flipped: dict[str, list[str]] = field(default_factory=dict)
    changed: list[dict[str, Any]] = field(default_factory=list)
    _tables: Counter[Table] = field(default_factory=Counter)

    def count_case(self, case_id: str, trees: list[SearchTree], said: Mapping[str, Said]) -> list[dict[str, Any]]:
        """Count one case; returns its rows of :data:`SCHEMA`."""
        rows = [row for number, tree in enumerate(trees, 1) for row in _make_vote_rows(number, tree, said)]
        # An intern that gives one answer twice was judged once: for agreement it is one pair, not two.
        pairs = {(row["answer"], row["recorded"]): Verdict(row["other"]) for row in rows}
        self._tables[tabulate_verdicts((Verdict(recorded), other) for (_, recorded), other in pairs.items())] += 1
        self.cases += 1
        self.votes += len(rows)
        self._count_flips(case_id, rows)
        verdicts = {answer: one.verdict for answer, one in said.items()}
        for number, tree in enumerate(trees, 1):
            self._compare_choices(number, tree, replace_verdicts(tree, verdicts))
        return rows

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "cases": self.cases,
            "votes": self.votes,
            "agreement": asdict(measure_agreement(self._tables)),
            "unknown": dict(self.unknown),
            "flips": {kind: {"votes": self.flips[kind], "cases": ids} for kind, ids in sorted(self.flipped.items())},
            "rounds": self.rounds,
            "changed_rounds": len(self.changed),
            "changed_cases": len({one["case_id"] for one in self.changed}),
            "other_step": sum(one["to_mentor"] is not None and one["from_mentor"] is not None
                              and one["to"] != one["from"] for one in self.changed),
            "not_reproduced": self.not_reproduced,
            "undecided": self.undecided,
            "changed": self.changed,
        }  # fmt: skip

    def _count_flips(self, case_id: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self.unknown.update(judge for judge in ("recorded", "other") if row[judge] == Verdict.UNKNOWN)
        # Once a case and kind: the report lists cases, a vote more of the same kind adds none.
        kinds = Counter(f"{row['recorded']}_to_{row['other']}" for row in rows if row["recorded"] != row["other"])
        self.flips.update(kinds)
        for kind in kinds:
            self.flipped.setdefault(kind, []).append(case_id)

    def _compare_choices(self, attempt: int, before: SearchTree, after: SearchTree) -> None:
        """Each round as the search came to it: would its policy do the same on the other verdicts?"""
        for number in range(1, before.rounds + 1):
            old, new = find_choice(self.policy, before, number), find_choice(self.policy, after, number)
            self.rounds += 1
            # The next round says what the run chose. Where this code chooses otherwise on the run's own verdicts, the
            # other judge has no part in it: such a round is counted apart.
            if old is None or (number < before.rounds and old.chosen != before.round_nodes(number + 1)[0].parent):
                self.not_reproduced += 1
            elif new is None:
                self.undecided += 1
            elif old != new:
                place = {"case_id": before.case_id, "attempt": attempt, "round": number}
                one = {"from": old.chosen, "from_mentor": _mentor_of(before, old.chosen), "from_end": old.end}
                other = {"to": new.chosen, "to_mentor": _mentor_of(before, new.chosen), "to_end": new.end}
                self.changed.append(place | one | other)


def _mentor_of(tree: SearchTree, node: int | None) -> str | None:
    return None if node is None else tree.nodes[node].mentor


def _make_vote_rows(attempt: int, tree: SearchTree, said: Mapping[str, Said]) -> list[dict[str, Any]]:
    return [
        {
            "case_id": tree.case_id, "attempt": attempt, "round": node.round, "mentor": node.mentor,
            "intern": vote.intern, "temperature": vote.temperature, "answer": vote.answer,
            "recorded": vote.verdict.value, "other": said[vote.answer].verdict.value,
            "other_reply": said[vote.answer].reply, "failure": said[vote.answer].failure,
        }
        for node in tree.nodes for vote in node.votes if is_judged(vote)
    ]  # fmt: skip
