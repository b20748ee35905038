"""Agreement beyond chance, against cases worked out by hand and published ones."""

import pytest

from mics_ray.review.summary.agreement import (
    compare_raters,
    group_ratings,
    measure_alpha,
    measure_cohen,
    measure_fleiss,
)


def make_pair(table: dict[tuple[str, str], int]) -> dict[str, dict[str, str]]:
    """Two raters from a table of counts by (verdict of ann, verdict of bob)."""
    pairs = [pair for pair, count in table.items() for _ in range(count)]
    return {name: {f"{at}": pair[side] for at, pair in enumerate(pairs)} for side, name in enumerate(("ann", "bob"))}


def test_cohens_kappa_of_a_table_worked_out_by_hand() -> None:
    # 50 items: alike 35, po = 0.7; ann right 25, bob right 30: pe = 0.5 * 0.6 + 0.5 * 0.4 = 0.5; kappa = 0.2 / 0.5.
    table = {("right", "right"): 20, ("right", "wrong"): 5, ("wrong", "right"): 10, ("wrong", "wrong"): 15}
    found = measure_cohen(make_pair(table), "ann", "bob")
    assert found.value == pytest.approx(0.4)
    assert (found.items, found.alike) == (50, 0.7)
    # Three verdicts: po = 6/10, pe = (5 * 4 + 3 * 4 + 2 * 2) / 100 = 0.36; kappa = 0.24 / 0.64.
    three = {("right", "right"): 3, ("right", "wrong"): 2, ("wrong", "wrong"): 2, ("wrong", "unsure"): 1,
             ("unsure", "unsure"): 1, ("unsure", "right"): 1}  # fmt: skip
    assert measure_cohen(make_pair(three), "ann", "bob").value == pytest.approx(0.375)
    # Never alike where each verdict is used half of the time: -1.
    against = {("right", "wrong"): 3, ("wrong", "right"): 3}
    assert measure_cohen(make_pair(against), "ann", "bob").value == pytest.approx(-1.0)


def test_only_items_of_both_count() -> None:
    ratings = {"ann": {"1": "right", "2": "wrong", "3": "wrong"}, "bob": {"1": "right", "2": "wrong", "4": "right"}}
    found = measure_cohen(ratings, "ann", "bob")
    assert (found.items, found.value) == (2, 1.0)


FLEISS = (  # 10 items, 14 raters, 5 verdicts: the table of Fleiss' textbook example; kappa 0.210
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
)  # fmt: skip


def test_fleiss_kappa_of_a_published_table() -> None:
    ratings: dict[str, dict[str, str]] = {f"r{at}": {} for at in range(14)}
    for item, counts in enumerate(FLEISS):
        verdicts = [str(verdict) for verdict, count in enumerate(counts) for _ in range(count)]
        for rater, verdict in zip(ratings.values(), verdicts, strict=True):
            rater[str(item)] = verdict
    found = measure_fleiss(ratings)
    assert found.value == pytest.approx(0.20993, abs=1e-5)
    # Only the first item was called the same by all; one that a rater left out is left out.
    assert found.alike == 0.1
    del ratings["r0"]["3"]
    assert measure_fleiss(ratings).items == 9


def test_krippendorffs_alpha_with_items_that_some_left_out() -> None:
    # Pairable values: 1: aa, 2: ab, 3: bbb; 4 has one value alone. n = 7: a 3, b 4. Observed disagreement:
    # item 2 has 2 unlike ordered pairs / (2 - 1) = 2, so Do = 2/7; De = 2 * 3 * 4 / (7 * 6) = 4/7: alpha = 0.5.
    ratings = {
        "ann": {"1": "a", "2": "a", "3": "b", "4": "a"},
        "bob": {"1": "a", "2": "b", "3": "b"},
        "eve": {"3": "b"},
    }
    found = measure_alpha(ratings)
    assert found.value == pytest.approx(0.5)
    assert (found.items, found.alike) == (3, pytest.approx(2 / 3))


def test_one_verdict_alone_says_nothing_and_one_rater_is_no_agreement() -> None:
    same = {name: {"1": "right", "2": "right"} for name in ("ann", "bob")}
    assert [one.value for one in compare_raters(same)] == [None, None, None]
    assert [one.alike for one in compare_raters(same)] == [1.0, 1.0, 1.0]
    apart = {"ann": {"1": "right"}, "bob": {"2": "wrong"}}
    assert [(one.items, one.alike, one.value) for one in compare_raters(apart)] == [(0, None, None)] * 3
    assert compare_raters({"ann": {"1": "right"}}) == []
    assert compare_raters({}) == []


def test_every_pair_is_told() -> None:
    marks = [(name, str(item), "right" if item < 2 else "wrong") for name in ("eve", "ann", "bob") for item in range(4)]
    found = compare_raters(group_ratings(marks))
    assert [(one.measure, one.raters, one.value) for one in found] == [
        ("Cohen's kappa", "ann, bob", 1.0), ("Cohen's kappa", "ann, eve", 1.0), ("Cohen's kappa", "bob, eve", 1.0),
        ("Fleiss' kappa", "all", 1.0), ("Krippendorff's alpha", "all", 1.0),
    ]  # fmt: skip
