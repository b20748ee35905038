"""The number of replicas by the depth of the queue, in virtual time."""

from mics_ray.config.schema import Replicas
from mics_ray.runtime.serving.replica_policy import QueueDepths, ReplicaPolicy, worker_count

DEPTHS = QueueDepths(high=60, goal=40, low=30, up_s=5, down_s=20, cool_s=10)
RANGE = Replicas(1, 8)


def scaler() -> ReplicaPolicy:
    return ReplicaPolicy(RANGE, DEPTHS)


def test_a_deep_queue_that_lasts_brings_as_many_as_it_needs_at_once() -> None:
    one = scaler()
    assert [one.choose_count(t, 1, 200) for t in (0.0, 4.9, 5.0)] == [1, 1, 5]


def test_a_peak_that_passes_changes_nothing() -> None:
    one = scaler()
    assert [one.choose_count(t, 1, queued) for t, queued in ((0.0, 200), (4.0, 10), (6.0, 200), (10.0, 200))] == [1] * 4


def test_never_more_than_the_most() -> None:
    one = scaler()
    one.choose_count(0.0, 1, 10_000)
    assert one.choose_count(5.0, 1, 10_000) == 8


def test_an_idle_queue_takes_one_away_at_a_time_down_to_the_least() -> None:
    one, counts = scaler(), [3]
    for second in range(100):
        wanted = one.choose_count(float(second), counts[-1], 0)
        if wanted != counts[-1]:
            one.note_change(float(second))
            counts.append(wanted)
    assert counts == [3, 2, 1]


def test_after_a_change_comes_a_pause() -> None:
    one = scaler()
    one.choose_count(0.0, 1, 70)
    assert one.choose_count(5.0, 1, 70) == 2
    one.note_change(5.0)
    assert [one.choose_count(t, 2, 500) for t in (5.5, 14.9, 15.0)] == [2, 2, 8]


def test_between_low_and_high_nothing_moves() -> None:
    one = scaler()
    assert {one.choose_count(float(t), 2, 100) for t in range(1000)} == {2}


def test_a_fixed_number_stays() -> None:
    one = ReplicaPolicy(Replicas(2, 2), DEPTHS)
    assert {one.choose_count(float(t), 2, queued) for queued in (0, 10_000) for t in range(100)} == {2}


def test_too_deep_is_more_than_high_and_too_shallow_less_than_low_on_one_fewer() -> None:
    def after(replicas: int, queued: int) -> int:
        one = scaler()
        one.choose_count(0.0, replicas, queued)
        return one.choose_count(20.0, replicas, queued)

    assert [after(2, queued) for queued in (120, 121)] == [2, 4], "60 each is not too deep; 121 are 40 each of 4"
    assert [after(3, queued) for queued in (60, 59)] == [3, 2], "30 each of two is not too shallow"
    assert [after(2, queued) for queued in (30, 29)] == [2, 1]


def test_a_shallow_queue_must_last_before_one_goes() -> None:
    one = scaler()
    assert [one.choose_count(t, 3, 0) for t in (7.0, 26.9, 27.0)] == [3, 3, 2]
    one = scaler()
    assert [one.choose_count(t, 3, n) for t, n in ((0.0, 0), (19.0, 100), (20.0, 0), (39.9, 0), (40.0, 0))] == [
        *([3] * 4),
        2,
    ]


def test_a_change_begins_both_waits_anew() -> None:
    one = scaler()
    one.choose_count(0.0, 3, 0)
    one.note_change(1.0)
    assert [one.choose_count(t, 3, 0) for t in (11.0, 20.0, 30.9, 31.0)] == [3, 3, 3, 2]
    one = scaler()
    one.choose_count(0.0, 1, 500)
    one.note_change(9.0)
    assert [one.choose_count(t, 1, 500) for t in (15.0, 19.0, 20.0)] == [1, 1, 8]


def test_a_number_outside_the_range_is_brought_into_it_at_once() -> None:
    one = ReplicaPolicy(Replicas(2, 4), DEPTHS)
    assert [one.choose_count(0.0, count, 0) for count in (0, 1, 9)] == [2, 2, 4]
    one.note_change(0.0)
    assert [one.choose_count(1.0, count, 0) for count in (0, 1, 9)] == [2, 2, 4]


def test_the_depths_without_a_choice_are_those_of_the_docs() -> None:
    def after(replicas: int, queued: int, times: tuple[float, ...], changed: float | None = None) -> list[int]:
        one = ReplicaPolicy(Replicas(1, 8))
        if changed is not None:
            one.note_change(changed)
        return [one.choose_count(t, replicas, queued) for t in times]

    assert after(1, 64, (0.0, 100.0)) == [1, 1], "64 each are not too deep"
    assert after(1, 65, (0.0, 4.9, 5.0)) == [1, 1, 2]
    assert [after(1, queued, (0.0, 5.0))[-1] for queued in (96, 97)] == [2, 3], "48 each are aimed at"
    assert [after(2, queued, (0.0, 60.0))[-1] for queued in (31, 32)] == [1, 2], "32 on one are not too shallow"
    assert after(2, 0, (0.0, 59.9, 60.0)) == [2, 2, 1]
    assert after(1, 999, (1.0, 29.9, 30.0), changed=0.0) == [1, 1, 8]


def test_workers_by_cores_and_by_open_searches() -> None:
    assert [worker_count(cpus, 1000) for cpus in (0.5, 2, 5, 16, 64)] == [1, 1, 2, 8, 8]
    assert [worker_count(64, window) for window in (1, 15, 16, 24, 63, 64)] == [1, 1, 2, 3, 7, 8]
