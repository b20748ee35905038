"""Intervals and tests against hand-computed figures, published ones, scipy, and by how often they hold the truth."""

from collections.abc import Callable
from math import comb, sqrt

import pytest
from scipy import stats

from mics_ray.intervals import (
    ALL_ALIKE,
    NO_ITEMS,
    ONE_CLUSTER,
    Interval,
    accuracy_interval,
    difference_interval,
    mcnemar_p_value,
    mean_interval,
    sign_flip_p_value,
)

CLUSTERED = "Bonett-Price, clustered by picture"


def ends(gains: list[float], clusters: str = "") -> tuple[float, float]:
    """The ends of a difference's interval; without ``clusters`` every item has a picture of its own."""
    found = difference_interval(gains, list(clusters) or [str(n) for n in range(len(gains))])
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def share_ends(right: list[float], clusters: list[str]) -> tuple[float, float]:
    found = accuracy_interval(right, clusters)
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def make_gains(better: int, worse: int, same: int) -> list[float]:
    return [1.0] * better + [-1.0] * worse + [0.0] * same


def test_the_interval_of_independent_items_is_wilsons() -> None:
    """30 of 100 right: variance 100/99 · 0.21/100, so 99 effective items; t of 99 degrees of freedom is 1.98422."""
    low, high = share_ends([1.0] * 30 + [0.0] * 70, [str(n) for n in range(100)])
    t, n = 1.984216952, 99.0
    centre = (0.3 + t * t / (2 * n)) / (1 + t * t / n)
    half = t / (1 + t * t / n) * sqrt(0.21 / n + t * t / (4 * n * n))
    assert (low, high) == (pytest.approx(centre - half), pytest.approx(centre + half))
    usual = stats.binomtest(30, 100).proportion_ci(method="wilson")
    assert (low, high) == (pytest.approx(usual.low, abs=0.002), pytest.approx(usual.high, abs=0.002))


def test_items_of_one_picture_count_together() -> None:
    """Four pictures with two equal answers each: totals ±1, variance 4/3 · 4/64 = 1/12, so 3 effective items of 8."""
    right, clusters = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0], list("aabbccdd")
    low, high = share_ends(right, clusters)
    t = float(stats.t.ppf(0.975, 3))
    assert low == pytest.approx(0.5 - t / (2 * sqrt(3 + t * t)))
    assert high == pytest.approx(1 - low)
    assert low < share_ends(right, list("abcdefgh"))[0]


def test_all_right_or_all_wrong_leaves_room_for_doubt() -> None:
    """Ten pictures, twenty items: as ten items, 1 / (1 + t²/10) with t = 2.2622."""
    low, high = share_ends([1.0] * 20, list("abcdefghij") * 2)
    assert (low, high) == (pytest.approx(1 / (1 + 2.262157**2 / 10), rel=1e-5), 1.0)
    low, high = share_ends([0.0] * 20, list("abcdefghij") * 2)
    assert (low, high) == (pytest.approx(0.0), pytest.approx(1 - 1 / (1 + 2.262157**2 / 10), rel=1e-5))


def test_clusters_that_are_all_alike_never_count_as_more_items_than_there_are() -> None:
    """One right and one wrong per picture: no spread between 50 pictures, so plain Wilson of 100 items."""
    low, _ = share_ends([1.0, 0.0] * 50, [str(n // 2) for n in range(100)])
    t = float(stats.t.ppf(0.975, 49))
    assert low == pytest.approx(0.5 - t / (2 * sqrt(100 + t * t)))


def test_clusters_that_balance_themselves_make_an_accuracy_no_surer_than_independent_items_would() -> None:
    right, clusters = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0], list("aabbccc")
    width = float(stats.t.ppf(0.975, 2)) ** 2 / len(right)
    share = sum(right) / len(right)
    half = sqrt(width * share * (1 - share) + width**2 / 4) / (1 + width)
    centre = (share + width / 2) / (1 + width)
    assert share_ends(right, clusters) == pytest.approx((centre - half, centre + half))


@pytest.mark.parametrize("make", [accuracy_interval, difference_interval])
def test_no_items_and_one_picture_have_no_interval_and_the_reason(
    make: Callable[[list[float], list[str]], Interval],
) -> None:
    assert make([], []) == NO_ITEMS
    for values in ([1.0], [1.0, 0.0], [0.0] * 9):
        assert make(values, ["a"] * len(values)) == ONE_CLUSTER


def test_the_method_is_named() -> None:
    assert accuracy_interval([1.0, 0.0], ["a", "b"]).method == "Wilson"
    assert accuracy_interval([1.0, 0.0, 1.0], ["a", "b", "b"]).method == "Wilson, clustered by picture"
    assert difference_interval([1.0, 0.0], ["a", "b"]).method == "Bonett-Price"
    assert difference_interval([1.0, 0.0, 1.0], ["a", "b", "b"]).method == CLUSTERED


@pytest.mark.parametrize(
    ("better", "worse", "same", "low", "high"),
    [
        (1, 7, 13, -0.508, -0.013),  # Bentur et al. 2009 in Fagerland, Lydersen and Laake 2014: 1 and 7 flips of 21
        (0, 0, 5, -0.3960, 0.3960),  # 1.95996 · sqrt(2/7 / 7)
        (5, 0, 0, 0.1958, 1.0),  # 5/7 - 1.95996 · sqrt((1 - 25/49) / 7)
        (0, 5, 0, -1.0, -0.1958),
        (0, 0, 2, -0.6930, 0.6930),  # 1.95996 · sqrt(2/4 / 4)
        (10, 10, 0, -0.4179, 0.4179),  # 1.95996 · sqrt(1 / 22)
        (0, 0, 998, -0.00277, 0.00277),  # 1.95996 · sqrt(2/1000 / 1000)
    ],
)
def test_pairs_without_repeated_pictures_have_the_published_interval(
    better: int, worse: int, same: int, low: float, high: float
) -> None:
    assert ends(make_gains(better, worse, same)) == pytest.approx((low, high), abs=5e-4)


@pytest.mark.parametrize("count", [5, 12])
def test_few_pairs_hold_the_true_difference_as_often_as_is_said(count: int) -> None:
    """Exactly, over every outcome; never far below 95 %, and above it in the mean."""
    outcomes = [(b, w, count - b - w) for b in range(count + 1) for w in range(count + 1 - b)]
    found = {one: ends(make_gains(*one)) for one in outcomes}
    shares = []
    for gain, loss in ((0.02, 0.02), (0.1, 0.02), (0.3, 0.1), (0.6, 0.05), (0.85, 0.05), (0.45, 0.45)):
        held = 0.0
        for (b, w, s), (low, high) in found.items():
            if low <= gain - loss <= high:
                held += comb(count, b) * comb(count - b, w) * gain**b * loss**w * (1 - gain - loss) ** s
        shares.append(held)
    assert min(shares) > 0.92
    assert sum(shares) / len(shares) > 0.95


def test_pairs_of_one_picture_count_together() -> None:
    """Gains +1 +1 | 0 0 | 0 0 | 0 0: spread 3/16, totals 3/2 -1/2 -1/2 -1/2, variance 4/3 · 3 / 64 = 1/16: 3 pairs.

    Of 3 pairs: centre 3/4 / 5, square (3/4 + 2) / 5; t of 3 degrees of freedom is 3.18245.
    """
    gains = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    half = 3.182446 * sqrt((2.75 / 5 - 0.15**2) / 5)
    assert ends(gains, "aabbccdd") == (pytest.approx(max(-1.0, 0.15 - half)), pytest.approx(min(1.0, 0.15 + half)))
    assert ends(gains, "aabbccdd")[0] < ends(gains)[0], "the same items of eight pictures say more"


def test_two_pictures_have_an_interval_however_much_they_agree() -> None:
    """t of one degree of freedom is 12.7: two pictures never say more than the direction could be either."""
    for gains in ([1.0, 0.0, 1.0, 1.0], [1.0] * 4, [0.0] * 4):
        assert ends(gains, "aabb") == (-1.0, 1.0)
    assert ends([0.0] * 2) == pytest.approx((-0.693, 0.693), abs=1e-3), "two independent pairs say a little"


def test_pictures_of_many_pairs_without_a_flip_count_once() -> None:
    """Ten pictures of ten pairs each: as ten pairs, 2.262157 · sqrt(2/12 / 12)."""
    half = 2.262157 * sqrt(2 / 12 / 12)
    assert ends([0.0] * 100, "abcdefghij" * 10) == pytest.approx((-half, half))


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (9, 1, 0.021484375), (4, 4, 1.0), (1, 7, 0.0703125)],
)
def test_the_exact_test_by_hand(better: int, worse: int, p: float) -> None:
    assert mcnemar_p_value(better, worse) == mcnemar_p_value(worse, better) == pytest.approx(p)
    gains = make_gains(better, worse, 3)
    assert sign_flip_p_value(gains, [str(n) for n in range(len(gains))]) == pytest.approx(p)


@pytest.mark.parametrize(
    ("gains", "clusters", "p"),
    [
        ([1.0] * 6, "aaaaaa", 1.0),  # one picture: its sign is a coin
        ([1.0] * 6, "aaabbb", 0.5),  # two pictures: both heads or both tails
        ([1.0, 1.0, 1.0, -1.0], "aabc", 0.75),  # ±2 ±1 ±1, found 2: of 8 sums 4, 2, 2, 0, 0, -2, -2, -4 six reach 2
        ([1.0, 1.0, 1.0, 1.0], "aabb", 0.5),
        ([1.0, -1.0], "aa", 1.0),  # flips that cancel within a picture
        ([], "", 1.0),
    ],
)
def test_the_test_of_pictures_by_hand(gains: list[float], clusters: str, p: float) -> None:
    assert sign_flip_p_value(gains, list(clusters)) == pytest.approx(p)


def test_the_test_of_many_pictures_nears_its_large_sample_form() -> None:
    """Yang, Sun and Hardin: (sum of net flips)² over the sum of their squares, chi-square of one degree of freedom."""
    net = [3, 2, -2, 1, -1, -1, 1, -1, -1, -2, 2, 1, -3, -1, 1, 3] * 8
    gains = [1.0 if one > 0 else -1.0 for one in net for _ in range(abs(one))]
    clusters = [str(place) for place, one in enumerate(net) for _ in range(abs(one))]
    statistic = (sum(net) - 0.5) ** 2 / sum(one**2 for one in net)  # for the steps of the exact distribution
    assert sign_flip_p_value(gains, clusters) == pytest.approx(float(stats.chi2.sf(statistic, 1)), rel=0.2)
    better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    assert mcnemar_p_value(better, worse) < sign_flip_p_value(gains, clusters), "as if independent, far too sure"


def test_the_interval_of_a_mean_of_any_values_is_students() -> None:
    values = [1.0, 3.0, 2.0, 6.0]
    found = mean_interval(values, list("abcd"))
    expected = stats.t.interval(0.95, 3, loc=3, scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.method == "Student's t"


def test_values_of_one_picture_are_one_draw() -> None:
    """Totals of the clusters about the mean 2: -2 and 2; variance 2/1 * 8 / 16 = 1; t of one degree 12.706."""
    found = mean_interval([1.0, 1.0, 3.0, 3.0], list("aabb"))
    assert (found.low, found.high) == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-4)
    assert found.method == "Student's t, clustered by picture"


def test_a_mean_without_spread_or_of_one_cluster_has_no_interval() -> None:
    assert mean_interval([0.0, 0.0], list("ab")) == ALL_ALIKE
    assert mean_interval([0.0, 1.0], list("aa")) == ONE_CLUSTER
    assert mean_interval([], []) == NO_ITEMS
