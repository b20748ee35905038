"""Intervals and tests of shares and of paired differences, honest at small counts. Pure; shares are from 0 to 1.

Items that share a picture are alike: pictures are the clusters. The cluster-robust variance of a mean (the sandwich,
times G/(G-1) for G clusters) says how many independent items would vary like these clusters do, and an interval that
holds at small counts and near its limits is taken of so many, with Student's t of G-1 degrees of freedom: Wilson's for
a share, Bonett and Price's (2012) for a paired difference of shares. Analytic and not bootstrapped: the same every
time, checked by hand, and a bootstrap of few clusters, or of items that are all alike, is too narrow.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
MCNEMAR = "exact McNemar"
SIGN_FLIP = "exact sign test of pictures"


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends of a 95 % interval and its method; without one they are ``None``, and ``method`` says why."""

    low: float | None
    high: float | None
    method: str


NO_ITEMS = Interval(None, None, "none: no items")
ONE_CLUSTER = Interval(None, None, "none: one picture alone says nothing of others")
ALL_ALIKE = Interval(None, None, "none: all values are the same")


def accuracy_interval(right: Sequence[float], clusters: Sequence[str]) -> Interval:
    """Wilson's interval of a share of ones. Where all items are right, or all wrong, a cluster counts as one item."""
    if none := _find_none(right, clusters):
        return none
    share = float(np.mean(right))
    width = t_quantile(len(set(clusters)) - 1) ** 2 / _count_effective(right, clusters)
    centre = (share + width / 2) / (1 + width)
    half = float(np.sqrt(width * share * (1 - share) + width**2 / 4)) / (1 + width)
    return Interval(max(0.0, centre - half), min(1.0, centre + half), _name_method("Wilson", clusters))


def difference_interval(gains: Sequence[float], clusters: Sequence[str]) -> Interval:
    """Bonett and Price's interval of the mean of paired differences, each from -1 to 1.

    Without a flip, or with the same one everywhere, a cluster counts as one pair.
    """
    if none := _find_none(gains, clusters):
        return none
    alike = len(set(clusters)) < len(gains)
    # Where no picture repeats nothing is estimated but the shares: then it is the published interval, with its normal.
    count = _count_effective(gains, clusters) if alike else float(len(gains))
    quantile = t_quantile(len(set(clusters)) - 1) if alike else float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    # A pair is added to either kind of flip, so that no flips, or flips of one kind, are not taken for certainty.
    centre = float(np.mean(gains)) * count / (count + 2)
    square = (float(np.mean(np.square(gains))) * count + 2) / (count + 2)
    half = quantile * float(np.sqrt((square - centre**2) / (count + 2)))
    return Interval(max(-1.0, centre - half), min(1.0, centre + half), _name_method("Bonett-Price", clusters))


def mean_interval(values: Sequence[float], clusters: Sequence[str]) -> Interval:
    """Student's interval of the mean of any values, such as paired differences of cost, clusters as one draw each.

    Values that are all the same have none: nothing shows how they vary.
    """
    if none := _find_none(values, clusters):
        return none
    variance = _vary_mean(values, clusters)
    if variance <= 0:
        return ALL_ALIKE
    half = t_quantile(len(set(clusters)) - 1) * float(np.sqrt(variance))
    centre = float(np.mean(values))
    return Interval(centre - half, centre + half, _name_method("Student's t", clusters))


def mcnemar_p_value(better: int, worse: int) -> float:
    """The exact two-sided p-value of McNemar's test: are flips in both directions equally likely?"""
    return float(stats.binomtest(better, better + worse, 0.5).pvalue) if better + worse else 1.0


def sign_flip_p_value(gains: Sequence[float], clusters: Sequence[str]) -> float:
    """The exact two-sided p-value where clusters are independent, and items within one need not be; gains are integers.

    Were the models alike, a cluster's net flips would be as likely with the other sign: that distribution, of the sum
    over clusters. It is McNemar's exact test where no picture repeats; its large-sample form is Yang, Sun and Hardin's
    (2010) statistic.
    """
    net: Counter[str] = Counter()
    for cluster, gain in zip(clusters, gains, strict=True):
        net[cluster] += round(gain)
    weights: np.ndarray = np.ones(1)
    for size, count in Counter(abs(one) for one in net.values() if one).items():
        # As many clusters of the same size are a binomial on a grid of steps of 2 * size.
        spread = np.zeros(2 * size * count + 1)
        spread[:: 2 * size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
        weights = np.convolve(weights, spread)
    sums = np.arange(len(weights)) - len(weights) // 2
    return min(1.0, float(weights[np.abs(sums) >= abs(sum(net.values()))].sum()))


def t_quantile(freedom: float) -> float:
    """Student's t for a two-sided interval at :data:`CONFIDENCE`."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))


def _find_none(values: Sequence[float], clusters: Sequence[str]) -> Interval | None:
    if not values:
        return NO_ITEMS
    return ONE_CLUSTER if len(set(clusters)) < 2 else None


def _count_effective(values: Sequence[float], clusters: Sequence[str]) -> float:
    """How many independent items would vary like these clusters; never more than there are."""
    if min(values) == max(values):
        return float(len(set(clusters)))  # nothing shows how alike items of a cluster are: as alike as can be
    variance = _vary_mean(values, clusters)
    return min(float(len(values)), float(np.var(values)) / variance) if variance > 0 else float(len(values))


def _vary_mean(values: Sequence[float], clusters: Sequence[str]) -> float:
    """The cluster-robust variance of the mean; of single items it is the usual s^2 / n."""
    _, group = np.unique(np.asarray(clusters), return_inverse=True)
    totals = np.bincount(group, weights=np.asarray(values) - np.mean(values))
    return float(len(totals) / (len(totals) - 1) * np.sum(totals**2) / len(values) ** 2)


def _name_method(name: str, clusters: Sequence[str]) -> str:
    return f"{name}, clustered by picture" if len(set(clusters)) < len(clusters) else name
