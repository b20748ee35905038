"""How often the intervals of evaluations hold the true value.

``python -m benchmarks.interval_coverage`` (2 minutes of CPU) prints the tables of docs/statistics.md: the least and the
mean share over the settings of each line, 95 % being what is said. Small samples are gone through exactly, over every
outcome; clustered ones are drawn, with a fixed seed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import lgamma, sqrt

import numpy as np
from rich.console import Console
from scipy import stats

from eval.rejudge.agreement import Table, measure_agreement
from mics_ray.intervals import Interval, accuracy_interval, difference_interval

SAMPLES, SEED = 600, 1
FLIPS = ((0.02, 0.02), (0.1, 0.05), (0.3, 0.1), (0.6, 0.05), (0.85, 0.05), (0.45, 0.45))
"""Chances of a gain and of a loss."""
SIZES = (2, 3, 5, 10, 20, 50)
ALIKE = (0.0, 0.3, 1.0)
"""Of two items of one picture: the chance that both are as the picture is."""
JUDGES = tuple((p, q, k) for p, q in ((0.5, 0.5), (0.8, 0.8), (0.9, 0.7)) for k in (0.0, 0.3, 0.5, 0.9, 0.97))
"""Two judges' shares of right verdicts, and their kappa."""
UNITS: tuple[Table, ...] = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
"""Cases of one answer."""
Make = Callable[[Sequence[float], Sequence[str]], Interval]


def main() -> None:
    """Print the lines, the seeds' table last."""
    console, random = Console(soft_wrap=True, highlight=False), np.random.default_rng(SEED)
    lines = {
        "paired, no picture repeats: every outcome of 5, 8, 12, 20 pairs": [
            cover_pairs(count, gain, loss) for count in (5, 8, 12, 20) for gain, loss in FLIPS
        ],
        "paired, pictures repeat: 2 to 50 pictures of 4, or 1 to 8, items": [
            cover_clusters(random, difference_interval, (gain, loss), *setting)
            for gain, loss in FLIPS
            for setting in product(SIZES, (4, 0), ALIKE)
        ],
        "accuracy, pictures repeat: the same pictures": [
            cover_clusters(random, accuracy_interval, (share, 0.0), *setting)
            for share in (0.05, 0.3, 0.5, 0.9)
            for setting in product(SIZES, (4, 0), ALIKE)
        ],
        "kappa, an answer a case: every outcome of 4, 6, 10, 20, 40": [
            found for count in (4, 6, 10, 20, 40) for judges in JUDGES if (found := cover_kappa(count, *judges))
        ],
        "kappa, 5 to 50 cases of 4 answers": [
            cover_kappa_clusters(random, cases, alike, *judges)
            for cases, alike, judges in product((5, 10, 20, 50), ALIKE, JUDGES)
            if list_cells(*judges)
        ],
    }
    console.print("| interval | settings | least | mean |\n|---|---:|---:|---:|")
    for name, shares in lines.items():
        console.print(f"| {name} | {len(shares)} | {min(shares):.1%} | {np.mean(shares):.1%} |")
    for share in (0.0, 0.5, 0.9, 0.99):
        held = (f"{one:.1%}" for one in cover_seeds(random, share))
        console.print(f"| {share:.0%} | {' | '.join(held)} |")


def cover_pairs(count: int, gain: float, loss: float) -> float:
    """Exactly, over every outcome of ``count`` pairs of a picture each."""
    held, chances = 0.0, (gain, loss, 1 - gain - loss)
    for cells in iter_outcomes(count, 3):
        found = difference_interval(
            [1.0] * cells[0] + [-1.0] * cells[1] + [0.0] * cells[2], list(map(str, range(count)))
        )
        held += outcome_chance(cells, chances) * is_inside(found, gain - loss)
    return held


def cover_clusters(
    random: np.random.Generator, make: Make, chances: tuple[float, float], groups: int, size: int, alike: float
) -> float:
    """Drawn: ``groups`` pictures of ``size`` items, 0: of 1 to 8."""
    shares, held = [*chances, 1 - sum(chances)], 0
    for _ in range(SAMPLES):
        sizes = np.full(groups, size) if size else random.integers(1, 9, groups)
        cluster = np.repeat(np.arange(groups), sizes)
        common, own = random.choice([1.0, -1.0, 0.0], (2, len(cluster)), p=shares)
        values = np.where(random.random(len(cluster)) < sqrt(alike), common[cluster], own)
        held += is_inside(make(list(values), list(map(str, cluster))), chances[0] - chances[1])
    return held / SAMPLES


def cover_kappa(count: int, p: float, q: float, kappa: float) -> float | None:
    """Exactly, of those outcomes in which kappa is defined; ``None`` where no two such judges can be."""
    chances, held, defined = list_cells(p, q, kappa), 0.0, 0.0
    for cells in iter_outcomes(count, 4) if chances else ():
        found = measure_agreement(Counter(dict(zip(UNITS, cells, strict=True))))
        if found.kappa is not None:
            weight = outcome_chance(cells, chances)
            defined += weight
            held += weight * is_inside(Interval(found.low, found.high, ""), kappa)
    return held / defined if defined else None


def cover_kappa_clusters(
    random: np.random.Generator, cases: int, alike: float, p: float, q: float, kappa: float
) -> float:
    """Drawn: cases of four answers, of the samples in which kappa is defined."""
    held = defined = 0
    for _ in range(SAMPLES // 2):
        common, own = (random.choice(4, (cases, width), p=list_cells(p, q, kappa)) for width in (1, 4))
        cells = np.where(random.random((cases, 4)) < sqrt(alike), common, own)
        tables: Counter[Table] = Counter(_count_cells(case) for case in cells)
        found = measure_agreement(tables)
        defined += found.kappa is not None
        held += found.kappa is not None and is_inside(Interval(found.low, found.high, ""), kappa)
    return held / defined


def _count_cells(case: np.ndarray) -> Table:
    both, first, second, neither = (int(one) for one in np.bincount(case, minlength=4))
    return both, first, second, neither


def cover_seeds(random: np.random.Generator, share: float, count: int = 200_000) -> tuple[float, ...]:
    """Drawn, three seeds: squares added, Satterthwaite's t, the normal quantile, a bootstrap of both."""
    error = np.abs(random.normal(0, 1, count))
    items, seeds = 1 - share, share * random.chisquare(2, count) / 2
    freedom = (items + seeds) ** 2 / (seeds**2 / 2 + items**2 / 899)
    normal = stats.norm.ppf(0.975)
    halves = (
        np.hypot(normal * sqrt(items), stats.t.ppf(0.975, 2) * np.sqrt(seeds)),
        stats.t.ppf(0.975, freedom) * np.sqrt(items + seeds),
        normal * np.sqrt(items + seeds),
        normal * np.sqrt(items + seeds * 2 / 3),  # three drawn of three vary by two thirds of their variance
    )
    return tuple(float(np.mean(error <= half)) for half in halves)


def list_cells(p: float, q: float, kappa: float) -> list[float]:
    """Chances of both right, only the first, only the second, neither; empty where one would be negative."""
    chance = p * q + (1 - p) * (1 - q)
    both = (chance + kappa * (1 - chance) + p + q - 1) / 2
    cells = [both, p - both, q - both, 1 - p - q + both]
    return cells if min(cells) >= 0 else []


def iter_outcomes(count: int, cells: int) -> Iterator[tuple[int, ...]]:
    """Every way in which ``count`` items fall into ``cells``."""
    if cells == 1:
        yield (count,)
        return
    for first in range(count + 1):
        yield from ((first, *rest) for rest in iter_outcomes(count - first, cells - 1))


def outcome_chance(cells: Sequence[int], chances: Sequence[float]) -> float:
    """The multinomial chance of an outcome."""
    ways = lgamma(sum(cells) + 1) - sum(lgamma(one + 1) for one in cells)
    return float(np.exp(ways) * np.prod([chance**one for chance, one in zip(chances, cells, strict=True)]))


def is_inside(found: Interval, truth: float) -> bool:
    """Whether the interval holds the truth."""
    return found.low is not None and found.high is not None and found.low - 1e-12 <= truth <= found.high + 1e-12


if __name__ == "__main__":
    main()
