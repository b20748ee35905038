"""Quality control over the best score of each round, case by case."""

import pytest

from mics_ray.core.tree import grade_quality


@pytest.mark.parametrize(
    ("best_scores", "quality"),
    [
        ([0.5, 1.0], "keep"),
        ([1.0], "flat"),  # too few votes are known for a proof
        ([0.5, 0.2, 1.0], "keep"),
        ([0.2, 0.4], "keep"),
        ([0.2, 0.4, 0.4], "keep"),
        ([0.2, 0.2, 0.4], "keep"),
        ([0.2, 0.4, 0.6, 0.8], "keep"),
        ([0.2, 0.6, 0.4, 0.6], "keep"),
        ([0.5], "flat"),
        ([0.5, 0.5], "flat"),
        ([0.5, 0.5, 0.5, 0.5], "flat"),
        ([0.5, 0.4], "flat"),
        ([0.5, 0.4, 0.5], "flat"),
        ([0.8, 0.2, 0.4, 0.6], "flat"),
        ([0.5, 0.0], "flat"),
        ([0.2, 0.6, 0.4], "rise_fall"),
        ([0.2, 0.6, 0.2], "rise_fall"),
        ([0.2, 0.6, 0.4, 0.5], "rise_fall"),
        ([0.2, 0.4, 0.0], "rise_fall"),
        ([0.0], "zero"),
        ([0.0, 0.0], "zero"),
        ([], "zero"),
    ],
)
def test_grade(best_scores: list[float], quality: str) -> None:
    assert grade_quality(best_scores).value == quality


@pytest.mark.parametrize("best_scores", [[1.0], [0.5, 1.0], [1.0, 1.0]])
def test_a_solved_case_is_kept(best_scores: list[float]) -> None:
    assert grade_quality(best_scores, solved=True).value == "keep"
