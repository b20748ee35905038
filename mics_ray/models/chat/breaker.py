"""A circuit breaker for one provider: pure, with the time (seconds of any one clock) as an argument."""

THRESHOLD = 5  # calls in a row, different ones: one poisoned request does not close a provider
PROBE_EVERY_S = 1.0
OUTAGE_S = 600.0
OUTAGE_KINDS = ("connection", "server_error")
"""A timeout is none: a model that is slow is not away."""


class Breaker:
    """Opens after faults of :data:`THRESHOLD` different calls without a success; a success closes it."""

    def __init__(self) -> None:
        self._failed: set[bytes] = set()
        self._opened: float | None = None
        self._next_probe = 0.0

    @property
    def is_open(self) -> bool:
        """Whether only probes may go out."""
        return self._opened is not None

    def seconds_to_wait(self, now: float) -> float:
        """Seconds to wait before asking here again; 0 lets the caller send, as the probe if the breaker is open."""
        if self._opened is None:
            return 0.0
        if now < self._next_probe:
            return self._next_probe - now
        self._next_probe = now + PROBE_EVERY_S
        return 0.0

    def record_fault(self, call: bytes, now: float) -> None:
        """An attempt of ``call`` got no answer, or a 5xx."""
        self._failed.add(call)
        if self._opened is None and len(self._failed) >= THRESHOLD:
            self._opened, self._next_probe = now, now + PROBE_EVERY_S

    def record_success(self) -> None:
        """The provider works."""
        self._failed.clear()
        self._opened = None

    def is_long_outage(self, now: float) -> bool:
        """Whether it has been open for :data:`OUTAGE_S`."""
        return self._opened is not None and now - self._opened >= OUTAGE_S
