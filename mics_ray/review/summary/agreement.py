"""How far reviewers, and judge and reviewers, agree beyond chance; the coefficients are nltk's.

Cohen's kappa is of two, Fleiss' of any number who marked every item; Krippendorff's alpha takes items that some left
out. Where only one verdict was ever given chance alone agrees always, and no coefficient says anything.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from nltk.metrics.agreement import AnnotationTask

Ratings = Mapping[str, Mapping[str, str]]
"""Rater -> item -> verdict."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """``value`` is the coefficient, from below 0 to 1, ``None`` where it is not defined; ``alike`` the share of
    ``items`` on which all who marked them say the same."""

    measure: str
    raters: str
    items: int
    alike: float | None
    value: float | None


def group_ratings(marks: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    """(rater, item, verdict) by rater and item."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for rater, item, verdict in marks:
        found[rater][item] = verdict
    return dict(found)


def compare_raters(ratings: Ratings) -> list[Agreement]:
    """Cohen's kappa of each pair, and of all Fleiss' kappa and Krippendorff's alpha; empty for one rater alone."""
    names = sorted(ratings)
    if len(names) < 2:
        return []
    found = [measure_cohen(ratings, one, other) for one, other in combinations(names, 2)]
    return [*found, measure_fleiss(ratings), measure_alpha(ratings)]


def measure_cohen(ratings: Ratings, one: str, other: str) -> Agreement:
    """Cohen's kappa (1960) over the items that both marked."""
    pair = {name: ratings[name] for name in (one, other)}
    items = _keep_common(pair)
    return _measure("Cohen's kappa", f"{one}, {other}", pair, items, lambda task: task.kappa_pairwise(one, other))


def measure_fleiss(ratings: Ratings) -> Agreement:
    """Fleiss' kappa (1971) over the items that all marked. nltk knows it as multi-pi."""
    return _measure("Fleiss' kappa", "all", ratings, _keep_common(ratings), lambda task: task.pi())


def measure_alpha(ratings: Ratings) -> Agreement:
    """Krippendorff's alpha of nominal verdicts, over the items that two at least marked."""
    counts: dict[str, int] = defaultdict(int)
    for marks in ratings.values():
        for item in marks:
            counts[item] += 1
    items = sorted(item for item, count in counts.items() if count > 1)
    return _measure("Krippendorff's alpha", "all", ratings, items, lambda task: task.alpha())


def _keep_common(ratings: Ratings) -> list[str]:
    return sorted(set.intersection(*(set(marks) for marks in ratings.values())))


def _measure(
    name: str, raters: str, ratings: Ratings, items: Sequence[str], compute: Callable[[AnnotationTask], float]
) -> Agreement:
    data = [
        (rater, number, marks[item])
        for number, item in enumerate(items)
        for rater, marks in ratings.items()
        if item in marks
    ]
    said = [{marks[item] for marks in ratings.values() if item in marks} for item in items]
    alike = sum(len(verdicts) == 1 for verdicts in said) / len(said) if said else None
    is_defined = len({verdict for _, _, verdict in data}) > 1
    return Agreement(name, raters, len(items), alike, float(compute(AnnotationTask(data))) if is_defined else None)
