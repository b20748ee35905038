"""Files of weights: their headers, and a digest that tells two models in one place apart. Loads no tensor."""

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SAMPLE_BYTES, _SAMPLES = 1 << 20, 16
_MOST_HEADER_BYTES = 1 << 28
_PARTS = (".json", ".jinja", ".safetensors", ".model", ".txt")


def fingerprint(folder: Path) -> str:
    """A digest of a model's files, 16 hex digits: small ones whole, of big ones 16 samples of 1 MiB and the size."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in _PARTS:
            total.update(f"{path.name} {path.stat().st_size} ".encode())
            for part in _samples(path):
                total.update(part)
    return total.hexdigest()[:16]


def tensors(path: Path) -> dict[str, Any]:
    """The header of a safetensors file by tensor name. Raises ``ValueError`` for one that is not whole."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _MOST_HEADER_BYTES:
                raise ValueError
            header: dict[str, Any] = json.loads(file.read(length))
            header.pop("__metadata__", None)
            end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    except (OSError, ValueError, struct.error, TypeError, KeyError):
        raise ValueError(f"{path}: not a safetensors file, or damaged") from None
    if path.stat().st_size != 8 + length + end:
        raise ValueError(f"{path}: cut short or damaged; its header names {8 + length + end} bytes")
    return header


def _samples(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _SAMPLES * _SAMPLE_BYTES:
            yield file.read()
            return
        for number in range(_SAMPLES):
            file.seek(number * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            yield file.read(_SAMPLE_BYTES)
