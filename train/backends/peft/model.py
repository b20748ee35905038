"""The model of the backend `peft`: loading it, LoRA on its language model, the loss, and its weights on disk."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForImageTextToText, AutoProcessor

from mics_ray.assemble.locations import resolve_embedded
from mics_ray.models.engine.hub import fetch_files
from train.backends.peft.data import IGNORED
from train.config import TrainConfig

TARGETS = r".*language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
"""InternVL's own LoRA targets, by their names in transformers' form."""
_OF_THE_BASE = ("*.json", "*.jinja", "*.txt", "*.model")
# What save_pretrained writes itself, or what describes other weights.
_OWN = ("config.json", "*.index.json", "adapter_config.json", "README*")


def local_folder(model: str, revision: str | None) -> Path:
    """The folder of a model: embedded, the user's own, or the hub's snapshot, fetched where it is not here yet."""
    folder = Path(resolve_embedded(model))
    if folder.is_dir():
        return folder
    return fetch_files(model, revision, [*_OF_THE_BASE, "*.safetensors"])


def load_processor(folder: Path) -> Any:
    """The model's own processor."""
    return AutoProcessor.from_pretrained(folder)


def load_model(folder: Path, train: TrainConfig) -> PeftModel:
    """The base, frozen, with fresh adapters in float32; the seed of torch decides their start."""
    dtype = getattr(torch, train.dtype)
    base = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype, **train.model_kwargs)
    if train.gradient_checkpointing:
        # The reentrant kind gives no gradient where a block's input needs none, as behind frozen embeddings.
        base.gradient_checkpointing_enable({"use_reentrant": False})
    lora = train.lora
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=TARGETS)
    return get_peft_model(base, config)


class AnswerLoss(torch.nn.Module):
    """Cross-entropy summed over the learnt tokens of a batch.

    The large output layer works on learnt positions only, so prompts cost no memory for logits.
    """

    def __init__(self, model: PeftModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, labels: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        """``labels``: (samples, tokens); returns a scalar in nats."""
        base = self.model.get_base_model()
        hidden = base.model(**inputs, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels[:, 1:]
        learnt = wanted != IGNORED
        logits = base.lm_head(hidden[learnt]).float()
        return torch.nn.functional.cross_entropy(logits, wanted[learnt], reduction="sum")


def learnt_tokens(batch: dict[str, torch.Tensor]) -> int:
    """Tokens that :class:`AnswerLoss` sums over."""
    return int((batch["labels"][:, 1:] != IGNORED).sum())


def save_weights(model: PeftModel, base: Path, folder: Path) -> None:
    """Write ``folder/adapter`` and then ``folder/merged``, each in one step; ``model`` is merged afterwards."""
    adapter, merged = _make_empty_folder(folder / ".adapter"), _make_empty_folder(folder / ".merged")
    # The adapter first: merging consumes it, and a folder `merged` marks the stage as done.
    model.save_pretrained(adapter)
    (adapter / "README.md").unlink(missing_ok=True)  # peft's form of a model card, nothing of it filled in
    _move_into_place(adapter, folder / "adapter")
    model.merge_and_unload().save_pretrained(merged)
    _copy_companions(base, merged)
    _move_into_place(merged, folder / "merged")


def _copy_companions(base: Path, merged: Path) -> None:
    """The base's processor, tokenizer, chat template and generation settings, unchanged, beside the merged weights."""
    unwanted = {path for pattern in _OWN for path in base.glob(pattern)}
    for path in {path for pattern in _OF_THE_BASE for path in base.glob(pattern)} - unwanted:
        shutil.copyfile(path, merged / path.name)


def _make_empty_folder(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _move_into_place(made: Path, final: Path) -> None:
    shutil.rmtree(final, ignore_errors=True)
    os.replace(made, final)
