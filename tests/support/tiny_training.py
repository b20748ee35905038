"""A small export of phantom chains, and jobs of the backend `peft` on it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mics_ray.config.compose import compose_job
from mics_ray.core.reading.text import format_chain
from mics_ray.core.types import Continuation
from mics_ray.local.findings import FINDINGS
from mics_ray.local.phantom_drawing import draw_phantom
from train.config import TrainJob

QUESTION = "Which finding does the film show?"


def record(number: int, pictures: int = 1, question: str = QUESTION, answer: str | None = None) -> dict[str, Any]:
    """One InternVL record about phantom ``number``."""
    finding = FINDINGS[number % len(FINDINGS)]
    chain = format_chain(Continuation((finding.evidence[0],), finding.answer))
    made: dict[str, Any] = {
        "id": f"phantom-{number}",
        "conversations": [
            {"from": "human", "value": "<image>\n" * pictures + question},
            {"from": "gpt", "value": chain if answer is None else answer},
        ],
    }
    return made | ({"image": [f"images/{number}.png"] * pictures} if pictures else {})


def write_stage(folder: Path, records: list[dict[str, Any]], name: str = "chains", repeat: int = 1) -> None:
    """Add a stage of ``records`` to the export in ``folder``; pictures that they name are drawn."""
    (folder / "meta").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    for path in {path for entry in records for path in entry.get("image", [])}:
        number = int(Path(path).stem)
        draw_phantom(number % len(FINDINGS), np.random.default_rng(number)).save(folder / path)
    annotation = folder / f"{name}.jsonl"
    annotation.write_text("".join(json.dumps(entry) + "\n" for entry in records), encoding="utf-8")
    entry = {"root": str(folder), "annotation": str(annotation), "data_augment": False, "repeat_time": repeat}
    meta = {name: entry | {"length": len(records), "max_dynamic_patch": 6}}
    (folder / "meta" / f"{name}.json").write_text(json.dumps(meta), encoding="utf-8")
    report = folder / "report.json"
    listed = json.loads(report.read_text())["stages"] if report.exists() else []
    listed.append({"name": name, "meta": f"meta/{name}.json", "samples": len(records) * repeat})
    report.write_text(json.dumps({"stages": listed}), encoding="utf-8")


def job(export: Path, folder: Path, **changed: Any) -> TrainJob:
    """The recipe `tiny` on an export; ``changed`` are fields of ``train``."""
    made = compose_job("train", TrainJob, ["train=tiny", f"export.dir={export}", f"train.dir={folder}"])
    return replace(made, train=replace(made.train, **changed))
