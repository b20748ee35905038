import pytest

from tests.support.searched_samples import node, prompts, sample, samples
from train.export.forms.rewards import reward_rows


def test_every_scored_candidate_of_every_attempt_has_a_row() -> None:
    rows = list(reward_rows([sample()], prompts()))
    assert [(row["attempt"], row["round"], row["mentor"]) for row in rows] == [
        (1, 1, "ann"),
        (1, 1, "bob"),
        (2, 1, "ann"),
        (2, 1, "bob"),
        (2, 1, "cat"),
        (2, 2, "ann"),
        (2, 2, "bob"),
    ]


def test_a_row_holds_what_the_votes_say_of_the_step_after_its_prefix() -> None:
    row = list(reward_rows([sample()], prompts()))[5]
    assert (row["prefix"], row["step"]) == (["The left apex is dark."], ["The line is the pleura."])
    assert (row["right"], row["known"], row["score"], row["sixths"]) == (3, 5, 0.6, 4)


@pytest.mark.parametrize(
    ("votes", "sixths"), [("wwwwww", 0), ("rwwwww", 1), ("rrwwww", 2), ("rrrrrw", 5), ("rrrrrr", 6), ("rwuu", 3)]
)
def test_sixths_are_right_votes_where_six_are_known(votes: str, sixths: int) -> None:
    (row,) = reward_rows([sample(nodes=(node(0, None, (1, 1), "ann", ["One."], votes),))], prompts())
    assert row["sixths"] == sixths


def test_a_candidate_below_the_quorum_has_no_reward() -> None:
    failed = node(0, None, (1, 1), "ann", ["One."], "ruuuuu") | {"score": None}
    assert list(reward_rows([sample(nodes=(failed,))], prompts())) == []


def test_placeholders_are_as_many_as_pictures_and_none_is_in_a_step() -> None:
    rows = list(reward_rows(samples(), prompts()))
    assert {len(row["images"]) for row in rows} == {len(one.images) for one in samples()}
    for row in rows:
        assert row["question"].count("<image>") == len(row["images"])
        assert "<image>" not in "".join(row["prefix"] + row["step"])
