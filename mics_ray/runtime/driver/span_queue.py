"""Spans of the input on their way to workers: numbered, given out in their order, those of lost workers first. Pure."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from mics_ray.io.dealt_records import DealtSpan

SPANS_AHEAD = 2
"""Spans that a worker has and has not opened to the end: it opens the one and has the other."""


class SpanSource(Protocol):
    """Where spans come from that nobody has had."""

    @property
    def ended(self) -> bool:
        """Whether none will come any more."""

    def take_span(self) -> DealtSpan | None:
        """The next one; ``None`` where none is there yet, or none is left."""


@dataclass(slots=True)
class _HeldSpans:
    """What one worker holds: spans by number, and those of them that it has not opened to the end."""

    spans: dict[int, DealtSpan] = field(default_factory=dict)
    opening: set[int] = field(default_factory=set)


class SpanQueue:
    """Numbers spans from 0 and gives them out in their order; what a lost worker left comes first."""

    def __init__(self, source: SpanSource, workers: int) -> None:
        self._source = source
        self._requeued: deque[DealtSpan] = deque()
        self._held = [_HeldSpans() for _ in range(workers)]
        self._number = 0

    @property
    def finished(self) -> bool:
        """Whether no span is held and none is left."""
        held = any(held.spans for held in self._held)
        return not held and not self._requeued and self._source.ended

    @property
    def all_opened(self) -> bool:
        """Whether the records of every span have been begun, as far as nobody who holds one is lost."""
        return self._source.ended and not self._requeued and not any(held.opening for held in self._held)

    def take_span(self, worker: int) -> tuple[int, DealtSpan] | None:
        """The next span for a worker and its number; ``None`` when it has enough to open or none is there."""
        held = self._held[worker]
        if len(held.opening) >= SPANS_AHEAD or (span := self._next_span()) is None:
            return None
        number, self._number = self._number, self._number + 1
        held.spans[number] = span
        held.opening.add(number)
        return number, span

    def mark_opened(self, worker: int, number: int) -> None:
        """A worker has begun every record of a span: it may take another."""
        self._held[worker].opening.remove(number)

    def mark_done(self, worker: int, number: int) -> None:
        """Each record of a span has its row."""
        del self._held[worker].spans[number]

    def requeue_lost(self, worker: int, undone: Callable[[DealtSpan], DealtSpan | None]) -> None:
        """A worker is gone: what is ``undone`` of its spans will be given out again."""
        held, self._held[worker] = self._held[worker], _HeldSpans()
        self._requeued.extend(rest for span in held.spans.values() if (rest := undone(span)) is not None)

    def _next_span(self) -> DealtSpan | None:
        if self._requeued:
            return self._requeued.popleft()
        return self._source.take_span()
