"""The progress line."""

from mics_ray.runtime.monitor.progress import Snapshot, progress_line
from mics_ray.runtime.serving.replica_policy import worker_count


def test_the_line_tells_cases_outcomes_calls_rate_and_time_left() -> None:
    snapshot = Snapshot(100, 20, {"solved": 15, "dead_end": 5}, searching=8, calls=1200, cached=300, seconds=60)
    assert str(progress_line(snapshot)) == (
        "40/100 cases  solved 15  dead_end 5  open 8  calls 1,200 (300 cached), 20/s  3:00 left"
    )


def test_nothing_is_promised_before_the_first_case() -> None:
    assert "left" not in str(progress_line(Snapshot(100, 20, seconds=10)))


def test_workers_are_few_where_cores_or_searches_are() -> None:
    assert [worker_count(cpus, 64) for cpus in (1, 2, 4, 64)] == [1, 1, 2, 8]
    assert worker_count(64, 8) == worker_count(64, 3) == 1
