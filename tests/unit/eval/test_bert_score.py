"""The real library on a tiny RoBERTa of random weights, saved here."""

from pathlib import Path

import pytest

from eval.bert_score import bert_scores
from mics_ray.errors import RefusedRun

pytestmark = pytest.mark.heavy  # torch

WORDS = ["a pneumothorax on the left side", "no abnormality is seen", "a pleural effusion on the right"]


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three layers with a byte-level BPE tokenizer."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizerFast

    folder = tmp_path_factory.mktemp("roberta")
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(WORDS, vocab_size=300, special_tokens=special)
    bpe.save_model(str(folder))
    tokenizer = RobertaTokenizerFast(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=60
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(folder)
    return folder


def test_equal_texts_score_one_and_others_less(roberta: Path) -> None:
    same, other, longer = bert_scores([WORDS[0], WORDS[1], WORDS[0] + " and more"], [WORDS[0]] * 3, str(roberta), 2)
    assert same == pytest.approx(1.0, abs=1e-4)
    assert other < longer < same


def test_the_score_is_the_one_of_the_formula(roberta: Path) -> None:
    """Greedy matching of token states by cosine; the two marks around a text may be matched and carry no weight."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(roberta), AutoModel.from_pretrained(roberta).eval()

    def states(text: str) -> torch.Tensor:
        with torch.no_grad():
            out = model(**tokenizer(f" {text}", return_tensors="pt"), output_hidden_states=True).hidden_states[2][0]
        return out / out.norm(dim=-1, keepdim=True)

    likeness = states(WORDS[2]) @ states(WORDS[0]).T
    precision, recall = likeness.max(1).values[1:-1].mean(), likeness.max(0).values[1:-1].mean()
    wanted = float(2 * precision * recall / (precision + recall))
    assert wanted < 0.95
    assert bert_scores([WORDS[2]], [WORDS[0]], str(roberta), 2) == [pytest.approx(wanted, abs=1e-4)]


def test_an_empty_answer_scores_zero_and_the_order_is_kept(roberta: Path) -> None:
    found = bert_scores(["", WORDS[0], "  "], [WORDS[0], WORDS[0], ""], str(roberta), 2)
    assert found == [0.0, pytest.approx(1.0, abs=1e-4), 0.0]
    assert bert_scores([], [], str(roberta), 2) == []


@pytest.mark.parametrize(
    ("layers", "problem"),
    [(None, r"eval\.bert_score_layers: say which layer of .* is read"), (9, r"has no layer 9")],
)
def test_a_layer_that_is_not_said_or_not_there_is_refused(roberta: Path, layers: int | None, problem: str) -> None:
    with pytest.raises(RefusedRun, match=problem):
        bert_scores(["a"], ["a"], str(roberta), layers)


def test_a_model_that_is_not_there_is_refused_and_nothing_stands_in(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RefusedRun, match=r"eval\.bert_score_model: .*empty cannot be loaded"):
        bert_scores(["a"], ["a"], str(tmp_path / "empty"), 2)
    with pytest.raises(RefusedRun, match="cannot be loaded"):
        bert_scores(["a"], ["a"], str(tmp_path / "gone"), 2)
    with pytest.raises(RefusedRun, match=r"say which layer of nobody/knows is read"):
        bert_scores(["a"], ["a"], "nobody/knows", None)
