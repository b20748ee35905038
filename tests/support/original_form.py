"""The embedded InternVL intern in InternVL's own form: the same function of text and pictures, other names and files.

As upstream saves it: no processor, a configuration with `auto_map`, a slow tokenizer's template that takes texts. The
Python files beside it raise when they are run, so that a test sees it.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

import mics_ray.local

NATIVE = Path(mics_ray.local.__file__).parent / "interns/internvl"
CODE = ("configuration_internvl_chat.py", "modeling_internvl_chat.py")
TRAP = "raise SystemExit('code of the checkpoint was run')\n"
_MEAN, _STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
"""What the original form takes pictures off by, whatever the checkpoint; the intern was trained on 0.5 and 0.5."""
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_RENAMED = (
    (r"^vision_tower\.encoder\.layer\.", "vision_model.encoder.layers."),
    (r"^vision_tower\.embeddings\.cls_token$", "vision_model.embeddings.class_embedding"),
    (r"^vision_tower\.embeddings\.position_embeddings$", "vision_model.embeddings.position_embedding"),
    (r"^vision_tower\.embeddings\.patch_embeddings\.projection\.", "vision_model.embeddings.patch_embedding."),
    (r"\.attention\.projection_layer\.", ".attn.proj."),
    (r"\.lambda_(\d)$", r".ls\1"),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"^multi_modal_projector\.layer_norm\.", "mlp1.0."),
    (r"^multi_modal_projector\.linear_1\.", "mlp1.1."),
    (r"^multi_modal_projector\.linear_2\.", "mlp1.3."),
)


def write_original_form(folder: Path, template: str | None = None) -> Path:
    """Write the intern into ``folder``, which is made.

    ``template`` names the conversation that it is served with; it was trained without the system message of any.
    """
    folder.mkdir(parents=True)
    save_file(_rename_weights(load_file(NATIVE / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(_describe_model() | {"template": template}, indent=1))
    shutil.copy(NATIVE / "tokenizer.json", folder)
    settings = json.loads((NATIVE / "tokenizer_config.json").read_text())
    kept = {name: value for name, value in settings.items() if "image" not in name and name != "processor_class"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**kept, "chat_template": _TEMPLATE}))
    for name in CODE:
        (folder / name).write_text(TRAP)
    return folder


def _rename_weights(weights: dict[str, Any]) -> dict[str, Any]:
    made, apart = {}, re.compile(r"(.*\.layer\.\d+)\.attention\.q_proj\.weight")
    for name, value in weights.items():
        if found := apart.fullmatch(name):
            parts = [weights[f"{found[1]}.attention.{letter}_proj.weight"] for letter in "qkv"]
            made[_rename(f"{found[1]}.attn.qkv.weight")] = np.concatenate(parts)
        elif ".attention." not in name or ".projection_layer." in name:
            made[_rename(name)] = value
    patch = "vision_model.embeddings.patch_embedding"
    kernel = made[f"{patch}.weight"]
    shift = (2 * _MEAN - 1)[None, :, None, None]
    made[f"{patch}.bias"] = made[f"{patch}.bias"] + (kernel * shift).sum((1, 2, 3))
    made[f"{patch}.weight"] = np.ascontiguousarray(kernel * (2 * _STD)[None, :, None, None])
    return made


def _rename(name: str) -> str:
    for old, new in _RENAMED:
        name = re.sub(old, new, name)
    return name


def _describe_model() -> dict[str, Any]:
    native = json.loads((NATIVE / "config.json").read_text())
    vision = native["vision_config"]
    sizes = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "layer_norm_eps")
    text = native["text_config"] | {"architectures": ["Qwen2ForCausalLM"]}
    text["rope_theta"] = text.pop("rope_parameters")["rope_theta"]
    return {
        "architectures": ["InternVLChatModel"],
        "model_type": "internvl_chat",
        "auto_map": {
            "AutoConfig": "configuration_internvl_chat.InternVLChatConfig",
            "AutoModel": "modeling_internvl_chat.InternVLChatModel",
        },
        "llm_config": text,
        "vision_config": {
            **{name: vision[name] for name in sizes},
            "model_type": "intern_vit_6b",
            "image_size": vision["image_size"][0],
            "patch_size": vision["patch_size"][0],
            "qkv_bias": False,
            "qk_normalization": False,
            "norm_type": "layer_norm",
            "hidden_act": "gelu",
        },
        "force_image_size": vision["image_size"][0],
        "downsample_ratio": 0.5,
        "ps_version": "v2",
        "select_layer": -1,
        "min_dynamic_patch": 1,
        "max_dynamic_patch": 1,
        "dynamic_image_size": True,
        "use_thumbnail": True,
        "use_llm_lora": 0,
        "use_backbone_lora": 0,
        "torch_dtype": "float32",
    }
