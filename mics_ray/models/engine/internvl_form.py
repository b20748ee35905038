"""Checkpoints in InternVL's own form (``InternVLChatModel``): what their ``config.json`` must say to be served."""

from collections.abc import Mapping
from typing import Any

MODEL_TYPE = "internvl_chat"
TILING = {
    "force_image_size": None,
    "min_dynamic_patch": 1,
    "max_dynamic_patch": 6,
    "dynamic_image_size": False,
    "use_thumbnail": False,
}
"""The fields of ``config.json`` that say how pictures are cut, with the original's defaults."""
_NATIVE_TILING = {"crop_to_patches", "min_patches", "max_patches"}
DEFAULTS = {"downsample_ratio": 0.5, "ps_version": "v1", "select_layer": -1, "template": None, "pad2square": False}
_VISION_SIZES = (
    "hidden_size",
    "image_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "patch_size",
)
VISION_DEFAULTS = {
    "num_channels": 3,
    "qkv_bias": False,
    "qk_normalization": True,
    "norm_type": "rms_norm",
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "initializer_factor": 0.1,
}


_SYSTEM = "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。"
"""What InternVL 2.5 and 3 are trained with as their system message, as the trainer's ``conv_style`` says it."""
_TEMPLATES = {
    "internvl2_5": (
        "{%- if messages[0]['role'] != 'system' -%}<|im_start|>system\n" + _SYSTEM + "<|im_end|>\n{% endif -%}"
        "{%- for message in messages -%}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
        "{% endfor -%}{%- if add_generation_prompt -%}<|im_start|>assistant\n{% endif -%}"
    )
}


def find_chat_template(config: Mapping[str, Any]) -> str | None:
    """The conversation that a model of this form was trained on; ``None``: that of its tokenizer's files.

    The files of InternVL3 have that of the language model it was made from, with another system message ("You are
    Qwen"), and answers are worse with it (OpenGVLab/InternVL, issue 1094).
    """
    return _TEMPLATES.get(str(config.get("template"))) if is_original_form(config) else None


def is_original_form(config: Mapping[str, Any]) -> bool:
    """Whether a ``config.json`` is that of a model in InternVL's own form."""
    return config.get("model_type") == MODEL_TYPE


def read_own_tiling(config: Mapping[str, Any]) -> dict[str, Any]:
    """How pictures are cut where nothing else is configured; other checkpoints have a processor's file for it."""
    return {name: config.get(name, default) for name, default in TILING.items()}


def find_form_problem(config: Mapping[str, Any]) -> str | None:
    """Why a model in InternVL's own form cannot be served; ``None`` when nothing speaks against it."""
    for part in ("vision_config", "llm_config"):
        if not isinstance(config.get(part), dict):
            return f"config.json has no {part}"
    if "model_type" not in config["llm_config"]:
        return "config.json has no llm_config.model_type"
    if missing := [name for name in _VISION_SIZES if name not in config["vision_config"]]:
        return f"config.json has no vision_config.{missing[0]}"
    for name in ("use_llm_lora", "use_backbone_lora"):
        if config.get(name):
            return f"an adapter lies in its weights unmerged ({name}); merge it first"
    return None


def find_foreign_tiling(config: Mapping[str, Any], processor_kwargs: Mapping[str, Any]) -> str | None:
    """Why the names of ``processor_kwargs`` are not those of the model's form; ``None`` when they may be."""
    own = is_original_form(config)
    if own and (wrong := sorted(processor_kwargs.keys() & _NATIVE_TILING)):
        return f"processor_kwargs.{wrong[0]} is for the HF-native form, this is InternVL's own: serve=internvl_chat"
    if config.get("model_type") == "internvl" and (wrong := sorted(processor_kwargs.keys() & TILING.keys())):
        return f"processor_kwargs.{wrong[0]} is for InternVL's own form, this is the HF-native one: serve=internvl3"
    return None
