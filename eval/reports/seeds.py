"""Two models over several training seeds each: an interval over seeds and items. Pure; shares are from 0 to 1.

Seeds and items are crossed: each seed's model answers the same items. The interval over items alone takes the seeds as
given, that over seeds alone the items; both half-widths are squared and added (the method of variance estimates
recovery). With three seeds this holds the truth in 95 to 98 of 100 samples, whatever the seeds' share of the variance;
a bootstrap over three seeds in 76, where seeds matter most (``docs/statistics.md``). No test is made: of three signs
the least two-sided p is 0.25.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.reports.statistics import Mark
from mics_ray.core.types import Verdict
from mics_ray.intervals import NO_ITEMS, Interval, difference_interval, t_quantile


@dataclass(frozen=True, slots=True)
class SeededPaired:
    """Model B minus model A over the items whose verdict is known in every evaluation.

    ``low`` and ``high`` are over seeds and items, the others over one of them with the other as given; ``interval`` is
    the method, or why there is none. ``by_seed`` is the difference of each seed. Without items numbers are ``None``.
    """

    seeds: int
    items: int
    clusters: int
    interval: str
    accuracy_a: float | None = None
    accuracy_b: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    items_low: float | None = None
    items_high: float | None = None
    seeds_low: float | None = None
    seeds_high: float | None = None
    by_seed: tuple[float, ...] = ()


def compare_seeds(first: Sequence[Sequence[Mark]], second: Sequence[Sequence[Mark]]) -> SeededPaired:
    """Model B (``second``) against model A (``first``): the marks of each seed, two seeds at least of one of them.

    The seeds of both are paired in their order; a side of one model, such as the base, is set beside each of the other.
    """
    items = _list_known([*first, *second])
    before, after = (_tabulate_right(side, list(items)) for side in (first, second))
    gains = after - before  # seeds x items; a side of one model is the same in every row
    if not items:
        return SeededPaired(seeds=len(gains), items=0, clusters=0, interval=NO_ITEMS.method)
    by_seed = tuple(float(one) for one in gains.mean(axis=1))
    difference = float(np.mean(by_seed))
    # Of few items differences are coarse: seeds that seem to agree may differ by a rounding to 1/items.
    spread = max(float(np.std(by_seed, ddof=1)), 1 / (len(items) * float(np.sqrt(12))))
    half = t_quantile(len(gains) - 1) * spread / float(np.sqrt(len(gains)))
    over_items = difference_interval([float(one) for one in gains.mean(axis=0)], list(items.values()))
    both = _add_half_width(over_items, difference, half)
    return SeededPaired(
        seeds=len(gains),
        items=len(items),
        clusters=len(set(items.values())),
        interval=both.method,
        accuracy_a=float(before.mean()),
        accuracy_b=float(after.mean()),
        difference=difference,
        low=both.low,
        high=both.high,
        items_low=over_items.low,
        items_high=over_items.high,
        seeds_low=max(-1.0, difference - half),
        seeds_high=min(1.0, difference + half),
        by_seed=by_seed,
    )


def _list_known(sides: Sequence[Sequence[Mark]]) -> dict[str, str]:
    """The cluster of each item that has a known verdict everywhere, in the order of the first."""
    known = [{one.item_id for one in marks if one.verdict is not Verdict.UNKNOWN} for marks in sides]
    return {one.item_id: one.cluster for one in sides[0] if all(one.item_id in found for found in known)}


def _tabulate_right(side: Sequence[Sequence[Mark]], items: Sequence[str]) -> np.ndarray:
    """Seeds x items: 1 where the verdict is right."""
    found: list[Mapping[str, bool]] = [{one.item_id: one.verdict is Verdict.RIGHT for one in marks} for marks in side]
    return np.array([[float(right[item]) for item in items] for right in found])


def _add_half_width(over_items: Interval, difference: float, half: float) -> Interval:
    if over_items.low is None or over_items.high is None:
        return over_items
    low = difference - float(np.hypot(difference - over_items.low, half))
    high = difference + float(np.hypot(over_items.high - difference, half))
    return Interval(max(-1.0, low), min(1.0, high), f"{over_items.method}; t over seeds, squares of half-widths added")
