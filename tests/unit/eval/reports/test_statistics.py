from math import sqrt

import pytest

from eval.reports.statistics import Mark, compare_marks, summarise_groups, summarise_marks
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


def test_the_paired_difference_by_hand() -> None:
    """Gains +1 +1 +1 0 0 -1 0 0: centre (3 - 1) / 10, square (4 + 2) / 10, so 1.95996 · sqrt((0.6 - 0.04) / 10)."""
    paired = compare_marks(marks("wwwrwrrw"), marks("rrrrwwrw"))
    assert (paired.items, paired.accuracy_a, paired.accuracy_b, paired.difference) == (8, 0.375, 0.625, 0.25)
    half = 1.959964 * sqrt(0.056)
    assert (paired.low, paired.high) == (pytest.approx(0.2 - half), pytest.approx(0.2 + half))
    assert paired.interval == "Bonett-Price"
    assert (paired.better, paired.worse) == (("b/0", "b/1", "b/2"), ("b/5",))
    assert paired.p_value == pytest.approx(0.625)  # 2 · (1 + 4) / 16
    assert (paired.p_clustered, paired.test) == (None, "exact McNemar")


def test_where_pictures_repeat_the_interval_and_the_test_to_read_are_of_pictures() -> None:
    """Net flips 2, 2 | 1 | -1 of four pictures: of 16 sums of ±2 ±2 ±1 ±1, six are 4 or more away from 0."""
    paired = compare_marks(marks("wwwwwrr", "aabbccd"), marks("rrrrrrw", "aabbccd"))
    assert (paired.clusters, paired.better[-1], paired.worse) == (4, "b/4", ("b/6",))
    assert paired.interval == "Bonett-Price, clustered by picture"
    assert paired.p_value == pytest.approx(0.21875)  # 2 · (1 + 6) / 64
    assert (paired.p_clustered, paired.test) == (pytest.approx(0.375), "exact sign test of pictures")
    apart = compare_marks(marks("wwwwwrr"), marks("rrrrrrw"))
    assert apart.low is not None
    assert paired.low is not None
    assert apart.low > paired.low, "the same items of seven pictures say more"


def test_one_picture_has_no_interval_and_that_is_said() -> None:
    paired = compare_marks(marks("wwrr", "aaaa"), marks("rrrr", "aaaa"))
    assert (paired.difference, paired.low, paired.high, paired.p_clustered) == (0.5, None, None, 1.0)
    alone = summarise_marks(marks("rrw", "aaa"))
    assert (alone.accuracy, alone.low, alone.high) == (pytest.approx(2 / 3), None, None)
    assert paired.interval == alone.interval == "none: one picture alone says nothing of others"


def test_only_items_known_for_both_are_compared() -> None:
    first = marks("ruwwr")
    second = [*marks("wrur"), Mark("b/9", "b", "open", "", "", "b/9", True, True, R)]
    paired = compare_marks(first, second)
    assert (paired.items, paired.better, paired.worse) == (2, ("b/3",), ("b/0",))
    nothing = compare_marks(first, [])
    assert (nothing.items, nothing.difference, nothing.low, nothing.p_value) == (0, None, None, None)
    assert nothing.interval == "none: no items"


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
