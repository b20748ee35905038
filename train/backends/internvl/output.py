"""What InternVL's trainer leaves on disk: which checkpoints are whole, whether a stage is through, its losses."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from mics_ray.private_files import write_private
from train.backends.internvl.commands import StagePaths

STATE = "trainer_state.json"
"""Written last into a checkpoint, and at the very end beside the trained weights."""


def whole_checkpoints(output: Path) -> list[Path]:
    """The whole checkpoints of a stage, oldest first."""
    found = [path for path in output.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    # By number: as text, checkpoint-1000 comes before checkpoint-200.
    return sorted((path for path in found if (path / STATE).is_file()), key=lambda path: int(path.name[11:]))


def is_trained(where: StagePaths) -> bool:
    """Whether the trainer reached its end; the merge may still be missing."""
    return (where.output / STATE).is_file()


def remove_partial_checkpoints(output: Path) -> None:
    """Take away what a killed trainer left half-written, since upstream goes on from the newest folder whatever it
    holds, and refuses a folder without any checkpoint that is not empty."""
    whole = whole_checkpoints(output)
    if not whole:
        shutil.rmtree(output, ignore_errors=True)
    # The star in front: transformers 4.37 writes into tmp-checkpoint-N and renames it.
    for path in output.glob("*checkpoint-*"):
        if path not in whole:
            shutil.rmtree(path)


def write_losses(where: StagePaths) -> int:
    """The stage's ``log.jsonl``: ``step``, ``loss`` and ``learning_rate`` of every step that the trainer logged.

    Returns how many those are.
    """
    history: list[dict[str, Any]] = json.loads((where.output / STATE).read_text(encoding="utf-8"))["log_history"]
    rows = [{name: entry[name] for name in ("step", "loss", "learning_rate")} for entry in history if "loss" in entry]
    path = where.folder / "log.jsonl"
    write_private(path, "".join(json.dumps(row) + "\n" for row in rows))
    return len(rows)
