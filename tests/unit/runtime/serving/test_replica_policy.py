"""The number of replicas by the depth of the queue, in virtual time."""

from mics_ray.config.schema import Replicas
from mics_ray.runtime.serving.replica_policy import QueueDepths, ReplicaPolicy

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
