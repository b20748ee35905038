"""Accuracy with an interval, and two models over the same items. Pure functions of marks; shares are from 0 to 1.

A lost call is no wrong answer: an item whose verdict is unknown counts in ``lost`` and in no share of right answers.

Items that share a picture are alike, so intervals are of clusters, by the cluster-robust variance of a mean (the
sandwich, times G/(G-1) for G clusters) with Student's t of G-1 degrees of freedom. For an accuracy it enters Wilson's
interval as an effective number of items, which holds near 0 and 1 and stays inside. It was chosen over the bootstrap
because it is the same every time, can be checked by hand, and costs nothing for each of the many breakdowns.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from eval.scoring.reading import AMBIGUOUS
from mics_ray.core.types import Verdict

CONFIDENCE = 0.95
COLUMNS = (
    *("item_id", "benchmark", "kind", "modality", "topic", "cluster", "output", "parsed", "kept_form", "unread"),
    "lenient",
    *("bert_score", "mics_score"),
)
"""What :func:`mark` reads of a row."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How one item was answered. ``cluster`` is unique over all benchmarks; ``replied``: there is an output.

    ``verdict`` is the lenient one.
    """

    item_id: str
    benchmark: str
    kind: str
    modality: str
    topic: str
    cluster: str
    replied: bool
    parsed: bool
    verdict: Verdict
    bert_score: float | None = None
    mics_score: float | None = None
    kept_form: bool = True
    ambiguous: bool = False

    @property
    def strict(self) -> Verdict:
        """The verdict where the form counts."""
        return Verdict.WRONG if self.verdict is Verdict.RIGHT and not self.kept_form else self.verdict


@dataclass(frozen=True, slots=True)
class Summary:
    """Items, those with a known verdict, lost ones; accuracy of the known ones with its 95 % interval, by lenient
    verdicts and by strict ones; the share of replies in which an answer was found, and of those in the form that was
    asked for; replies that name several answers; means of the two scores over the items that have one. ``None``: no
    items."""

    items: int
    known: int
    lost: int
    clusters: int
    accuracy: float | None
    low: float | None
    high: float | None
    strict: float | None
    strict_low: float | None
    strict_high: float | None
    parse_rate: float | None
    form_rate: float | None
    ambiguous: int
    bert_score: float | None
    mics_score: float | None


@dataclass(frozen=True, slots=True)
class Paired:
    """Model B minus model A over the items whose verdict is known for both.

    ``better`` are the ids that only B has right, ``worse`` those that only A has right; ``p_value`` is the exact
    two-sided McNemar test of them, which takes items as independent. Without items the numbers are ``None``.
    """

    items: int
    clusters: int
    accuracy_a: float | None
    accuracy_b: float | None
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    better: tuple[str, ...]
    worse: tuple[str, ...]


def mark_row(row: Mapping[str, Any]) -> Mark:
    """The mark of a row of :data:`eval.rows.ANSWERS`."""
    return Mark(
        item_id=row["item_id"],
        benchmark=row["benchmark"],
        kind=row["kind"],
        modality=row["modality"],
        topic=row["topic"],
        # Benchmarks number their pictures alike: without its name two sets would share clusters.
        cluster=f"{row['benchmark']}/{row['cluster']}",
        # The verdict too: of an empty reply a rule says wrong, of a lost call nobody says anything.
        replied=bool(row["output"]) or row["lenient"] != Verdict.UNKNOWN,  # an empty reply is one
        parsed=bool(row["parsed"]),
        verdict=Verdict(row["lenient"]),
        bert_score=row["bert_score"],
        mics_score=row["mics_score"],
        kept_form=bool(row["kept_form"]),
        ambiguous=(row["unread"] or "").startswith(AMBIGUOUS),
    )


def use_strict(marks: Iterable[Mark]) -> list[Mark]:
    """The same with the strict verdict in the lenient one's place."""
    return [replace(one, verdict=one.strict) for one in marks]


def summarise_marks(marks: Sequence[Mark]) -> Summary:
    """The account of some items."""
    known = [one for one in marks if one.verdict is not Verdict.UNKNOWN]
    right = [float(one.verdict is Verdict.RIGHT) for one in known]
    clusters = [one.cluster for one in known]
    low, high = accuracy_interval(right, clusters)
    in_form = [float(one.strict is Verdict.RIGHT) for one in known]
    strict_low, strict_high = accuracy_interval(in_form, clusters)
    return Summary(
        items=len(marks),
        known=len(known),
        lost=len(marks) - len(known),
        clusters=len(set(clusters)),
        accuracy=_mean_or_none(right),
        low=low,
        high=high,
        strict=_mean_or_none(in_form),
        strict_low=strict_low,
        strict_high=strict_high,
        parse_rate=_mean_or_none([float(one.parsed) for one in marks if one.replied]),
        form_rate=_mean_or_none([float(one.kept_form) for one in marks if one.replied]),
        ambiguous=sum(one.ambiguous for one in marks),
        bert_score=_mean_or_none([one.bert_score for one in marks if one.bert_score is not None]),
        mics_score=_mean_or_none([one.mics_score for one in marks if one.mics_score is not None]),
    )


def summarise_groups(marks: Sequence[Mark], by: Callable[[Mark], str]) -> dict[str, Summary]:
    """A summary of each group, the largest first; items without a name for it are left out."""
    groups: dict[str, list[Mark]] = {}
    for one in marks:
        if name := by(one):
            groups.setdefault(name, []).append(one)
    return {name: summarise_marks(groups[name]) for name in sorted(groups, key=lambda name: (-len(groups[name]), name))}


def compare_marks(first: Iterable[Mark], second: Iterable[Mark]) -> Paired:
    """Model B (``second``) against model A (``first``), item by item in the order of A's."""
    others = {one.item_id: one for one in second}
    pairs = [(one, others[one.item_id]) for one in first if one.item_id in others]
    # Lost on one side is lost for the pair: taken as wrong it would be a flip that no model made.
    pairs = [(a, b) for a, b in pairs if Verdict.UNKNOWN not in (a.verdict, b.verdict)]
    before = [float(a.verdict is Verdict.RIGHT) for a, _ in pairs]
    after = [float(b.verdict is Verdict.RIGHT) for _, b in pairs]
    gains = [new - old for old, new in zip(before, after, strict=True)]
    clusters = [a.cluster for a, _ in pairs]
    low, high = difference_interval(gains, clusters)
    better = tuple(a.item_id for (a, _), gain in zip(pairs, gains, strict=True) if gain > 0)
    worse = tuple(a.item_id for (a, _), gain in zip(pairs, gains, strict=True) if gain < 0)
    return Paired(
        items=len(pairs),
        clusters=len(set(clusters)),
        accuracy_a=_mean_or_none(before),
        accuracy_b=_mean_or_none(after),
        difference=_mean_or_none(gains),
        low=low,
        high=high,
        p_value=mcnemar_p_value(len(better), len(worse)) if pairs else None,
        better=better,
        worse=worse,
    )


def accuracy_interval(right: Sequence[float], clusters: Sequence[str]) -> tuple[float | None, float | None]:
    """Wilson's 95 % interval of a share of ones, with the number of items that independent ones would need.

    Where all items are right, or all wrong, each cluster counts as one item. One cluster alone says nothing: 0 to 1.
    """
    if not right:
        return None, None
    share, groups = float(np.mean(right)), len(set(clusters))
    if groups < 2:
        return 0.0, 1.0
    # Wilson's interval of as many independent items as would vary like these clusters do; never more than there are.
    spread, count = share * (1 - share), float(len(right))
    variance = _cluster_variance(right, clusters)
    effective = float(groups) if spread == 0 else min(count, spread / variance) if variance > 0 else count
    width = _t_quantile(groups) ** 2 / effective
    centre = (share + width / 2) / (1 + width)
    half = float(np.sqrt(width * spread + width**2 / 4)) / (1 + width)
    return max(0.0, centre - half), min(1.0, centre + half)


def difference_interval(gains: Sequence[float], clusters: Sequence[str]) -> tuple[float | None, float | None]:
    """The 95 % interval of the mean of paired differences, each -1, 0 or 1. One cluster alone says nothing: -1 to 1."""
    if not gains:
        return None, None
    groups = len(set(clusters))
    if groups < 2:
        return -1.0, 1.0
    mean = float(np.mean(gains))
    half = _t_quantile(groups) * float(np.sqrt(_cluster_variance(gains, clusters)))
    return max(-1.0, mean - half), min(1.0, mean + half)


def mcnemar_p_value(better: int, worse: int) -> float:
    """The exact two-sided p-value of McNemar's test: are flips in both directions equally likely?"""
    return float(stats.binomtest(better, better + worse, 0.5).pvalue) if better + worse else 1.0


def _cluster_variance(values: Sequence[float], clusters: Sequence[str]) -> float:
    """The cluster-robust variance of the mean of ``values``, of at least two clusters."""
    _, group = np.unique(np.asarray(clusters), return_inverse=True)
    totals = np.bincount(group, weights=np.asarray(values) - np.mean(values))
    return float(len(totals) / (len(totals) - 1) * np.sum(totals**2) / len(values) ** 2)


def _t_quantile(groups: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, groups - 1))


def _mean_or_none(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
