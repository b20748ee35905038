"""Python's collector of reference cycles, set for processes that make many calls."""

import gc

THRESHOLDS = (20_000, 50, 100)


def spare_collector() -> None:
    """Let it look seldom, and never at what is there: calls and rows leave no cycles behind.

    At Python's own thresholds it takes an eighth of a call's CPU and finds nothing.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
