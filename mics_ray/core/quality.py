"""Quality control: what the course of a search's best scores says about its chain."""

from collections.abc import Sequence

from mics_ray.core.types import Quality


def grade(best_scores: Sequence[float]) -> Quality:
    """Grade the best score of each round, in order.

    Solved, or risen above the first round and not below its peak at the end, is ``KEEP``; risen and fallen again is
    ``RISE_FALL``; never above the first round is ``FLAT``; a search without a right vote is ``ZERO``.
    """
    if not any(best_scores):
        return Quality.ZERO
    first, peak, last = best_scores[0], max(best_scores), best_scores[-1]
    if last == 1 or last == peak > first:
        return Quality.KEEP
    return Quality.RISE_FALL if peak > first else Quality.FLAT
