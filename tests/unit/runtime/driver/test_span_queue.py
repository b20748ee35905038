from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from mics_ray.io.cases import Span
from mics_ray.io.input_files import InputFile
from mics_ray.io.sources import Format
from mics_ray.runtime.driver.span_queue import SPANS_AHEAD, SpanQueue


def spans(count: int) -> Iterator[Span]:
    return (Span(InputFile("x.jsonl", "x.jsonl"), Format.JSONL, 100, first, 0, b"\x01") for first in range(count))


def whole(span: Span) -> Span | None:
    return span


def test_a_worker_draws_ahead_of_what_it_opens_and_no_further() -> None:
    queue = SpanQueue(spans(9), workers=2)
    drawn = [queue.take_span(0) for _ in range(SPANS_AHEAD)]
    assert [found and found[1].first for found in drawn] == list(range(SPANS_AHEAD))
    assert queue.take_span(0) is None
    assert (other := queue.take_span(1)) is not None
    assert other[1].first == SPANS_AHEAD
    queue.mark_opened(0, 0)
    assert queue.take_span(0) is not None, "what was opened need not be finished"


def test_what_a_lost_worker_leaves_undone_is_given_out_first() -> None:
    queue = SpanQueue(spans(4), workers=2)
    first, second, kept = queue.take_span(0), queue.take_span(0), queue.take_span(1)
    assert first
    assert second
    assert kept
    queue.mark_opened(0, first[0])
    queue.requeue_lost(0, lambda span: None if span.first == 1 else span)
    again, last = queue.take_span(1), queue.take_span(0)
    assert again
    assert last
    assert (again[1].first, last[1].first) == (0, 3)
    assert not queue.finished
    for worker, number in ((1, kept[0]), (1, again[0]), (0, last[0])):
        queue.mark_opened(worker, number)
        queue.mark_done(worker, number)
    assert queue.finished


def test_no_span_at_all_is_over_at_once() -> None:
    assert SpanQueue(spans(0), workers=1).finished


@given(st.integers(1, 30), st.integers(1, 4), st.data())
def test_whatever_is_lost_each_span_is_finished_once(count: int, workers: int, data: st.DataObject) -> None:
    queue = SpanQueue(spans(count), workers)
    held: dict[int, dict[int, Span]] = {worker: {} for worker in range(workers)}
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
            finished.append(held[worker].pop(number).first)
    assert sorted(finished) == list(range(count))
