"""Checkpoints of a training: one file each, complete or not there.

They are not handed to Ray Train: it learns of a reported checkpoint only when it next looks, seconds later, and a
worker killed before that would begin further back.
"""

import os
from pathlib import Path
from typing import Any

import torch

FOLDER = "checkpoints"
KEPT = 2


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write the state behind ``step`` under ``folder`` in one move; the older ones but :data:`KEPT` go."""
    folder.mkdir(exist_ok=True)
    made = folder / ".writing"
    with made.open("wb") as file:
        torch.save(state, file)
        file.flush()
        # Otherwise a power cut could leave the final name on a file without data.
        os.fsync(file.fileno())
    # Padded with zeros, so that the names sort as the steps do.
    made.replace(folder / f"step-{step:08}.pt")
    for old in list_checkpoints(folder)[:-KEPT]:
        old.unlink(missing_ok=True)


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints, first to last."""
    return sorted(folder.glob("step-*.pt"))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state of a checkpoint: tensors and numbers only, on the CPU."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
