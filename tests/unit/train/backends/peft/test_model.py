import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText

from mics_ray.assemble.locations import resolve_embedded
from tests.support.tiny_training import job, record, write_stage
from train.backends.peft.data import EncodedRecords, Encoder, collate_samples
from train.backends.peft.model import AnswerLoss, learnt_tokens, load_model, load_processor, save_weights
from train.backends.peft.records import Records
from train.stages import read_stages

pytestmark = pytest.mark.heavy

TINY = Path(resolve_embedded("embedded:interns/internvl"))


@pytest.fixture
def batch(tmp_path: Path) -> dict[str, torch.Tensor]:
    write_stage(tmp_path, [record(0), record(1, 2), record(2, 0, answer="no picture")])
    records = EncodedRecords(Records(read_stages(tmp_path)[0].entries), Encoder(load_processor(TINY), 1, 4096))
    return collate_samples([records[number] for number in range(3)], pad=0)


def adapted(tmp_path: Path, **changed: Any) -> PeftModel:
    """The tiny intern with adapters that do something."""
    torch.manual_seed(0)
    model = load_model(TINY, job(tmp_path, tmp_path, **changed).train)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return model.eval()


def logits(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(**{key: value for key, value in batch.items() if key != "labels"}).logits
    return found


def test_adapters_sit_on_the_seven_projections_of_each_language_layer_and_nothing_else_learns(tmp_path: Path) -> None:
    learns = {name for name, weight in adapted(tmp_path).named_parameters() if weight.requires_grad}
    modules = {name.split(".lora_")[0].partition("language_model.layers.")[2] for name in learns}
    attention = {f"{layer}.self_attn.{part}_proj" for layer in range(3) for part in "qkvo"}
    assert modules == attention | {f"{layer}.mlp.{part}_proj" for layer in range(3) for part in ("gate", "up", "down")}
    assert all(".lora_A." in name or ".lora_B." in name for name in learns)


def test_the_loss_is_that_of_transformers_with_a_mask(tmp_path: Path, batch: dict[str, torch.Tensor]) -> None:
    model, mask = adapted(tmp_path), (batch["input_ids"] != 0).long()
    assert 0 < mask.sum() < mask.numel()
    ours = AnswerLoss(model)(**batch) / learnt_tokens(batch)
    torch.testing.assert_close(ours, model(attention_mask=mask, **batch).loss)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradient_checkpointing_changes_no_gradient(tmp_path: Path, batch: dict[str, torch.Tensor], dtype: str) -> None:
    found = []
    for checkpointing in (False, True):
        model = adapted(tmp_path, gradient_checkpointing=checkpointing, dtype=dtype).train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            pixels = batch["pixel_values"].to(getattr(torch, dtype))
            AnswerLoss(model)(**batch | {"pixel_values": pixels}).backward()
        found.append({name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad})
        assert all(weight.dtype is torch.float32 for weight in model.parameters() if weight.requires_grad)
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in found[0].values())
    torch.testing.assert_close(found[0], found[1])


def test_adapter_and_merged_weights_compute_what_was_trained(tmp_path: Path, batch: dict[str, torch.Tensor]) -> None:
    model = adapted(tmp_path)
    trained = logits(model, batch)
    save_weights(model, TINY, tmp_path)
    base = AutoModelForImageTextToText.from_pretrained(TINY).eval()
    assert (logits(base, batch) - trained).abs().max() > 0.1
    merged = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged").eval()
    torch.testing.assert_close(logits(merged, batch), trained, atol=1e-4, rtol=1e-4)
    on_top = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    torch.testing.assert_close(logits(on_top, batch), trained, atol=1e-4, rtol=1e-4)


def test_the_merged_folder_holds_what_the_base_held(tmp_path: Path) -> None:
    save_weights(adapted(tmp_path), TINY, tmp_path)
    merged, names = tmp_path / "merged", {path.name for path in TINY.iterdir()}
    assert {path.name for path in merged.iterdir()} == names
    for name in names - {"config.json", "model.safetensors"}:
        assert (merged / name).read_bytes() == (TINY / name).read_bytes()
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (TINY, merged))
    assert after["architectures"] == ["InternVLForConditionalGeneration"]
    assert {**after, "text_config": None, "vision_config": None} == {
        **before,
        "text_config": None,
        "vision_config": None,
    }
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
