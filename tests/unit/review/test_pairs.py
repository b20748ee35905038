"""Two runs in pairs, against figures worked out by hand."""

from typing import Any

import pytest

from mics_ray.review.data.pairs import PairedMeasure, PairTally, note_case, tabulate_flips, tabulate_measures
from tests.support.run_folders import row

SCORED = {"solved": "rrrr", "depth": "rrww"}


def searched(case_id: str, outcome: str, cost: float = 0.0, question: str = "What is shown?") -> dict[str, Any]:
    """A case of one round whose candidate has the score 1 (solved), 1/2 (depth) or 0, with pictures of its own."""
    votes = SCORED.get(outcome, "wwww")
    one = row(case_id, ({"ann": votes},), "a", outcome, question, (f"{case_id}.png",))
    used = {"calls": 1, "cached_calls": 0, "prompt_tokens": 100, "completion_tokens": 0, "cached_tokens": 0,
            "reasoning_tokens": 0, "cost_usd": cost}  # fmt: skip
    return one | {"usage": [{"model": "m", **used}], "steps": one["steps"] if outcome in SCORED else []}


def pair(this: list[dict[str, Any]], other: list[dict[str, Any]]) -> tuple[PairTally, dict[str, PairedMeasure]]:
    known = {one["case_id"]: note_case(one, number) for number, one in enumerate(other)}
    tally = PairTally()
    for one in this:
        tally.add_row(one, known.get(one["case_id"]))
    return tally, {found.label: found for found in tally.compare()}


def test_flips_scores_and_cost_of_four_pairs() -> None:
    this = [
        searched("a", "solved", 1),
        searched("b", "depth", 1),
        searched("c", "dead_end", 1),
        searched("d", "failed", 1),
    ]
    other = [
        searched("a", "solved", 2),
        searched("b", "solved", 4),
        searched("c", "solved", 3),
        searched("d", "solved", 3),
    ]
    tally, found = pair(this, other)
    assert (tally.pairs, tally.only_this, tally.differing) == (4, 0, 0)
    solved = found["solved"]
    # The case that failed says nothing: a lost call is no worse outcome.
    assert (solved.pairs, solved.this, solved.other, solved.more, solved.less) == (3, 1 / 3, 1, 2, 0)
    assert solved.difference == pytest.approx(2 / 3)
    assert solved.p_value == pytest.approx(0.5)  # two flips of one kind: 2 * (1/2)^2
    # Bonett and Price: centre 2 / (3 + 2), square (2 + 2) / 5, half 1.96 sqrt((0.8 - 0.16) / 5).
    assert (solved.interval.low, solved.interval.high) == pytest.approx((0.4 - 0.7012, 1.0), abs=1e-4)
    score = found["MICS-Score of the kept chain"]
    assert (score.pairs, score.this, score.other) == (2, 0.75, 1.0)
    cost = found["US dollars a case"]
    # Differences 1, 3, 2, 2: mean 2, s = sqrt(2/3), half 3.1824 * s / 2.
    assert (cost.pairs, cost.difference, cost.p_value) == (4, 2.0, None)
    assert (cost.interval.low, cost.interval.high) == pytest.approx((0.7008, 3.2992), abs=1e-4)
    assert found["tokens a case"].interval.method == "none: all values are the same"


def test_a_case_that_asks_something_else_is_no_pair() -> None:
    this = [searched("a", "solved"), searched("b", "solved"), searched("c", "solved")]
    other = [searched("a", "depth"), searched("b", "depth", question="Which side?"), searched("x", "depth")]
    tally, found = pair(this, other)
    assert (tally.pairs, tally.only_this, tally.differing) == (1, 1, 1)
    assert dict(tally.flips) == {("solved", "depth"): 1}
    assert found["solved"].interval.low is None  # one pair alone says nothing of others


def test_the_tables_in_words() -> None:
    tally, found = pair(
        [searched("a", "solved"), searched("b", "depth")], [searched("a", "solved"), searched("b", "solved")]
    )
    head, rows = tabulate_flips(tally.flips, "A", "B")
    assert [head, *rows] == [["A ↓  B →", "solved", "all"], ["solved", "1", "1"], ["depth", "1", "1"]]
    head, rows = tabulate_measures(list(found.values()), "A", "B")
    assert rows[0][:5] == ["solved", "2", "50.0 %", "100.0 %", "+50.0 points"]
    assert {len(line) for line in rows} == {len(head)}


def test_nothing_in_common_has_no_figures() -> None:
    _, found = pair([searched("a", "solved")], [searched("b", "solved")])
    assert {one.pairs for one in found.values()} == {0}
    assert {one.difference for one in found.values()} == {None}
