"""Laws of the homes of cases: a live replica for every call, about as much for each, no move without a reason."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from mics_ray.runtime.serving.case_homes import SLACK, UNEVEN, CaseHomes, ReplicaLoad

REPLICAS, MOST = 4, 6
calls = st.tuples(st.sampled_from("aaaabbcdefgh"), st.integers(1, MOST))
"""A case, some of them more often, and how many requests it makes at once."""
loads = st.dictionaries(st.integers(0, REPLICAS - 1), st.integers(0, 100), min_size=1)
"""Requests in flight of the replicas that are live."""


def list_loads(found: dict[int, int]) -> list[ReplicaLoad]:
    return [ReplicaLoad(number, in_flight) for number, in_flight in found.items()]


@given(st.lists(st.tuples(calls, loads), max_size=120))
@settings(max_examples=150, deadline=None)
def test_every_call_goes_to_a_live_replica_that_is_not_too_busy(
    asked: list[tuple[tuple[str, int], dict[int, int]]],
) -> None:
    homes = CaseHomes()
    for (case, requests), found in asked:
        chosen = homes.choose_replica(case, list_loads(found), requests)
        assert found[chosen] <= sum(found.values()) / len(found) + SLACK


@given(st.lists(calls, min_size=40, max_size=200), st.integers(1, REPLICAS))
@settings(max_examples=80, deadline=None)
def test_replicas_that_are_always_there_are_given_about_as_much_and_cases_move_for_that_alone(
    asked: list[tuple[str, int]], count: int
) -> None:
    homes, given_to, where = CaseHomes(), Counter(dict.fromkeys(range(count), 0)), dict[str, int]()
    for case, requests in asked:
        least = min(given_to.values())
        chosen = homes.choose_replica(case, list_loads(dict.fromkeys(range(count), 0)), requests)
        home = where.get(case, chosen)
        assert (chosen != home) == (given_to[home] - least > UNEVEN)
        given_to[chosen] += requests
        where[case] = chosen
        assert max(given_to.values()) - min(given_to.values()) <= UNEVEN + MOST
