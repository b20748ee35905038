"""Laws of intervals and tests: what is found lies inside, swapped sides mirror, more of the same narrows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mics_ray.intervals import (
    Interval,
    accuracy_interval,
    difference_interval,
    mcnemar_p_value,
    sign_flip_p_value,
)

pairs = st.lists(
    st.tuples(st.sampled_from([-1.0, 0.0, 1.0]), st.sampled_from("abcdefg")), min_size=2, max_size=40
).filter(lambda found: len({cluster for _, cluster in found}) > 1)


def bounds(found: Interval) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low <= found.high <= 1
    return found.low, found.high


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_a_difference_lies_in_its_interval_which_mirrors_and_narrows(found: list[tuple[float, str]]) -> None:
    gains, clusters = [gain for gain, _ in found], [cluster for _, cluster in found]
    low, high = bounds(difference_interval(gains, clusters))
    assert low <= sum(gains) / len(gains) + 1e-12
    assert high >= sum(gains) / len(gains) - 1e-12
    assert bounds(difference_interval([-gain for gain in gains], clusters)) == pytest.approx((-high, -low), abs=1e-9)
    again = bounds(difference_interval(gains * 2, clusters + [f"{one}'" for one in clusters]))
    assert again[1] - again[0] <= high - low + 1e-9
    assert high > low, "never a point"


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_a_share_lies_in_its_interval_which_mirrors_and_narrows(found: list[tuple[float, str]]) -> None:
    right, clusters = [float(gain > 0) for gain, _ in found], [cluster for _, cluster in found]
    low, high = bounds(accuracy_interval(right, clusters))
    assert low - 1e-12 <= sum(right) / len(right) <= high + 1e-12
    assert bounds(accuracy_interval([1 - one for one in right], clusters)) == pytest.approx(
        (1 - high, 1 - low), abs=1e-9
    )
    again = bounds(accuracy_interval(right * 2, clusters + [f"{one}'" for one in clusters]))
    assert again[1] - again[0] <= high - low + 1e-9
    assert high > low, "never a point"


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_the_test_of_pictures_is_mcnemars_where_none_repeats_and_knows_no_sides(found: list[tuple[float, str]]) -> None:
    gains, clusters = [gain for gain, _ in found], [cluster for _, cluster in found]
    p = sign_flip_p_value(gains, clusters)
    assert 0 < p <= 1
    assert sign_flip_p_value([-gain for gain in gains], clusters) == pytest.approx(p)
    alone = sign_flip_p_value(gains, [str(place) for place in range(len(gains))])
    assert alone == pytest.approx(mcnemar_p_value(gains.count(1.0), gains.count(-1.0)))
