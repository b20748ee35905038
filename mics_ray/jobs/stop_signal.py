"""Ctrl-C and SIGTERM: a wish that a job looks up where it can end, or an interruption where it only reads."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mics_ray.errors import Stopped


class StopSignal:
    """Whether a stop was asked for. The second Ctrl-C or SIGTERM ends the program at once."""

    def __init__(self) -> None:
        self.asked = False
        self._interrupts = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Install the handlers for a while."""
        # SIGINT too, whatever it was: a shell starts what it puts into the background with Ctrl-C ignored.
        previous = {number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Meanwhile a signal raises :class:`Stopped` where the program stands, in a long file that it reads, say."""
        with self._set_interrupts(True):
            yield

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Meanwhile a signal only sets ``asked``, which the caller looks up: an event loop would not survive more."""
        with self._set_interrupts(False):
            yield

    def check(self) -> None:
        """Raises :class:`Stopped` where a stop was asked for."""
        if self.asked:
            raise Stopped

    @contextmanager
    def _set_interrupts(self, value: bool) -> Iterator[None]:
        before, self._interrupts = self._interrupts, value
        try:
            yield
        finally:
            self._interrupts = before

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self._interrupts:
            raise Stopped
