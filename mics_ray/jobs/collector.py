"""Python's collector of reference cycles, set for processes that make many calls."""

import gc

THRESHOLDS = (20_000, 50, 100)


def spare_collector() -> None:
    """Let it look seldom, and never at what is there: libraries that load, calls and rows leave no cycles behind.

    At Python's own thresholds it takes a tenth of the CPU of loading, an eighth of a call's, and finds nothing. To be
    called again where more has been loaded.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
