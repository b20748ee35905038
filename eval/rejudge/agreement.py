"""How far two judges agree: Cohen's kappa with an interval that knows that answers of one case are alike. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mics_ray.core.types import Verdict
from mics_ray.intervals import t_quantile

METHOD = "delta method clustered by case, half a case added to each cell"
Table = tuple[int, int, int, int]
"""One case's answers that both judges know: both right, only the first right, only the second right, both wrong."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Over answers that both judges know: their share of equal verdicts, kappa and its 95 % interval.

    ``interval`` is the interval's method, or why there is none; without one ``low`` and ``high`` are ``None``, and
    ``kappa`` too where both judges give but one and the same verdict.
    """

    answers: int
    cases: int
    equal: float | None
    kappa: float | None
    low: float | None
    high: float | None
    interval: str


def tabulate_verdicts(pairs: Iterable[tuple[Verdict, Verdict]]) -> Table:
    """One case's table from the verdicts of both judges; pairs with an unknown one are left out."""
    known = Counter((a, b) for a, b in pairs if Verdict.UNKNOWN not in (a, b))
    right, wrong = Verdict.RIGHT, Verdict.WRONG
    return known[right, right], known[right, wrong], known[wrong, right], known[wrong, wrong]


def measure_agreement(tables: Counter[Table]) -> Agreement:
    """Kappa of all cases with its interval; ``tables`` counts equal ones together."""
    # A case without a known pair is no cluster: it would only widen the degrees of freedom.
    cases = sum(count for one, count in tables.items() if sum(one))
    cells = _sum_cells(tables)
    n = sum(cells)
    if not n:
        return Agreement(0, 0, None, None, None, None, "none: no answers")
    equal, chance, _ = _derive_kappa(cells)
    if chance == 1:
        return Agreement(n, cases, equal, None, None, None, "none: both judges gave but one verdict")
    kappa = (equal - chance) / (1 - chance)
    if cases < 2:
        return Agreement(n, cases, equal, kappa, None, None, "none: one case alone says nothing of others")
    low, high = _kappa_interval(tables, cases, cells)
    # Half cases pull towards 0, so that the centre is not kappa; the interval still has to hold what was found.
    return Agreement(n, cases, equal, kappa, max(-1.0, min(low, kappa)), min(1.0, max(high, kappa)), METHOD)


def _kappa_interval(tables: Counter[Table], cases: int, cells: Sequence[float]) -> tuple[float, float]:
    """The delta method's interval with the cases as clusters (the sandwich, times G/(G-1)), t of G-1 degrees.

    Half a case is added to each cell, of as many answers as a case has on average: without them judges that agree on
    the little that they saw would have no variance, and kappa's interval would be a point.
    """
    size = sum(cells) / cases
    equal, chance, pull = _derive_kappa([one + size / 2 for one in cells])
    squares = sum(count * sum(x * u for x, u in zip(one, pull, strict=True)) ** 2 for one, count in tables.items())
    squares += sum((size * u) ** 2 / 2 for u in pull)
    groups = cases + 2
    error = (squares * groups / (groups - 1)) ** 0.5 / (size * groups)
    centre, half = (equal - chance) / (1 - chance), t_quantile(cases - 1) * error
    return centre - half, centre + half


def _derive_kappa(cells: Sequence[float]) -> tuple[float, float, list[float]]:
    """The share of equal verdicts, that of two judges who draw by lot and keep their shares of right verdicts, and the
    derivative of kappa at each cell: how much an answer there moves it (empty where kappa is not defined)."""
    both, first, second, neither = cells
    n = sum(cells)
    equal, p, q = (both + neither) / n, (both + first) / n, (both + second) / n
    chance = p * q + (1 - p) * (1 - q)
    if chance == 1:
        return equal, chance, []
    pull = [
        ((same - equal) * (1 - chance) - (1 - equal) * ((2 * q - 1) * (a - p) + (2 * p - 1) * (b - q)))
        / (1 - chance) ** 2
        for same, a, b in ((1, 1, 1), (0, 1, 0), (0, 0, 1), (1, 0, 0))
    ]
    return equal, chance, pull


def _sum_cells(tables: Counter[Table]) -> list[int]:
    return [sum(one[i] * count for one, count in tables.items()) for i in range(4)]
