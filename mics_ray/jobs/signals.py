"""Ctrl-C and SIGTERM as a wish that the program looks up when it can."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopper:
    """Ctrl-C or SIGTERM asks for a clean stop; the second one ends the program at once."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Install the handlers for a while."""
        previous = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
