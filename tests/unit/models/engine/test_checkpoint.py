"""What is seen of a checkpoint before anything is loaded: each way in which it does not fit is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mics_ray.local
from mics_ray.errors import RefusedRun
from mics_ray.models.engine.adapter import fingerprint_model
from mics_ray.models.engine.checkpoint import check_checkpoint, is_known_architecture, read_tiling

INTERNS = Path(mics_ray.local.__file__).parent / "interns"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the tiny InternVL intern that a test may spoil."""
    return Path(shutil.copytree(INTERNS / "internvl", tmp_path / "model"))


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(("name", "other"), [("internvl", "qwen25vl"), ("qwen25vl", "internvl")])
def test_the_embedded_interns_fit_as_they_are_and_not_with_the_processor_of_the_other(
    tmp_path: Path, name: str, other: str
) -> None:
    folder = Path(shutil.copytree(INTERNS / name, tmp_path / name))
    check_checkpoint(str(folder))
    shutil.copy(INTERNS / other / "processor_config.json", folder)
    with pytest.raises(RefusedRun, match="its processor is a"):
        check_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("config.json", "no config.json"),
        ("model.safetensors", "no weights as safetensors"),
        ("tokenizer.json", "no tokenizer"),
        ("processor_config.json", "no processor"),
        ("chat_template.jinja", "no chat template"),
    ],
)
def test_a_file_that_is_not_there_is_named(model: Path, gone: str, words: str) -> None:
    (model / gone).unlink()
    with pytest.raises(RefusedRun, match=words) as refused:
        check_checkpoint(str(model))
    assert str(model) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_another_models_processor_is_refused(model: Path) -> None:
    shutil.copy(INTERNS / "qwen25vl/processor_config.json", model)
    with pytest.raises(RefusedRun, match="a Qwen2_5_VLProcessor, a model of type internvl needs InternVLProcessor"):
        check_checkpoint(str(model))


def test_a_processor_of_another_tile_is_refused(model: Path) -> None:
    changed(model / "processor_config.json", lambda content: content.update(image_seq_length=256))
    with pytest.raises(RefusedRun, match="256 tokens for a tile, the model makes 4"):
        check_checkpoint(str(model))


def test_a_tokenizer_larger_than_the_embedding_is_refused(model: Path) -> None:
    changed(model / "config.json", lambda content: content["text_config"].update(vocab_size=1000))
    with pytest.raises(RefusedRun, match="only 1000 rows"):
        check_checkpoint(str(model))


def test_an_image_token_that_the_tokenizer_does_not_know_is_refused(model: Path) -> None:
    changed(model / "config.json", lambda content: content.update(image_token_id=1519, pad=0))
    changed(model / "tokenizer.json", lambda content: _forget(content, 1519))
    with pytest.raises(RefusedRun, match="does not know the image token id 1519"):
        check_checkpoint(str(model))


def _forget(tokenizer: dict[str, Any], number: int) -> None:
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {piece: place for piece, place in vocabulary.items() if place != number}


def test_an_image_token_of_another_number_is_refused(model: Path) -> None:
    changed(model / "config.json", lambda content: content.update(image_token_id=6))
    with pytest.raises(RefusedRun, match=r"<IMG_CONTEXT> is 5 for its tokenizer and 6 in config\.json"):
        check_checkpoint(str(model))


def test_an_unknown_architecture_is_refused(model: Path) -> None:
    changed(model / "config.json", lambda content: content.update(architectures=["TinyVL"], model_type="tinyvl"))
    with pytest.raises(RefusedRun, match="unknown architecture 'TinyVL'"):
        check_checkpoint(str(model))


def test_the_sources_of_vllm_and_transformers_say_what_can_be_served() -> None:
    assert is_known_architecture("InternVLForConditionalGeneration", "internvl")
    assert is_known_architecture("InternVLChatModel", "internvl_chat")
    assert is_known_architecture("NotInVllm", "internvl")
    assert not is_known_architecture("NotInVllm", "")


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_config_that_is_no_object_is_refused(model: Path, content: str) -> None:
    (model / "config.json").write_text(content)
    with pytest.raises(RefusedRun, match=r"config\.json: no JSON object"):
        check_checkpoint(str(model))


def test_weights_that_were_cut_short_are_refused(model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RefusedRun, match=r"model\.safetensors: cut short"):
        check_checkpoint(str(model))
    path.write_bytes(b"no weights at all")
    with pytest.raises(RefusedRun, match=r"model\.safetensors: not a safetensors file"):
        check_checkpoint(str(model))


def test_a_shard_that_the_index_names_must_be_there(model: Path) -> None:
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "part-2.safetensors"}}))
    with pytest.raises(RefusedRun, match=r"part-2\.safetensors is not there"):
        check_checkpoint(str(model))


@pytest.mark.parametrize("model_id", ["/no/such/folder", "./here", "runs/out/model", "no-such-org/no-such-model"])
def test_a_model_that_is_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch, model_id: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RefusedRun, match=f"{model_id}: no such folder"):
        check_checkpoint(model_id)


def test_tiling_is_what_the_processor_was_saved_with(model: Path) -> None:
    assert read_tiling(model)["max_patches"] == 1
    changed(model / "processor_config.json", lambda content: content["image_processor"].update(max_patches=6))
    assert read_tiling(model)["max_patches"] == 6


def test_a_fingerprint_tells_weights_apart_that_have_the_same_size(model: Path) -> None:
    before = fingerprint_model(model)
    assert fingerprint_model(INTERNS / "internvl") == before
    path = model / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert fingerprint_model(model) != before
