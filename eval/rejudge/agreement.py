"""How far two judges agree: Cohen's kappa with an interval that knows that answers of one case are alike. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from scipy import stats

from mics_ray.core.types import Verdict

CONFIDENCE = 0.95
Table = tuple[int, int, int, int]
"""One case's answers that both judges know: both right, only the first right, only the second right, both wrong."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Over answers that both judges know: their share of equal verdicts, kappa and its 95 % interval.

    Kappa is ``None`` where a judge gives but one verdict and so does the other; its interval for a single case too.
    """

    answers: int
    cases: int
    equal: float | None
    kappa: float | None
    low: float | None
    high: float | None


def tabulate_verdicts(pairs: Iterable[tuple[Verdict, Verdict]]) -> Table:
    """One case's table from the verdicts of both judges; pairs with an unknown one are left out."""
    known = Counter((a, b) for a, b in pairs if Verdict.UNKNOWN not in (a, b))
    right, wrong = Verdict.RIGHT, Verdict.WRONG
    return known[right, right], known[right, wrong], known[wrong, right], known[wrong, wrong]


def measure_agreement(tables: Counter[Table]) -> Agreement:
    """Kappa of all cases; ``tables`` counts equal ones together.

    The variance is the delta method's with the cases as clusters (the sandwich, times G/(G-1)), which for one answer a
    case is that of Fleiss, Cohen and Everitt; Student's t of G-1 degrees of freedom.
    """
    # A case without a known pair is no cluster: it would only widen the degrees of freedom.
    cases = sum(count for one, count in tables.items() if sum(one))
    both, first, second, neither = (sum(one[i] * count for one, count in tables.items()) for i in range(4))
    n = both + first + second + neither
    if not n:
        return Agreement(0, 0, None, None, None, None)
    equal, p, q = (both + neither) / n, (both + first) / n, (both + second) / n
    # What two judges would agree on if each kept its share of right verdicts and drew by lot.
    chance = p * q + (1 - p) * (1 - q)
    if chance == 1:
        return Agreement(n, cases, equal, None, None, None)
    kappa = (equal - chance) / (1 - chance)
    if cases < 2:
        return Agreement(n, cases, equal, kappa, None, None)
    # The derivative of kappa at each cell of the table: how much an answer there moves it.
    pull = [
        ((same - equal) * (1 - chance) - (1 - equal) * ((2 * q - 1) * (a - p) + (2 * p - 1) * (b - q)))
        / (1 - chance) ** 2
        for same, a, b in ((1, 1, 1), (0, 1, 0), (0, 0, 1), (1, 0, 0))
    ]
    squares = sum(count * sum(x * u for x, u in zip(one, pull, strict=True)) ** 2 for one, count in tables.items())
    error = (squares * cases / (cases - 1)) ** 0.5 / n
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, cases - 1)) * error
    return Agreement(n, cases, equal, kappa, max(-1.0, kappa - half), min(1.0, kappa + half))
