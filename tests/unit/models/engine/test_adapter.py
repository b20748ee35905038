"""Adapters: what is served, how wide, and what is refused before any engine starts."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from mics_ray.assemble.checks import find_model_problems
from mics_ray.assemble.panel import build_intern_template
from mics_ray.config.schema import Config, InternDefaults, ModelConfig, PromptsConfig
from mics_ray.models.engine.adapter import find_served_rank
from mics_ray.models.engine.vllm_settings import engine_args

PLACE = "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight"


def adapter(folder: Path, *places: str, **settings: Any) -> str:
    """A folder in peft's form with tensors of no numbers."""
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 8} | settings))
    tensor = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps(dict.fromkeys(places, tensor)).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return str(folder)


@pytest.mark.parametrize(("rank", "room"), [(1, 16), (16, 16), (17, 32), (64, 64), (200, 256)])
def test_room_is_made_in_a_size_that_vllm_takes(tmp_path: Path, rank: int, room: int) -> None:
    args = engine_args(InternDefaults(model="m", adapter=adapter(tmp_path, PLACE, r=rank)), on_gpu=False)
    assert (args["enable_lora"], args["max_lora_rank"]) == (True, room)


def test_a_rank_of_a_layer_of_its_own_counts(tmp_path: Path) -> None:
    assert find_served_rank(adapter(tmp_path, PLACE, rank_pattern={"q_proj": 33})) == 64


def test_without_an_adapter_vllm_is_told_nothing_of_one() -> None:
    assert "enable_lora" not in engine_args(InternDefaults(model="m"), on_gpu=False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"peft_type": "IA3"}, "no plain LoRA adapter"),
        ({"use_dora": True}, "no plain LoRA adapter"),
        ({"r": None}, "no plain LoRA adapter"),
        ({"r": 1024}, "of rank 1024; at most 512"),
    ],
)
def test_what_vllm_cannot_serve_is_refused(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        find_served_rank(adapter(tmp_path, PLACE, **settings))


@pytest.mark.parametrize(
    "place",
    [
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.vision_tower.encoder.layer.0.attention.q_proj.lora_A.weight",
        "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_magnitude_vector",
    ],
)
def test_a_tensor_that_vllm_would_pass_over_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(ValueError, match="not on the layers of the language model"):
        find_served_rank(adapter(tmp_path, PLACE, place))


def test_an_adapter_without_tensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is empty"):
        find_served_rank(adapter(tmp_path))


@pytest.mark.parametrize("gone", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_that_is_no_adapter_is_named(tmp_path: Path, gone: str) -> None:
    folder = adapter(tmp_path / "it", PLACE)
    (tmp_path / "it" / gone).unlink()
    with pytest.raises(ValueError, match=f"{folder}: no LoRA adapter, {gone} is not there"):
        engine_args(InternDefaults(model="m", adapter=folder), on_gpu=True)


def test_a_job_with_a_wrong_adapter_is_refused_before_anything_starts(tmp_path: Path) -> None:
    interns = {"tuned": InternDefaults(model="m", adapter=str(tmp_path))}
    prompts = PromptsConfig(mentor_system="", mentor="", intern="", judge="")
    config = Config(mentors={}, interns=interns, judge=ModelConfig(model="j", base_url="local"), prompts=prompts)
    assert [f"interns.tuned: adapter: {tmp_path}: no LoRA adapter" in line for line in find_model_problems(config)] == [
        True
    ]


def test_kept_replies_of_an_adapter_are_not_those_of_its_model(tmp_path: Path) -> None:
    judge = ModelConfig(model="j", base_url="local")
    interns = {"base": InternDefaults(model="m"), "tuned": InternDefaults(model="m", adapter="a")}
    config = Config(mentors={}, interns=interns, judge=judge)
    assert build_intern_template(config, "base").key != build_intern_template(config, "tuned").key
