"""Accuracy with an interval, and two models over the same items. Pure functions of marks; shares are from 0 to 1.

A lost call is no wrong answer: an item whose verdict is unknown counts in ``lost`` and in no share of right answers.
:mod:`mics_ray.intervals` says how intervals and tests are made.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eval.scoring.reading import AMBIGUOUS
from eval.types import ChainState
from mics_ray.core.types import Verdict
from mics_ray.intervals import (
    MCNEMAR,
    SIGN_FLIP,
    accuracy_interval,
    difference_interval,
    mcnemar_p_value,
    sign_flip_p_value,
)

COLUMNS = (
    *("item_id", "benchmark", "kind", "modality", "topic", "cluster", "output", "parsed", "kept_form", "unread"),
    "lenient",
    *("bert_score", "mics_score", "mics_chain", "mics_leaks"),
)
"""What :func:`mark` reads of a row."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How one item was answered. ``cluster`` is unique over all benchmarks; ``replied``: there is an output.

    ``verdict`` is the lenient one. ``chain`` is the :class:`eval.types.ChainState` of the model's own chain, "" where
    no MICS-Score was asked for; ``leaks``: its steps give the gold answer away.
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
    chain: str = ""
    leaks: bool = False

    @property
    def strict(self) -> Verdict:
        """The verdict where the form counts."""
        return Verdict.WRONG if self.verdict is Verdict.RIGHT and not self.kept_form else self.verdict


@dataclass(frozen=True, slots=True)
class Summary:
    """Items, those with a known verdict, lost ones; accuracy of the known ones with its 95 % interval, by lenient
    verdicts and by strict ones; the share of replies in which an answer was found, and of those in the form that was
    asked for; replies that name several answers; means of the two scores over the items that have one. ``None``: no
    items.

    ``interval`` is the method of both intervals, or why there is none (then their ends are ``None``).
    ``mics_score`` is over ``mics_scored`` chains, ``mics_clean`` over those of them that leak nothing (all but
    ``mics_leaking``); chains without the form and lost ones have no score and are counted apart.
    """

    items: int
    known: int
    lost: int
    clusters: int
    accuracy: float | None
    low: float | None
    high: float | None
    interval: str
    strict: float | None
    strict_low: float | None
    strict_high: float | None
    parse_rate: float | None
    form_rate: float | None
    ambiguous: int
    bert_score: float | None
    mics_score: float | None
    mics_clean: float | None
    mics_scored: int
    mics_leaking: int
    mics_no_form: int
    mics_lost: int


@dataclass(frozen=True, slots=True)
class Paired:
    """Model B minus model A over the items whose verdict is known for both.

    ``better`` are the ids that only B has right, ``worse`` those that only A has right; ``p_value`` is the exact
    two-sided McNemar test of them, which takes items as independent, ``p_clustered`` the exact test of the pictures'
    net flips where pictures repeat, else ``None``; ``test`` names the one to read. ``interval`` is the interval's
    method, or why there is none. Without items the numbers are ``None``.
    """

    items: int
    clusters: int
    accuracy_a: float | None
    accuracy_b: float | None
    difference: float | None
    low: float | None
    high: float | None
    interval: str
    p_value: float | None
    p_clustered: float | None
    test: str
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
        chain=row["mics_chain"] or "",
        leaks=bool(row["mics_leaks"]),
    )


def use_strict(marks: Iterable[Mark]) -> list[Mark]:
    """The same with the strict verdict in the lenient one's place."""
    return [replace(one, verdict=one.strict) for one in marks]


def summarise_marks(marks: Sequence[Mark]) -> Summary:
    """The account of some items."""
    known = [one for one in marks if one.verdict is not Verdict.UNKNOWN]
    scored = [one for one in marks if one.mics_score is not None]
    right = [float(one.verdict is Verdict.RIGHT) for one in known]
    clusters = [one.cluster for one in known]
    in_form = [float(one.strict is Verdict.RIGHT) for one in known]
    lenient, strict = accuracy_interval(right, clusters), accuracy_interval(in_form, clusters)
    return Summary(
        items=len(marks),
        known=len(known),
        lost=len(marks) - len(known),
        clusters=len(set(clusters)),
        accuracy=_mean_or_none(right),
        low=lenient.low,
        high=lenient.high,
        interval=lenient.method,
        strict=_mean_or_none(in_form),
        strict_low=strict.low,
        strict_high=strict.high,
        parse_rate=_mean_or_none([float(one.parsed) for one in marks if one.replied]),
        form_rate=_mean_or_none([float(one.kept_form) for one in marks if one.replied]),
        ambiguous=sum(one.ambiguous for one in marks),
        bert_score=_mean_or_none([one.bert_score for one in marks if one.bert_score is not None]),
        mics_score=_mean_or_none([one.mics_score for one in scored if one.mics_score is not None]),
        mics_clean=_mean_or_none([one.mics_score for one in scored if one.mics_score is not None and not one.leaks]),
        mics_scored=len(scored),
        mics_leaking=sum(one.leaks for one in scored),
        mics_no_form=sum(one.chain == ChainState.NO_FORM for one in marks),
        mics_lost=sum(one.chain == ChainState.LOST for one in marks),
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
    interval = difference_interval(gains, clusters)
    alike = len(set(clusters)) < len(pairs)
    better = tuple(a.item_id for (a, _), gain in zip(pairs, gains, strict=True) if gain > 0)
    worse = tuple(a.item_id for (a, _), gain in zip(pairs, gains, strict=True) if gain < 0)
    return Paired(
        items=len(pairs),
        clusters=len(set(clusters)),
        accuracy_a=_mean_or_none(before),
        accuracy_b=_mean_or_none(after),
        difference=_mean_or_none(gains),
        low=interval.low,
        high=interval.high,
        interval=interval.method,
        p_value=mcnemar_p_value(len(better), len(worse)) if pairs else None,
        p_clustered=sign_flip_p_value(gains, clusters) if alike else None,
        test=SIGN_FLIP if alike else MCNEMAR,
        better=better,
        worse=worse,
    )


def _mean_or_none(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
