"""MICS-Score: right votes over known votes; an unknown vote is never a wrong one."""

import pytest

from mics_ray.core.tree import EMPTY, Node
from mics_ray.core.types import Failure
from tests.support.fake_panel import votes


@pytest.mark.parametrize(
    ("pattern", "score"),
    [
        ("rrrrrr", 1.0),
        ("wwwwww", 0.0),
        ("rrwwww", 2 / 6),
        ("rw", 0.5),
        ("r", 1.0),
        ("w", 0.0),
        ("rrw???", 2 / 3),  # exactly half known: that counts
        ("rr????", None),  # fewer than half: the candidate failed
        ("r?", 1.0),
        ("w?", 0.0),
        ("r??", None),
        ("rrr??", 1.0),
        ("rw???", None),
        ("??????", None),
        ("?", None),
        ("rrrww?", 3 / 5),
    ],
)
def test_score(pattern: str, score: float | None) -> None:
    assert Node(0, None, 1, "a", ("s",), EMPTY, votes(pattern)).score == score


def test_a_candidate_without_votes_has_no_score() -> None:
    assert Node(0, None, 1, "a").score is None
    assert Node(0, None, 1, "a", failure=Failure("timeout", "late")).score is None
