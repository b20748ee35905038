"""Weights before they are loaded: a model's fingerprint, the tensors of a file, whether an adapter can be served."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

_SAMPLE_BYTES, _SAMPLES = 1 << 20, 16  # to read tens of GB whole would take minutes
_FINGERPRINTED = (".json", ".jinja", ".safetensors", ".model", ".txt")

RANKS = (16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM makes room for, from its default on."""
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PLACE = re.compile(r"(?:^|\.)language_model\.(?:\w+\.)*layers\.\d+\.[\w.]+\.lora_[AB]\.weight$")


def fingerprint_model(folder: Path) -> str:
    """A digest of a model's files, 16 hex digits: small ones whole, of big ones 16 samples of 1 MiB and the size."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in _FINGERPRINTED:
            total.update(f"{path.name} {path.stat().st_size} ".encode())
            for part in _sample_file(path):
                total.update(part)
    return total.hexdigest()[:16]


def read_tensor_names(path: Path) -> list[str]:
    """The tensors of a safetensors file, by its header alone. Raises ``ValueError`` for one that is not whole."""
    try:
        with safe_open(path, framework="numpy") as file:
            return sorted(file.keys())
    except OSError:
        raise ValueError(f"{path}: not a safetensors file, or not to be read") from None
    except SafetensorError as error:
        # The library has one class for all damage; this is its word for a size other than what the header names.
        cut = "incomplete metadata" in str(error)
        reason = "cut short or damaged" if cut else "not a safetensors file, or damaged"
        raise ValueError(f"{path}: {reason} ({error})") from None


def _sample_file(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _SAMPLES * _SAMPLE_BYTES:
            yield file.read()
            return
        for number in range(_SAMPLES):
            file.seek(number * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            yield file.read(_SAMPLE_BYTES)


def find_served_rank(folder: str) -> int:
    """The rank to make room for. Raises ``ValueError`` naming a folder that holds no adapter that can be served."""
    settings = _read_adapter_config(Path(folder))
    rank = settings.get("r")
    if settings.get("peft_type") != "LORA" or not isinstance(rank, int) or settings.get("use_dora"):
        raise ValueError(f"{folder}: {CONFIG} describes no plain LoRA adapter")
    widest = max([rank, *settings.get("rank_pattern", {}).values()])
    if widest > RANKS[-1]:
        raise ValueError(f"{folder}: a LoRA adapter of rank {widest}; at most {RANKS[-1]} can be served")
    _check_tensor_places(folder)
    # vLLM takes no max_lora_rank between these.
    return next(room for room in RANKS if room >= widest)


def _check_tensor_places(folder: str) -> None:
    """Every tensor must lie on the language model: vLLM passes over others in silence."""
    names = read_tensor_names(Path(folder) / WEIGHTS)
    if not names:
        raise ValueError(f"{folder}: {WEIGHTS} is empty")
    if strays := [name for name in names if not _PLACE.search(name)]:
        raise ValueError(f"{folder}: {strays[0]} is not on the layers of the language model (language_model.layers)")


def _read_adapter_config(folder: Path) -> dict[str, Any]:
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
