from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from mics_ray.io.cases import Span
from mics_ray.io.sources import Format
from mics_ray.runtime.driver.worker_pool import AHEAD, SpanQueue


def spans(count: int) -> Iterator[Span]:
    return (Span("x.jsonl", Format.JSONL, 100, first, 0, b"\x01") for first in range(count))


def whole(span: Span) -> Span | None:
    return span


def test_a_worker_draws_ahead_of_what_it_opens_and_no_further() -> None:
    deal = SpanQueue(spans(9), workers=2)
    drawn = [deal.draw(0) for _ in range(AHEAD)]
    assert [found and found[1].first for found in drawn] == list(range(AHEAD))
    assert deal.draw(0) is None
    assert (other := deal.draw(1)) is not None
    assert other[1].first == AHEAD
    deal.opened(0, 0)
    assert deal.draw(0) is not None, "what was opened need not be finished"


def test_what_a_lost_worker_leaves_undone_is_dealt_first() -> None:
    deal = SpanQueue(spans(4), workers=2)
    first, second, kept = deal.draw(0), deal.draw(0), deal.draw(1)
    assert first
    assert second
    assert kept
    deal.opened(0, first[0])
    deal.lost(0, lambda span: None if span.first == 1 else span)
    again, last = deal.draw(1), deal.draw(0)
    assert again
    assert last
    assert (again[1].first, last[1].first) == (0, 3)
    assert not deal.over
    for worker, number in ((1, kept[0]), (1, again[0]), (0, last[0])):
        deal.opened(worker, number)
        deal.done(worker, number)
    assert deal.over


def test_no_span_at_all_is_over_at_once() -> None:
    assert SpanQueue(spans(0), workers=1).over


@given(st.integers(1, 30), st.integers(1, 4), st.data())
def test_whatever_is_lost_each_span_is_finished_once(count: int, workers: int, data: st.DataObject) -> None:
    deal = SpanQueue(spans(count), workers)
    held: dict[int, dict[int, Span]] = {worker: {} for worker in range(workers)}
    finished: list[int] = []
    while not deal.over:
        worker = data.draw(st.integers(0, workers - 1))
        while (drawn := deal.draw(worker)) is not None:
            held[worker][drawn[0]] = drawn[1]
        if held[worker] and data.draw(st.booleans()):
            deal.lost(worker, whole)
            held[worker] = {}
        elif held[worker]:
            number = min(held[worker])
            deal.opened(worker, number)
            deal.done(worker, number)
            finished.append(held[worker].pop(number).first)
    assert sorted(finished) == list(range(count))
