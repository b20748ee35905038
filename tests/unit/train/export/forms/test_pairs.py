import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from tests.support.searched_samples import node, prompts, sample, samples
from train.export.forms.pairs import chain_pairs, count_pair_tokens, step_pairs, to_mpo_record
from train.export.samples import Sample
from train.export.tokens import Ruler


def steps_of(*some: Sample, margin: int = 0) -> list[dict[str, Any]]:
    return list(step_pairs(some, prompts(), margin))


def chains_of(*some: Sample) -> list[dict[str, Any]]:
    return list(chain_pairs(some, prompts()))


def said(pair: dict[str, Any], side: str) -> str:
    text = pair[side][0]["content"][-1]["text"]
    assert isinstance(text, str)
    return text


def test_the_best_step_of_a_round_is_preferred_to_the_worst() -> None:
    first, second = steps_of(sample())
    assert (said(first, "chosen"), said(first, "rejected")) == (
        "### Step 1: The left apex is dark.",  # of two equal scores the chosen one
        "### Step 1: See the (image).",
    )
    assert (first["score_chosen"], first["score_rejected"], first["round"]) == (0.5, 2 / 6, 1)
    assert (first["mentor_chosen"], first["mentor_rejected"]) == ("bob", "cat")
    assert (second["score_chosen"], second["score_rejected"], second["round"]) == (1.0, 0.6, 2)


@pytest.mark.parametrize(
    ("better", "worse", "margin", "pairs"),
    [
        ("rrrrww", "rrrwww", 2, 0),
        ("rrrrww", "rrwwww", 2, 1),
        ("rrrrww", "rrrwww", 1, 1),
        ("rrrrrr", "wwwwww", 6, 1),
        ("rrrrrw", "wwwwww", 6, 0),
        # Of two votes one is three of six; of four two are.
        ("rr", "rw", 3, 1),
        ("rr", "rw", 4, 0),
        ("rrrw", "rwww", 3, 1),
        # Three right of three known may be three of six, and a wrong one that was lost may have been right.
        ("rrruuu", "rrwwww", 2, 0),
        ("rrrrww", "rrwwwu", 2, 0),
        ("rrrrru", "rrwwwu", 2, 1),
        ("rrruuu", "rrrwuu", 0, 1),
    ],
)
def test_a_pair_is_ahead_by_the_margin_whatever_lost_votes_would_have_been(
    better: str, worse: str, margin: int, pairs: int
) -> None:
    nodes = (
        node(0, None, (1, 1), "ann", ["One."], better, chosen=True),
        node(1, None, (1, 1), "bob", ["Two."], worse),
    )
    assert len(steps_of(sample(nodes=nodes), margin=margin)) == pairs


def test_the_margin_is_two_of_six_votes_unless_it_is_set() -> None:
    (pair,) = step_pairs([sample()], prompts())
    assert (pair["score_chosen"], pair["score_rejected"]) == (1.0, 0.6)


def test_steps_go_on_from_the_prefix_that_the_prompt_shows() -> None:
    first, second = steps_of(sample())
    assert "(nothing yet)" in said(first, "prompt")
    assert said(second, "prompt").endswith("### Step 1: The left apex is dark.")
    assert said(second, "chosen") == "### Step 2: No lung markings there."
    assert said(second, "rejected") == "### Step 2: The line is the pleura."


def test_a_candidate_of_several_steps_is_written_whole() -> None:
    nodes = (
        node(0, None, (1, 1), "ann", ["One.", "Two."], "rr", chosen=True),
        node(1, None, (1, 1), "bob", ["Three."], "rw"),
        node(2, 0, (1, 2), "ann", ["Four."], "rr"),
        node(3, 0, (1, 2), "bob", ["Five."], "ww"),
    )
    first, second = steps_of(sample(nodes=nodes))
    assert said(first, "chosen") == "### Step 1: One.\n\n### Step 2: Two."
    assert said(second, "chosen") == "### Step 3: Four."


@pytest.mark.parametrize("votes", ["rw", ""])
def test_equal_scores_and_failed_candidates_give_no_pair(votes: str) -> None:
    nodes = (
        node(0, None, (1, 1), "ann", ["One."] if votes else [], votes),
        node(1, None, (1, 1), "bob", ["Two."], "rw", chosen=True),
    )
    assert steps_of(sample(nodes=nodes)) == []


def test_the_same_words_are_never_both_chosen_and_rejected() -> None:
    end = "### The final answer is: Yes"
    nodes = (
        node(0, None, (1, 1), "ann", ["One."], "rr", end, True),
        node(1, None, (1, 1), "bob", ["One."], "rw", end),
    )
    kept = sample(nodes=nodes, completion=f"### Step 1: One.\n\n{end}")
    assert steps_of(kept) == []
    assert chains_of(kept) == []


def test_candidates_of_two_attempts_are_not_compared_as_siblings() -> None:
    nodes = (node(0, None, (1, 1), "ann", ["One."], "ww"), node(1, None, (2, 1), "ann", ["Two."], "rr", chosen=True))
    assert steps_of(sample(nodes=nodes)) == []


def test_the_kept_chain_is_preferred_to_the_worst_complete_chain_of_all_attempts() -> None:
    (pair,) = chains_of(sample())
    assert said(pair, "prompt") == sample().prompt
    assert said(pair, "chosen") == sample().completion
    assert said(pair, "rejected") == "### Step 1: The heart is wide.\n\n### The final answer is: Cardiomegaly"
    assert (pair["score_chosen"], pair["score_rejected"], pair["round"]) == (1.0, 0.0, 1)
    assert (pair["mentor_chosen"], pair["mentor_rejected"]) == ("bob", "ann")


def test_a_chain_pair_names_the_mentor_of_the_last_chosen_step() -> None:
    """The kept chain's score is that of its last chosen step, so the two must come from the same candidate."""
    (pair,) = chains_of(sample(mentors=("dan", "eve")))
    assert (pair["mentor_chosen"], pair["mentor_rejected"]) == ("eve", "ann")


def test_a_rejected_chain_is_the_path_down_to_its_candidate_and_what_its_mentor_wrote_after_it() -> None:
    (pair,) = chains_of(sample(nodes=sample().nodes[3:5] + sample().nodes[6:7]))
    assert said(pair, "rejected") == "### Step 1: There is a line.\n\n### The final answer is: Pneumothorax"
    (deeper,) = chains_of(sample(nodes=sample().nodes[4:5] + sample().nodes[6:8]))
    assert [line for line in said(deeper, "rejected").splitlines() if line] == [
        "### Step 1: The left apex is dark.",
        "### Step 2: The line is the pleura.",
        "### Step 3: It is air.",
        "### The final answer is: Pneumothorax",
    ]


def test_a_chain_that_its_mentor_did_not_end_is_passed_over() -> None:
    first, *rest = sample().nodes
    (pair,) = chains_of(sample(nodes=(first | {"rest": "### Step 2: And on."}, *rest)))
    assert said(pair, "rejected").startswith("### Step 1: The bones are fine.")


def test_a_chain_pair_needs_a_strictly_lower_score() -> None:
    assert chains_of(sample(score=0.0)) == []
    assert len(chains_of(sample(score=0.1))) == 1


def test_no_text_adds_a_picture_placeholder() -> None:
    for pair in [*steps_of(*samples()), *chains_of(*samples())]:
        record = to_mpo_record(pair)
        assert record["question"].count("<image>") == len(pair["images"])
        assert "<image>" not in record["chosen"] + record["rejected"] + said(pair, "prompt")


def test_trl_finds_a_part_for_each_picture_once_the_records_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its vision collator asks for: as many parts of type image as `images`, and no key `image` beside it."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    from datasets import Image as Picture
    from datasets import List, load_dataset

    for image in sample().images:
        Path(image).parent.mkdir(parents=True)
        Image.new("RGB", (3, 2)).save(image)
    records = steps_of(sample(), sample(id="text-only", images=()))
    Path("steps.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    loaded = load_dataset("json", data_files="steps.jsonl", split="train", cache_dir=str(tmp_path / "cache"))
    for record in loaded.cast_column("images", List(Picture())):
        assert "image" not in record
        assert [message["role"] for side in ("prompt", "chosen", "rejected") for message in record[side]] == [
            "user",
            "assistant",
            "assistant",
        ]
        *pictures, text = record["prompt"][0]["content"]
        assert (text["type"], {part["type"] for part in pictures} - {"image"}) == ("text", set())
        assert len(pictures) == len(record["images"]) == (0 if record["id"].startswith("text-only") else 2)
        assert all(picture.size == (3, 2) for picture in record["images"])


def test_mpo_reads_strings_and_pictures_only_where_there_are_some() -> None:
    with_pictures, without = (to_mpo_record(pair) for pair in chains_of(sample(), sample(images=())))
    assert with_pictures["image"] == list(sample().images)
    assert "image" not in without
    for record in (with_pictures, without):
        assert record["question"].removeprefix("<image>\n<image>\n") == sample().prompt
        assert record["chosen"] == sample().completion
        assert record["rejected"].startswith("### Step 1: The heart is wide.")
        assert not {"prompt", "images"} & set(record)
        assert record["score_rejected"] == 0.0


def test_the_order_of_candidates_in_a_row_decides_nothing() -> None:
    nodes = (
        node(0, None, (1, 1), "ann", ["One."], "rw"),
        node(1, None, (1, 1), "bob", ["Two."], "rw"),
        node(2, None, (1, 1), "cat", ["Three."], "ww"),
        node(3, None, (1, 1), "dan", ["Four."], "ww"),
    )
    (pair,) = steps_of(sample(nodes=nodes))
    assert pair["id"].endswith("#0-2"), "of equals the lowest id"
    assert steps_of(sample(nodes=nodes[::-1])) == [pair]


class Letters:
    """A ruler whose tokens are letters."""

    def count_text_tokens(self, turns: Sequence[tuple[str, str]]) -> int:
        return sum(len(text) for _, text in turns)


def test_a_pair_is_as_long_as_its_pictures_its_question_and_its_longer_side() -> None:
    plain = sample()
    whole = sample(tokens=len(plain.prompt) + len(plain.completion) + 70)
    pair = steps_of(whole)[1]
    wanted = 70 + len(said(pair, "prompt")) + max(len(said(pair, "chosen")), len(said(pair, "rejected")))
    assert count_pair_tokens(pair, whole, cast(Ruler, Letters())) == wanted
