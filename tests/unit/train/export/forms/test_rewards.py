import json
from pathlib import Path

import pytest

import mics_ray.local
from tests.support.searched_samples import node, prompts, sample, samples
from train.export.forms.rewards import reward_rows, stepwise_rows

INTERN = Path(mics_ray.local.__file__).parent / "interns/internvl"


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


def test_a_stepwise_row_is_the_path_down_to_its_candidate_with_a_label_for_each_step() -> None:
    rows = {row["id"].rpartition("#")[2]: row for row in stepwise_rows([sample()], prompts())}
    assert set(rows) == {row["id"].rpartition("#")[2] for row in reward_rows([sample()], prompts())}
    assert rows["6"]["completions"] == [
        "### Step 1: The left apex is dark.", "### Step 2: The line is the pleura.",
    ]  # fmt: skip
    assert (rows["6"]["labels"], rows["0"]["labels"], rows["5"]["labels"]) == ([True, True], [False], [False])
    assert rows["6"]["prompt"] == sample().prompt
    assert rows["6"]["images"] == list(sample().images)


@pytest.mark.parametrize(("right", "labels"), [(0.0, [True]), (0.5, [True]), (0.51, [False]), (1.0, [False])])
def test_a_step_is_right_from_the_score_on_that_is_set(right: float, labels: list[bool]) -> None:
    nodes = (node(0, None, (1, 1), "ann", ["One."], "rrrwww"),)
    (row,) = stepwise_rows([sample(nodes=nodes)], prompts(), right)
    assert row["labels"] == labels


def test_several_steps_of_one_candidate_are_one_text_with_one_label() -> None:
    nodes = (
        node(0, None, (1, 1), "ann", ["One.", "See <image>."], "rr", chosen=True),
        node(1, 0, (1, 2), "bob", ["Three."], "ww"),
    )
    _, row = stepwise_rows([sample(nodes=nodes)], prompts())
    assert row["completions"] == ["### Step 1: One.\n\n### Step 2: See (image).", "### Step 3: Three."]
    assert row["labels"] == [True, False]


def test_what_goes_on_from_a_step_without_a_score_has_no_row() -> None:
    nodes = (
        node(0, None, (1, 1), "ann", ["One."], "rr", chosen=True) | {"score": None},
        node(1, 0, (1, 2), "bob", ["Two."], "ww"),
    )
    assert list(stepwise_rows([sample(nodes=nodes)], prompts())) == []


@pytest.mark.slow
def test_trls_trainer_of_process_rewards_reads_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own tokenization, collator and one step on a tiny model: a label at the end of each step and nowhere else."""
    for name in ("HF_HUB_OFFLINE", "TRL_EXPERIMENTAL_SILENCE", "TRACKIO_DISABLE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.chdir(tmp_path)
    from datasets import load_dataset
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForTokenClassification
    from trl.experimental.prm import PRMConfig, PRMTrainer

    rows = list(stepwise_rows(samples(), prompts()))
    Path("rewards_stepwise.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    loaded = load_dataset("json", data_files="rewards_stepwise.jsonl", split="train", cache_dir=str(tmp_path / "cache"))
    tokenizer = AutoTokenizer.from_pretrained(INTERN)
    shape = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32}
    model = Qwen2ForTokenClassification(
        Qwen2Config(vocab_size=len(tokenizer), hidden_size=16, num_labels=2, pad_token_id=0, **shape)
    )
    settings = {"max_length": 1024, "max_completion_length": None, "report_to": "none", "use_cpu": True, "bf16": False}
    trainer = PRMTrainer(
        model=model,
        args=PRMConfig(output_dir="out", max_steps=1, per_device_train_batch_size=4, **settings),
        train_dataset=loaded,
        processing_class=tokenizer,
    )
    for row, seen in zip(rows, trainer.train_dataset, strict=True):
        assert [label for label in seen["labels"] if label != -100] == [int(label) for label in row["labels"]]
        texts = tokenizer.decode(seen["input_ids"])
        assert all(text in texts for text in [row["prompt"], *row["completions"]])
    assert trainer.train().training_loss > 0
