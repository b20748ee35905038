"""Two runs of the same cases: outcomes that flipped, scores and cost in pairs, with intervals of the differences."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mics_ray.core.types import KEPT_OUTCOMES, Outcome, Quality
from mics_ray.intervals import Interval, difference_interval, mean_interval, sign_flip_p_value
from mics_ray.io.index.ids import hash_id
from mics_ray.review.data.case_data import find_score, is_flagged, sum_cost
from mics_ray.review.data.chart import format_value

UNSURE = (Outcome.FAILED, Outcome.REJECTED)
"""Of such a case nothing can be said: a lost call is no worse outcome."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a case that is compared. ``share``: from 0 to 1, a yes or no where ``flips``."""

    label: str
    style: str
    flips: bool = False
    share: bool = True
    unsure: bool = False
    """Whether cases count that failed or were rejected on a side."""


MEASURES = (
    Measure("solved", "share", flips=True),
    Measure("chain kept", "share", flips=True),
    Measure("quality keep", "share", flips=True),
    Measure("MICS-Score of the kept chain", "number"),
    Measure("kept chain with a leak flag", "share", flips=True),
    Measure("US dollars a case", "usd", share=False, unsure=True),
    Measure("tokens a case", "count", share=False, unsure=True),
)

Figures = tuple[float | None, ...]
"""A case's value of each of :data:`MEASURES`."""


@dataclass(frozen=True, slots=True)
class OtherCase:
    """What is kept of a case of the other run: about 200 bytes. ``asked`` tells its question and gold answer."""

    number: int
    outcome: str
    score: float | None
    asked: int
    figures: Figures


def note_case(row: Mapping[str, Any], number: int) -> OtherCase:
    """A case of the other run; ``number`` is its place there."""
    return OtherCase(number, row["outcome"], find_score(row), hash_asked(row), measure_case(row))


def hash_asked(row: Mapping[str, Any]) -> int:
    """What tells whether two rows of one id are the same case: question, gold answers, pictures."""
    return hash_id(repr((row["question"], row["answer"], list(row["other_answers"]), list(row["images"]))))


def measure_case(row: Mapping[str, Any]) -> Figures:
    """The value of each of :data:`MEASURES`; ``None`` where the case has none."""
    outcome, kept = row["outcome"], row["outcome"] in KEPT_OUTCOMES
    tokens = sum(used["prompt_tokens"] + used["completion_tokens"] for used in row["usage"])
    return (
        float(outcome == Outcome.SOLVED),
        float(kept),
        float(row["quality"] == Quality.KEEP),
        find_score(row),
        float(is_flagged(row)) if kept else None,
        sum_cost(row),
        float(tokens),
    )


@dataclass(frozen=True, slots=True)
class PairedMeasure:
    """One measure over the pairs that have it on both sides: means, the other run less this one, and its interval.

    ``more`` and ``less`` are pairs in which the other run's figure is higher or lower; ``p_value`` only of flips.
    """

    label: str
    style: str
    pairs: int
    this: float | None
    other: float | None
    difference: float | None
    interval: Interval
    more: int
    less: int
    p_value: float | None


@dataclass(slots=True)
class PairTally:
    """Pairs of rows, added one by one: 8 bytes a measure and side, and a name of its pictures, are kept of each."""

    pairs: int = 0
    only_this: int = 0
    differing: int = 0
    """Cases whose id both have and whose question, gold answer or pictures are not the same: no pair."""
    flips: Counter[tuple[str, str]] = field(default_factory=Counter)
    _this: "list[array[float]]" = field(default_factory=lambda: [array("d") for _ in MEASURES])
    _other: "list[array[float]]" = field(default_factory=lambda: [array("d") for _ in MEASURES])
    _clusters: "list[array[int]]" = field(default_factory=lambda: [array("Q") for _ in MEASURES])

    def add_row(self, row: Mapping[str, Any], other: OtherCase | None) -> bool:
        """Count a row of this run beside the case of the same id; whether they are a pair."""
        if other is None:
            self.only_this += 1
            return False
        if other.asked != hash_asked(row):
            self.differing += 1
            return False
        self.pairs += 1
        self.flips[row["outcome"], other.outcome] += 1
        unsure = row["outcome"] in UNSURE or other.outcome in UNSURE
        # Cases of the same pictures are alike: they vary together.
        cluster = hash_id(repr(list(row["images"]) or row["case_id"]))
        for at, (mine, theirs) in enumerate(zip(measure_case(row), other.figures, strict=True)):
            if mine is None or theirs is None or (unsure and not MEASURES[at].unsure):
                continue
            self._this[at].append(mine)
            self._other[at].append(theirs)
            self._clusters[at].append(cluster)
        return True

    def compare(self) -> list[PairedMeasure]:
        """Each measure over its pairs."""
        return [self._compare_one(at) for at in range(len(MEASURES))]

    def _compare_one(self, at: int) -> PairedMeasure:
        measure, this, other = MEASURES[at], self._this[at], self._other[at]
        gains = [theirs - mine for mine, theirs in zip(this, other, strict=True)]
        clusters = [str(one) for one in self._clusters[at]]
        interval = (difference_interval if measure.share else mean_interval)(gains, clusters)
        count = len(gains)
        return PairedMeasure(
            measure.label,
            measure.style,
            count,
            sum(this) / count if count else None,
            sum(other) / count if count else None,
            sum(gains) / count if count else None,
            interval,
            sum(gain > 0 for gain in gains),
            sum(gain < 0 for gain in gains),
            sign_flip_p_value(gains, clusters) if measure.flips and count else None,
        )


def tabulate_measures(found: Sequence[PairedMeasure], this: str, other: str) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of measures."""
    head = ["measure", "pairs", this, other, "difference", "95 % interval", f"{other} higher", "lower", "p", "method"]
    return head, [_tabulate_measure(one) for one in found]


def _tabulate_measure(one: PairedMeasure) -> list[str]:
    means = [format_value(value, one.style) for value in (one.this, one.other)]
    low, high = one.interval.low, one.interval.high
    span = (
        "–" if low is None or high is None else f"{_format_change(low, one.style)} to {_format_change(high, one.style)}"
    )
    p_value = "–" if one.p_value is None else f"{one.p_value:.2g}"
    difference = "–" if one.difference is None else _format_change(one.difference, one.style)
    return [
        one.label,
        f"{one.pairs:,}",
        *means,
        difference,
        span,
        f"{one.more:,}",
        f"{one.less:,}",
        p_value,
        one.interval.method,
    ]


def _format_change(value: float, style: str) -> str:
    if style == "share":
        return f"{100 * value:+.1f} points"
    sign = "+" if value >= 0 else "-"
    return f"{sign}{format_value(abs(value), style)}"


def tabulate_flips(flips: Mapping[tuple[str, str], int], this: str, other: str) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of outcomes: this run's down, the other's across."""
    mine, theirs = ([one.value for one in Outcome if any(one == pair[side] for pair in flips)] for side in (0, 1))
    head = [f"{this} ↓  {other} →", *theirs, "all"]
    rows = [[one, *(f"{flips.get((one, two), 0):,}" for two in theirs), f"{_sum_row(flips, one):,}"] for one in mine]
    return head, rows


def _sum_row(flips: Mapping[tuple[str, str], int], outcome: str) -> int:
    return sum(count for (one, _), count in flips.items() if one == outcome)
