"""Where candidates stand in the drawn tree, against places worked out by hand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mics_ray.review.data.tree_layout import place_nodes


def make_nodes(*parents: int | None) -> list[dict[str, Any]]:
    return [{"id": number, "parent": parent} for number, parent in enumerate(parents)]


@pytest.mark.parametrize(
    ("parents", "places"),
    [
        ((), {}),
        ((None,), {0: (0, 0)}),
        # Three mentors, two rounds: both rows are full.
        ((None, None, None, 1, 1, 1), {0: (0, 0), 1: (1, 0), 2: (2, 0), 3: (0, 1), 4: (1, 1), 5: (2, 1)}),
        # A row of one and a row of two are centred below a row of three.
        ((None, None, None, 0), {0: (0, 0), 1: (1, 0), 2: (2, 0), 3: (1, 1)}),
        ((None, None, None, 2, 2), {0: (0, 0), 1: (1, 0), 2: (2, 0), 3: (0.5, 1), 4: (1.5, 1)}),
        # Two expanded parents: the children of the left one stand on the left, whenever they were made.
        ((None, None, 1, 0, 0), {0: (0.5, 0), 1: (1.5, 0), 2: (2, 1), 3: (0, 1), 4: (1, 1)}),
        # A chain.
        ((None, 0, 1), {0: (0, 0), 1: (0, 1), 2: (0, 2)}),
    ],
)
def test_the_places_are_those_worked_out_by_hand(parents: tuple[int | None, ...], places: dict[int, Any]) -> None:
    assert place_nodes(make_nodes(*parents)) == places


def test_ids_need_not_begin_at_zero() -> None:
    second = [{"id": 7, "parent": None}, {"id": 9, "parent": 7}]
    assert place_nodes(second) == {7: (0, 0), 9: (0, 1)}


@given(st.lists(st.integers(0, 30), max_size=30))
def test_no_two_candidates_share_a_place_and_no_two_lines_cross(drawn: list[int]) -> None:
    """Any tree: each candidate's parent is one before it, or none."""
    nodes = make_nodes(
        *(None if not at or drawn[at] % (at + 1) == at else drawn[at] % (at + 1) for at in range(len(drawn)))
    )
    places = place_nodes(nodes)
    assert len(set(places.values())) == len(nodes)
    lines = [(places[node["parent"]], places[node["id"]]) for node in nodes if node["parent"] is not None]
    for above, below in lines:
        assert below[1] == above[1] + 1
        for other_above, other_below in lines:
            if other_below[1] == below[1] and other_above[0] < above[0]:
                assert other_below[0] < below[0]
