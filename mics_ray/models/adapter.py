"""LoRA adapters on the language model: whether a folder holds one that can be served, and its rank."""

import json
import re
from pathlib import Path
from typing import Any

from mics_ray.models.weights import tensors

RANKS = (16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM makes room for, from its default on."""
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PLACE = re.compile(r"(?:^|\.)language_model\.(?:\w+\.)*layers\.\d+\.[\w.]+\.lora_[AB]\.weight$")


def served_rank(folder: str) -> int:
    """The rank to make room for. Raises ``ValueError`` naming a folder that holds no adapter that can be served."""
    settings = _settings(Path(folder))
    rank = settings.get("r")
    if settings.get("peft_type") != "LORA" or not isinstance(rank, int) or settings.get("use_dora"):
        raise ValueError(f"{folder}: {CONFIG} describes no plain LoRA adapter")
    widest = max([rank, *settings.get("rank_pattern", {}).values()])
    if widest > RANKS[-1]:
        raise ValueError(f"{folder}: a LoRA adapter of rank {widest}; at most {RANKS[-1]} can be served")
    _check_places(folder)
    return next(room for room in RANKS if room >= widest)


def _check_places(folder: str) -> None:
    """Every tensor must lie on the language model: vLLM passes over others in silence."""
    names = sorted(tensors(Path(folder) / WEIGHTS))
    if not names:
        raise ValueError(f"{folder}: {WEIGHTS} is empty")
    if strays := [name for name in names if not _PLACE.search(name)]:
        raise ValueError(f"{folder}: {strays[0]} is not on the layers of the language model (language_model.layers)")


def _settings(folder: Path) -> dict[str, Any]:
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: no LoRA adapter, {name} is not there")
    try:
        found = json.loads((folder / CONFIG).read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{folder}: {CONFIG} is no JSON object")
    return found
