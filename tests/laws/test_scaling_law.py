"""Laws of the number of replicas, in virtual time."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mics_ray.config.schema import Replicas
from mics_ray.runtime.serving.replica_policy import QueueDepths, ReplicaPolicy

RANGES = st.builds(lambda low, more: Replicas(low, low + more), st.integers(1, 8), st.integers(0, 24))


def course(within: Replicas, start: int, loads: list[int]) -> list[int]:
    """The number of replicas after each second, each change done at once."""
    scaler, counts = ReplicaPolicy(within), [start]
    for second, load in enumerate(loads):
        wanted = scaler.choose_count(float(second), counts[-1], load)
        if wanted != counts[-1]:
            scaler.note_change(float(second))
        counts.append(wanted)
    return counts


@given(RANGES, st.integers(0, 40), st.lists(st.integers(0, 5000), max_size=200))
def test_never_outside_the_range(within: Replicas, start: int, loads: list[int]) -> None:
    assert all(within.min <= count <= within.max for count in course(within, start, loads)[1:])


@given(RANGES, st.integers(0, 24), st.integers(0, 5000))
def test_a_constant_load_never_turns_the_direction_and_comes_to_rest(within: Replicas, offset: int, load: int) -> None:
    start = min(within.max, within.min + offset)
    depths = QueueDepths()
    counts = course(within, start, [load] * int((depths.down_s + depths.cool_s + 2) * (within.max + 2)))
    changes = [after - before for before, after in pairwise(counts) if after != before]
    assert all(change > 0 for change in changes) or all(change < 0 for change in changes)
    last = counts[-1]
    assert load <= depths.high * last or last == within.max
    assert load >= depths.low * (last - 1) or last == within.min


@given(RANGES, st.lists(st.integers(0, 5000), max_size=200))
def test_two_changes_are_at_least_a_pause_apart(within: Replicas, loads: list[int]) -> None:
    counts = course(within, within.min, loads)
    changed = [n for n, (before, after) in enumerate(pairwise(counts)) if after != before]
    assert all(later - earlier >= QueueDepths().cool_s for earlier, later in pairwise(changed))
