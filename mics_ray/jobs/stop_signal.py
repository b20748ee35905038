"""Ctrl-C and SIGTERM: a wish that a job looks up where it can end, or an interruption where it only reads."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from mics_ray.errors import Stopped


class StopSignal:
    """Whether a stop was asked for. The second Ctrl-C or SIGTERM ends the program at once."""

    def __init__(self) -> None:
        self.asked = False
        self._interrupts = False
        self._wake: Callable[[], object] | None = None

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Install the handlers for a while."""
        # SIGINT too, whatever it was: a shell starts what it puts into the background with Ctrl-C ignored.
        previous = {number: signal.signal(number, self._receive_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextmanager
    def raise_on_signal(self) -> Iterator[None]:
        """Meanwhile a signal raises :class:`Stopped` where the program stands, in a long file that it reads, say."""
        with self._set_interrupts(True):
            yield

    @contextmanager
    def defer_stop(self, wake: Callable[[], object]) -> Iterator[None]:
        """Meanwhile a signal sets ``asked``, which the caller looks up, and calls ``wake``; an event loop would not
        survive an exception. Python's handlers alone do not wake a loop, and until it looks it would pay for calls."""
        before, self._wake = self._wake, wake
        try:
            with self._set_interrupts(False):
                yield
        finally:
            self._wake = before

    def raise_if_asked(self) -> None:
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

    def _receive_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            # Asked twice, a person wants the end more than an orderly one.
            raise KeyboardInterrupt
        self.asked = True
        if self._wake is not None:
            self._wake()
        if self._interrupts:
            raise Stopped
