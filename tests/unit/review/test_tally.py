"""What the charts count, against figures worked out by hand."""

from typing import Any

import pytest

from mics_ray.review.data.figures import list_charts
from mics_ray.review.data.tally import MOST_REASONS, OTHER, RunTally, find_bin, generalise_reason
from tests.support.run_folders import row


@pytest.mark.parametrize(
    ("score", "name"),
    [
        (0.0, "0"),
        (1 / 6, "to 0.2"),
        (0.2, "to 0.2"),
        (3 / 5, "to 0.6"),
        (0.1 + 0.2 + 0.3, "to 0.6"),
        (0.999, "below 1"),
        (1.0, "1"),
    ],
)
def test_a_score_has_one_bin(score: float, name: str) -> None:
    assert find_bin(score) == name


@pytest.mark.parametrize(
    ("reason", "general"),
    [
        ("every known vote right in round 3", "every known vote right in round …"),
        ("no candidate of round 1 could be scored: timeout, quorum", "no candidate of round … could be scored"),
        ("picture 'a/b.png': no such file", "picture …"),
        ("a\nb", "a\ufffdb"),
    ],
)
def test_reasons_of_one_kind_are_one_reason(reason: str, general: str) -> None:
    assert generalise_reason(reason) == general


def tabulate(*rows: dict[str, Any]) -> dict[str, list[list[str]]]:
    tally = RunTally()
    for one in rows:
        tally.add_row(one)
    return {chart.name: chart.tabulate()[1] for chart in list_charts(tally)}


def test_the_figures_of_two_cases() -> None:
    """Round 1: ann rrww (chosen), bob rwww; round 2: ann rrrr (chosen), bob rrww. The second is lost in round 1."""
    lost = row("b", rounds=({"ann": "????", "bob": "ww??"},), chosen="b", outcome="failed") | {
        "steps": [],
    }
    found = tabulate(row("a"), lost)
    # Scored in round 1: 1/2, 1/4, 0; in round 2: 1 and 1/2.
    assert found["score_by_round"] == [["1", "0.250", "0.250", "2", "3"], ["2", "1.000", "0.750", "1", "2"]]
    assert {line[0]: line[1:] for line in found["scores"]} == {
        "0": ["1", "0"], "to 0.2": ["0", "0"], "to 0.4": ["0", "1"], "to 0.6": ["1", "1"], "to 0.8": ["0", "0"],
        "below 1": ["0", "0"], "1": ["1", "0"],
    }  # fmt: skip
    assert found["mentor_shares"] == [["1", "100.0 %", "0.0 %", "1"], ["2", "100.0 %", "0.0 %", "1"]]
    # From ann's 1/2: ann to 1, bob to 1/2.
    assert found["mentor_rises"] == [["2", "+0.500", "+0.000", "2"]]
    # 16 votes of the first case (3 + 6 right), 8 of the second (0 right, 2 wrong, 6 unknown).
    assert found["verdicts"] == [["right", "9"], ["wrong", "9"], ["unknown", "6"]]
    assert [line[-1] for line in found["intern_rates"]] == ["10", "8"]


def test_votes_that_were_left_out_are_no_scores_and_are_told() -> None:
    """Bob's candidates have no score, and every chart of scores or votes says that there are such."""
    found = tabulate(part := row("a", rounds=({"ann": "rrww", "bob": "w..."}, {"ann": "rrrr", "bob": "ww.."})))
    assert found["score_by_round"] == [["1", "0.500", "0.500", "1", "1"], ["2", "1.000", "1.000", "1", "1"]]
    assert found["verdicts"] == [["right", "6"], ["wrong", "5"], ["unknown", "0"], ["unasked", "5"]]
    tally = RunTally()
    tally.add_row(part)
    told = [chart.name for chart in list_charts(tally) if "2 candidates not all votes were asked for" in chart.about]
    assert sorted(told) == ["intern_rates", "mentor_rises", "score_by_round", "scores", "verdicts"]


def test_leaks_and_money_are_of_kept_chains() -> None:
    used = {"calls": 1, "cached_calls": 0, "prompt_tokens": 100, "completion_tokens": 20, "cached_tokens": 0,
            "reasoning_tokens": 0, "cost_usd": 0.5}  # fmt: skip
    told = row("a") | {
        "leaks": [{"step": 1, "kind": "answer"}, {"step": 2, "kind": "answer"}],
        "usage": [{"model": "ann", **used}],
    }
    judged = row("b") | {"leak_checks": [{"step": 1, "verdict": "unknown", "reply": "", "failure": "x: y"}],
                         "usage": [{"model": "ann", **used}]}  # fmt: skip
    found = tabulate(told, judged)
    assert found["leaks"] == [["answer", "1"], ["judge, unknown", "1"]]
    assert found["money"] == [["ann", "$0.5000"]]
    assert found["tokens"] == [["ann", "100", "20"]]


def test_a_run_whose_reasons_all_differ_does_not_fill_the_memory() -> None:
    tally = RunTally()
    for number in range(MOST_REASONS + 50):
        tally.add_row(row(f"c{number}") | {"reason": "x" * (1 + number % 119) + "yz"[number % 2]})
    assert len(tally.reasons) <= MOST_REASONS + 1
    assert sum(tally.reasons.values()) == MOST_REASONS + 50
    assert tally.reasons["solved", "keep", OTHER]


def test_a_run_without_a_search_has_no_empty_charts() -> None:
    rejected = row("a") | {"outcome": "rejected", "nodes": [], "mentors": [], "steps": [], "usage": []}
    assert set(tabulate(rejected)) == {"quality"}
