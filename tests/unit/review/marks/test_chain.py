"""The chain that is reviewed: its steps with their owners, what a mark of it is about, what people say of it."""

from pathlib import Path
from typing import Any

import pytest

from mics_ray.review.marks.chain import digest_chain, has_chain, list_steps, list_targets
from mics_ray.review.marks.verdicts import read_reviews
from tests.support.reviews import review
from tests.support.run_folders import make_run, row


def make_twice() -> dict[str, Any]:
    """A chain of the second attempt; the first one chose candidates of bob."""
    one, other = row(chosen="ab"), row()
    shift = len(one["nodes"])
    again = [
        node
        | {"attempt": 2, "id": node["id"] + shift, "parent": None if node["parent"] is None else node["parent"] + shift}
        for node in other["nodes"]
    ]
    return other | {"attempts": 2, "nodes": [*one["nodes"], *again]}


def test_steps_have_the_mentor_that_wrote_them_and_the_candidate_that_was_scored() -> None:
    found = [(step.number, step.mentor, step.node and step.node["score"]) for step in list_steps(row(chosen="ab"))]
    assert found == [(1, "ann", 0.5), (2, "bob", 0.5), (3, "bob", None)]


def test_steps_are_those_of_the_attempt_that_decided() -> None:
    assert [step.mentor for step in list_steps(make_twice())] == ["ann", "ann", "ann"]
    assert [step.node["attempt"] for step in list_steps(make_twice()) if step.node] == [2, 2]


@pytest.mark.parametrize(
    "change", [{"question": "Other?"}, {"answer": "Other"}, {"steps": ["Other."]}, {"final_answer": "Other"}]
)
def test_a_mark_is_of_what_was_read(change: dict[str, Any]) -> None:
    assert digest_chain(row() | change) != digest_chain(row())
    assert digest_chain(row() | {"seconds": 9.0, "outcome": "depth"}) == digest_chain(row())


def test_dead_ends_have_no_chain() -> None:
    assert has_chain(row())
    assert not has_chain(row() | {"outcome": "dead_end"})
    assert not has_chain(row() | {"steps": []})
    assert [target.step for target in list_targets(row())] == [1, 2, 3, None]


def test_what_several_say_of_a_chain(tmp_path: Path) -> None:
    rows = [row(name) for name in ("a", "b", "c", "d")]
    run = make_run(tmp_path / "run", rows)
    for name, said in (("ann", "rwra"), ("bob", "rrua"), ("eve", "wwux")):
        review(run, name, rows, {"a": said} | ({"b": "...a"} if name == "ann" else {"c": "...x"}))
    review(run, "eve", rows, {"c": "r..."})
    found = [read_reviews(run).sum_chain(one) for one in rows]
    assert found[3] is None
    assert [(one.accepted, one.rejected, one.is_accepted, one.is_rejected) for one in found if one] == [
        (2, 1, False, False), (1, 0, True, False), (0, 2, False, True),
    ]  # fmt: skip
    assert found[0] is not None
    assert [step.label for step in found[0].steps] == [True, False, True]
    assert (found[0].steps[2].unsure, found[0].steps[2].right) == (2, 1)
