"""BERTScore by the bert-score library, with the model that is named or not at all."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mics_ray.errors import RefusedRun


def bert_scores(candidates: Sequence[str], references: Sequence[str], model: str, layers: int | None) -> list[float]:
    """F1 of each candidate against its reference, not rescaled; 0 where one of the two is empty.

    ``model`` is a hub id, or a folder, for which ``layers`` must say which layer is read; ``None`` takes the library's
    own choice for the hub id. Raises :class:`RefusedRun` when the model is not there or does not fit.
    """
    pairs = [
        (place, pair) for place, pair in enumerate(zip(candidates, references, strict=True)) if _has_both_texts(pair)
    ]
    found = [0.0] * len(candidates)
    scorer = load_scorer(model, layers)
    if pairs:
        _, _, f1 = scorer.score([pair[0] for _, pair in pairs], [pair[1] for _, pair in pairs])
        for (place, _), value in zip(pairs, f1.tolist(), strict=True):
            found[place] = float(value)
    return found


@lru_cache(maxsize=1)
def load_scorer(model: str, layers: int | None) -> Any:
    """The library's scorer, loaded once, on the CPU: GPUs are for the engines.

    Raises :class:`RefusedRun` before anything is scored when it cannot score.
    """
    if layers is None and Path(model).is_dir():
        raise RefusedRun(f"eval.bert_score_layers: say which layer of {model} is read; a folder has no usual one")
    from bert_score import BERTScorer

    try:
        scorer = BERTScorer(model_type=model, num_layers=layers, device="cpu")
        _keep_leading_space(scorer, model)
        scorer.score(["one"], ["two"])  # a tokenizer without a length limit fails only here
    except KeyError:
        raise RefusedRun(f"eval.bert_score_layers: say which layer of {model} is read; the library has none") from None
    except AssertionError:
        raise RefusedRun(f"eval.bert_score_layers: {model} has no layer {layers}") from None
    except OverflowError:
        raise RefusedRun(f"eval.bert_score_model: the tokenizer of {model} has no model_max_length; set it") from None
    except (OSError, ValueError) as error:
        raise RefusedRun(
            f"eval.bert_score_model: {model} cannot be loaded ({type(error).__name__}); fetch it, or leave it out: no "
            "other model stands in for it"
        ) from None
    return scorer


def _keep_leading_space(scorer: Any, model: str) -> None:
    """Let RoBERTa's tokenizer read a text's first word as one inside a sentence, as the published scores do.

    The library asks for it call by call, which transformers 5 ignores.
    """
    from transformers import AutoTokenizer, GPT2Tokenizer, RobertaTokenizer

    if isinstance(scorer._tokenizer, GPT2Tokenizer | RobertaTokenizer):
        scorer._tokenizer = AutoTokenizer.from_pretrained(model, add_prefix_space=True)


def _has_both_texts(pair: tuple[str, str]) -> bool:
    return all(text.strip() for text in pair)
