from math import sqrt

import pytest
from scipy import stats

from eval.reports.statistics import (
    Mark,
    accuracy_interval,
    compare_marks,
    difference_interval,
    mcnemar_p_value,
    summarise_groups,
    summarise_marks,
)
from mics_ray.core.types import Verdict

R, W, U = Verdict.RIGHT, Verdict.WRONG, Verdict.UNKNOWN


def marks(verdicts: str, clusters: str = "") -> list[Mark]:
    """One mark per letter (r, w, u; n: wrong because no answer was found)."""
    kinds = {"r": R, "w": W, "u": U, "n": W}
    return [
        Mark(f"b/{n}", "b", "open", "CT", "", f"b/{clusters[n] if clusters else n}", v != "u", v in "rw", kinds[v])
        for n, v in enumerate(verdicts)
    ]


def test_accuracy_is_over_all_items_and_no_answer_found_is_wrong() -> None:
    found = summarise_marks(marks("rrnw"))
    assert (found.items, found.known, found.lost, found.accuracy, found.parse_rate) == (4, 4, 0, 0.5, 0.75)


def test_a_lost_call_is_no_wrong_answer_but_is_shown() -> None:
    found = summarise_marks(marks("rrwuu"))
    assert (found.items, found.known, found.lost) == (5, 3, 2)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.parse_rate == 1.0


def test_a_lost_judge_leaves_the_answer_found() -> None:
    lost = Mark("b/1", "b", "open", "", "", "b/1", True, True, U)
    found = summarise_marks([lost, *marks("n")])
    assert (found.known, found.lost, found.accuracy, found.parse_rate) == (1, 1, 0.0, 0.5)


def test_nothing_known_gives_no_numbers() -> None:
    for empty in (summarise_marks([]), summarise_marks(marks("uu"))):
        assert (empty.accuracy, empty.low, empty.high, empty.parse_rate) == (None, None, None, None)


def test_the_interval_of_independent_items_is_wilsons() -> None:
    """30 of 100 right: variance 100/99 · 0.21/100, so 99 effective items; t of 99 degrees of freedom is 1.98422."""
    low, high = accuracy_interval([1.0] * 30 + [0.0] * 70, [str(n) for n in range(100)])
    t, n = 1.984216952, 99.0
    centre = (0.3 + t * t / (2 * n)) / (1 + t * t / n)
    half = t / (1 + t * t / n) * sqrt(0.21 / n + t * t / (4 * n * n))
    assert (low, high) == (pytest.approx(centre - half), pytest.approx(centre + half))
    usual = stats.binomtest(30, 100).proportion_ci(method="wilson")
    assert (low, high) == (pytest.approx(usual.low, abs=0.002), pytest.approx(usual.high, abs=0.002))


def test_items_of_one_picture_count_together() -> None:
    """Four pictures with two equal answers each: totals ±1, variance 4/3 · 4/64 = 1/12, so 3 effective items of 8."""
    right, clusters = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0], list("aabbccdd")
    low, high = accuracy_interval(right, clusters)
    t = float(stats.t.ppf(0.975, 3))
    assert low == pytest.approx(0.5 - t / (2 * sqrt(3 + t * t)))
    assert high == pytest.approx(1 - low if low is not None else None)
    narrow, _ = accuracy_interval(right, list("abcdefgh"))
    assert low is not None
    assert narrow is not None
    assert low < narrow


def test_all_right_leaves_room_for_doubt() -> None:
    """Ten pictures, twenty items: as ten items, 1 / (1 + t²/10) with t = 2.2622."""
    low, high = accuracy_interval([1.0] * 20, list("abcdefghij") * 2)
    assert (low, high) == (pytest.approx(1 / (1 + 2.262157**2 / 10), rel=1e-5), 1.0)
    low, high = accuracy_interval([0.0] * 20, list("abcdefghij") * 2)
    assert (low, high) == (pytest.approx(0.0), pytest.approx(1 - 1 / (1 + 2.262157**2 / 10), rel=1e-5))


def test_clusters_that_are_all_alike_never_count_as_more_items_than_there_are() -> None:
    """One right and one wrong per picture: no spread between 50 pictures, so plain Wilson of 100 items."""
    low, _ = accuracy_interval([1.0, 0.0] * 50, [str(n // 2) for n in range(100)])
    t = float(stats.t.ppf(0.975, 49))
    assert low == pytest.approx(0.5 - t / (2 * sqrt(100 + t * t)))


def test_one_cluster_says_nothing() -> None:
    assert accuracy_interval([1.0, 0.0], ["a", "a"]) == (0.0, 1.0)
    assert difference_interval([1.0, 1.0], ["a", "a"]) == (-1.0, 1.0)


def test_two_clusters_give_an_interval_of_their_own() -> None:
    """Two pictures, gains 1/2 ± 1/4 each: totals ±1/2 of four items, variance 2/1 · (2 · 1/4) / 16 = 1/16."""
    low, high = difference_interval([1.0, 0.0, 1.0, 1.0], list("aabb"))
    t = float(stats.t.ppf(0.975, 1))
    mean, variance = 0.75, 2 * (0.5**2 + 0.5**2) / 16
    assert mean - t * sqrt(variance) < -1
    assert (low, high) == (-1.0, 1.0), "both ends are cut"
    small = difference_interval([1.0, 1.0, 1.0, 1.0], list("aabb"))
    assert small == (1.0, 1.0), "two pictures that agree are known, one picture is not"
    assert accuracy_interval([1.0, 0.0, 1.0, 0.0], list("aabb")) != (0.0, 1.0)


def test_the_ends_of_a_difference_are_cut_at_one_and_minus_one() -> None:
    gains, clusters = [1.0] * 5 + [0.0], list("abcdef")
    low, high = difference_interval(gains, clusters)
    mirrored = difference_interval([-gain for gain in gains], clusters)
    t = float(stats.t.ppf(0.975, 5))
    half = t * sqrt(6 / 5 * (5 * (1 / 6) ** 2 + (5 / 6) ** 2) / 36)
    assert (low, high) == (pytest.approx(5 / 6 - half), 1.0)
    assert mirrored == (-1.0, pytest.approx(half - 5 / 6))
    assert 5 / 6 + half > 1


def test_the_paired_difference_by_hand() -> None:
    """Gains +1 +1 +1 0 0 -1 0 0: mean 1/4, sum of squares 4 - 8/16 = 3.5, variance 8/7 · 3.5 / 64 = 1/16."""
    paired = compare_marks(marks("wwwrwrrw"), marks("rrrrwwrw"))
    assert (paired.items, paired.accuracy_a, paired.accuracy_b, paired.difference) == (8, 0.375, 0.625, 0.25)
    assert (paired.low, paired.high) == (pytest.approx(0.25 - 2.364624 / 4), pytest.approx(0.25 + 2.364624 / 4))
    assert (paired.better, paired.worse) == (("b/0", "b/1", "b/2"), ("b/5",))
    assert paired.p_value == pytest.approx(0.625)  # 2 · (1 + 4) / 16


def test_the_paired_difference_of_clusters_by_hand() -> None:
    """Gains +1 +1 | 0 0 | 0 0 | 0 0: mean 1/4, totals 3/2 -1/2 -1/2 -1/2, variance 4/3 · 3 / 64 = 1/16."""
    paired = compare_marks(marks("wwrrwwrr", "aabbccdd"), marks("rrrrwwrr", "aabbccdd"))
    assert (paired.clusters, paired.difference) == (4, 0.25)
    assert (paired.low, paired.high) == (pytest.approx(0.25 - 3.182446 / 4), 1.0)  # the upper end is cut
    apart = compare_marks(marks("wwrrwwrr"), marks("rrrrwwrr"))
    assert apart.low is not None
    assert apart.low > 0.25 - 3.182446 / 4  # the same items of eight pictures say more


def test_only_items_known_for_both_are_compared() -> None:
    first = marks("ruwwr")
    second = [*marks("wrur"), Mark("b/9", "b", "open", "", "", "b/9", True, True, R)]
    paired = compare_marks(first, second)
    assert (paired.items, paired.better, paired.worse) == (2, ("b/3",), ("b/0",))
    nothing = compare_marks(first, [])
    assert (nothing.items, nothing.difference, nothing.low, nothing.p_value) == (0, None, None, None)


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (9, 1, 0.021484375), (4, 4, 1.0)],
)
def test_the_exact_test_by_hand(better: int, worse: int, p: float) -> None:
    assert mcnemar_p_value(better, worse) == mcnemar_p_value(worse, better) == pytest.approx(p)


def test_groups_come_largest_first_and_nameless_items_are_left_out() -> None:
    items = [*marks("rw"), Mark("b/7", "b", "open", "MRI", "", "b/7", True, True, R)]
    items.append(Mark("b/8", "b", "open", "", "", "b/8", True, True, R))
    found = summarise_groups(items, lambda one: one.modality)
    assert [(name, one.items, one.accuracy) for name, one in found.items()] == [("CT", 2, 0.5), ("MRI", 1, 1.0)]


def test_scores_are_means_over_the_items_that_have_one() -> None:
    items = [
        Mark("b/1", "b", "open", "", "", "1", True, True, R, 0.8, None),
        Mark("b/2", "b", "open", "", "", "2", True, True, W, 0.4, 0.5),
        Mark("b/3", "b", "open", "", "", "3", True, False, W, None, None),
    ]
    found = summarise_marks(items)
    assert (found.bert_score, found.mics_score) == (pytest.approx(0.6), 0.5)


def test_clusters_that_balance_themselves_make_an_accuracy_no_surer_than_independent_items_would() -> None:
    right, clusters = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0], list("aabbccc")
    low, high = accuracy_interval(right, clusters)
    width = float(stats.t.ppf(0.975, 2)) ** 2 / len(right)
    share = sum(right) / len(right)
    half = sqrt(width * share * (1 - share) + width**2 / 4) / (1 + width)
    centre = (share + width / 2) / (1 + width)
    assert (low, high) == pytest.approx((centre - half, centre + half))
