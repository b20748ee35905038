"""SIGTERM and Ctrl-C while a run is replayed: both end it where it stands, with the rows that it has."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPED = "stopped; the rows so far are kept, and the same command goes on"


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM comes as Ctrl-C does: as :class:`KeyboardInterrupt`, and inside an event loop as its cancelling."""
    # A shell starts what it puts into the background with Ctrl-C ignored; SIGTERM would be ignored with it.
    previous = {signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler)}
    previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, _as_ctrl_c)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)
