"""InternVL's own form, as its trainer merges it and Chiron-o1 has it: served, and none of its code is run."""

import importlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoTokenizer

from mics_ray.errors import RefusedRun
from mics_ray.models.engine.checkpoint import check_checkpoint, read_tiling
from mics_ray.models.engine.internvl_form import find_chat_template
from tests.support.original_form import NATIVE, write_original_form

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_original_form(tmp_path_factory.mktemp("form") / "model")


def change_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> str:
    path = folder / "config.json"
    before = path.read_text()
    content = json.loads(before)
    change(content)
    path.write_text(json.dumps(content))
    return before


def test_its_configuration_is_read_by_a_class_of_ours(model: Path) -> None:
    """A base that came from the hub leaves its name in `auto_map`, where transformers would fetch code."""
    name = "OpenGVLab/InternVL3-2B--configuration_internvl_chat.InternVLChatConfig"
    before = change_config(model, lambda config: config["auto_map"].update(AutoConfig=name))
    importlib.import_module("mics_ray.models.engine.internvl_config")
    found = pickle.loads(pickle.dumps(AutoConfig.from_pretrained(model, trust_remote_code=False)))
    (model / "config.json").write_text(before)
    assert type(found).__module__ == "mics_ray.models.engine.internvl_config"
    assert (found.llm_config.model_type, found.llm_config.rope_parameters["rope_theta"]) == ("qwen2", 10000.0)
    assert (found.vision_config.hidden_size, found.max_dynamic_patch, found.ps_version) == (128, 1, "v2")


def test_the_other_forms_names_of_tiles_are_refused(model: Path) -> None:
    check_checkpoint(str(model), processor_kwargs={"max_dynamic_patch": 6})
    with pytest.raises(RefusedRun, match=r"max_patches is for the HF-native form.*serve=internvl_chat"):
        check_checkpoint(str(model), processor_kwargs={"max_patches": 6})
    with pytest.raises(RefusedRun, match=r"max_dynamic_patch is for InternVL's own form.*serve=internvl3"):
        check_checkpoint(str(NATIVE), processor_kwargs={"max_dynamic_patch": 6})


def test_it_passes_the_check_and_says_how_it_cuts_pictures(model: Path) -> None:
    check_checkpoint(str(model))
    tiling = {"force_image_size": 56, "min_dynamic_patch": 1, "max_dynamic_patch": 1}
    assert read_tiling(model) == tiling | {"dynamic_image_size": True, "use_thumbnail": True}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda config: config.update(use_llm_lora=16), "use_llm_lora"),
        (lambda config: config.pop("llm_config"), "no llm_config"),
        (lambda config: config.update(vision_config=None), "no vision_config"),
        (lambda config: config["vision_config"].pop("patch_size"), "no vision_config.patch_size"),
        (lambda config: config["llm_config"].update(model_type="internlm2"), "'internlm2'"),
        (lambda config: config["llm_config"].pop("model_type"), "no llm_config.model_type"),
        (lambda config: config["llm_config"].update(vocab_size=7), "its embedding only 7 rows"),
    ],
)
def test_what_cannot_be_served_is_refused_before_it_is_loaded(
    model: Path, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    before = change_config(model, change)
    with pytest.raises(RefusedRun) as refused:
        check_checkpoint(str(model))
    (model / "config.json").write_text(before)
    assert told in str(refused.value)
    assert str(model) in str(refused.value)


def test_a_template_is_needed_for_this_form_too(model: Path) -> None:
    path = model / "tokenizer_config.json"
    before = path.read_text()
    path.write_text("{}")
    with pytest.raises(RefusedRun, match="no chat template"):
        check_checkpoint(str(model))
    path.write_text(before)


def test_a_model_of_internvl3_is_asked_in_the_conversation_that_it_was_trained_on(model: Path) -> None:
    """Its tokenizer's files name another system message; the trainer's conversation, and one of a mentor, are these."""
    before = change_config(model, lambda config: config.update(template="internvl2_5"))
    template = find_chat_template(json.loads((model / "config.json").read_text()))
    without_template = (model / "tokenizer_config.json").read_text()
    (model / "tokenizer_config.json").write_text("{}")
    check_checkpoint(str(model))
    (model / "tokenizer_config.json").write_text(without_template)
    (model / "config.json").write_text(before)
    tokenizer = AutoTokenizer.from_pretrained(NATIVE)
    asked = [{"role": "user", "content": "<image>\nWhat is it?"}]
    settings = {"chat_template": template, "tokenize": False, "add_generation_prompt": True}
    head, turn = tokenizer.apply_chat_template(asked, **settings).split("<|im_end|>\n", 1)
    assert head.startswith("<|im_start|>system\n")
    assert "InternVL" in head
    assert turn == "<|im_start|>user\n<image>\nWhat is it?<|im_end|>\n<|im_start|>assistant\n"
    told = tokenizer.apply_chat_template([{"role": "system", "content": "Be brief."}, *asked], **settings)
    assert told == f"<|im_start|>system\nBe brief.<|im_end|>\n{turn}"


@pytest.mark.parametrize(
    "config", [{"model_type": "internvl_chat", "template": "other"}, {"model_type": "qwen2", "template": "internvl2_5"}]
)
def test_other_conversations_are_those_of_the_tokenizers_files(config: dict[str, str]) -> None:
    assert find_chat_template(config) is None
