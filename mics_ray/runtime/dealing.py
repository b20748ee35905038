"""Who searches which span of the input: every span is with one worker, and is dealt again when that worker is lost."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mics_ray.io.cases import Span

AHEAD = 2
"""Spans that a worker has and has not opened to the end: it opens the one and has the other."""


@dataclass(slots=True)
class _Hand:
    """What one worker holds: spans by number, and those of them that it has not opened to the end."""

    spans: dict[int, Span] = field(default_factory=dict)
    opening: set[int] = field(default_factory=set)


class Deal:
    """Numbers spans from 0 and hands them out in their order; what a lost worker leaves comes first."""

    def __init__(self, spans: Iterator[Span], workers: int) -> None:
        self._fresh = spans
        self._next = next(spans, None)
        self._again: deque[Span] = deque()
        self._hands = [_Hand() for _ in range(workers)]
        self._number = 0

    @property
    def over(self) -> bool:
        """Whether no span is held and none is left."""
        return self._next is None and not self._again and not any(hand.spans for hand in self._hands)

    def draw(self, worker: int) -> tuple[int, Span] | None:
        """The next span for a worker and its number; ``None`` when it has enough to open or no span is left."""
        hand = self._hands[worker]
        if len(hand.opening) >= AHEAD or (span := self._take()) is None:
            return None
        number, self._number = self._number, self._number + 1
        hand.spans[number] = span
        hand.opening.add(number)
        return number, span

    def opened(self, worker: int, number: int) -> None:
        """A worker has begun every record of a span: it may draw another."""
        self._hands[worker].opening.remove(number)

    def done(self, worker: int, number: int) -> None:
        """Each record of a span has its row."""
        del self._hands[worker].spans[number]

    def lost(self, worker: int, undone: Callable[[Span], Span | None]) -> None:
        """A worker is gone: what is ``undone`` of its spans will be dealt again."""
        held, self._hands[worker] = self._hands[worker], _Hand()
        self._again.extend(rest for span in held.spans.values() if (rest := undone(span)) is not None)

    def _take(self) -> Span | None:
        if self._again:
            return self._again.popleft()
        span, self._next = self._next, next(self._fresh, None)
        return span
