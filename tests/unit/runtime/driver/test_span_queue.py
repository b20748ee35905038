from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from mics_ray.io.dealt_records import DealtRecord, DealtSpan
from mics_ray.runtime.driver.span_queue import SPANS_AHEAD, SpanQueue


class Source:
    """Spans of one record each, whose id is their number; with ``late``, each is there at the second question only."""

    def __init__(self, count: int, late: bool = False) -> None:
        self._spans = deque(DealtSpan((DealtRecord(str(number), False, b"", False),)) for number in range(count))
        self._late = self._asked = late

    @property
    def ended(self) -> bool:
        return not self._spans

    def take_span(self) -> DealtSpan | None:
        self._asked = self._late and not self._asked
        return self._spans.popleft() if self._spans and not self._asked else None


def at(span: DealtSpan) -> int:
    return int(span.records[0].id)


def whole(span: DealtSpan) -> DealtSpan | None:
    return span


def test_a_worker_draws_ahead_of_what_it_opens_and_no_further() -> None:
    queue = SpanQueue(Source(9), workers=2)
    drawn = [queue.take_span(0) for _ in range(SPANS_AHEAD)]
    assert [found and at(found[1]) for found in drawn] == list(range(SPANS_AHEAD))
    assert queue.take_span(0) is None
    assert (other := queue.take_span(1)) is not None
    assert at(other[1]) == SPANS_AHEAD
    queue.mark_opened(0, 0)
    assert queue.take_span(0) is not None, "what was opened need not be finished"


def test_what_a_lost_worker_leaves_undone_is_given_out_first() -> None:
    queue = SpanQueue(Source(4), workers=2)
    first, second, kept = queue.take_span(0), queue.take_span(0), queue.take_span(1)
    assert first
    assert second
    assert kept
    queue.mark_opened(0, first[0])
    queue.requeue_lost(0, lambda span: None if at(span) == 1 else span)
    again, last = queue.take_span(1), queue.take_span(0)
    assert again
    assert last
    assert (at(again[1]), at(last[1])) == (0, 3)
    assert not queue.finished
    for worker, number in ((1, kept[0]), (1, again[0]), (0, last[0])):
        queue.mark_opened(worker, number)
        queue.mark_done(worker, number)
    assert queue.finished


def test_no_span_at_all_is_over_at_once() -> None:
    assert SpanQueue(Source(0), workers=1).finished


@given(st.integers(1, 30), st.integers(1, 4), st.booleans(), st.data())
def test_whatever_is_lost_each_span_is_finished_once(count: int, workers: int, late: bool, data: st.DataObject) -> None:
    queue = SpanQueue(Source(count, late), workers)
    held: dict[int, dict[int, DealtSpan]] = {worker: {} for worker in range(workers)}
    finished: list[int] = []
    while not queue.finished:
        worker = data.draw(st.integers(0, workers - 1))
        while (drawn := queue.take_span(worker)) is not None:
            held[worker][drawn[0]] = drawn[1]
        if held[worker] and data.draw(st.booleans()):
            queue.requeue_lost(worker, whole)
            held[worker] = {}
        elif held[worker]:
            number = min(held[worker])
            queue.mark_opened(worker, number)
            queue.mark_done(worker, number)
            finished.append(at(held[worker].pop(number)))
    assert sorted(finished) == list(range(count))


def test_all_is_opened_when_nothing_is_left_to_begin_anywhere() -> None:
    queue = SpanQueue(Source(2), workers=2)
    first, second = queue.take_span(0), queue.take_span(1)
    assert first
    assert second
    queue.mark_opened(0, first[0])
    assert not queue.all_opened, "the other has not opened its span"
    queue.mark_opened(1, second[0])
    assert queue.all_opened
    assert not queue.finished
    queue.requeue_lost(1, whole)
    assert not queue.all_opened, "what a lost worker left is to be begun again"
