"""Run folders of small hand-made searches, with pictures, as `scripts/generate.py` leaves them."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from mics_ray.config.compose import compose_config, compose_job
from mics_ray.core.search import SearchResult
from mics_ray.core.tree import Node, SearchTree, grade_quality
from mics_ray.core.types import Case, Continuation, Outcome
from mics_ray.io.rows import Stamp, result_row
from mics_ray.io.shards.store import ShardStore
from tests.support.fake_panel import votes
from train.export.config import ExportJob

STAMP = Stamp(0, "d1gest", "1.0")


def row(
    case_id: str = "case-1",
    rounds: Sequence[Mapping[str, str]] = ({"ann": "rrww", "bob": "rwww"}, {"ann": "rrrr", "bob": "rrww"}),
    chosen: str = "aa",
    outcome: str = "solved",
    question: str = "What is shown?",
    images: tuple[str, ...] = ("a.png",),
    last_step: str = "So it is that.",
    gold: str = "Gold",
    context: str = "",
) -> dict[str, Any]:
    """The row of a search: for each round a table of mentor to votes, and the initial of the mentor that was chosen."""
    tree, parent = SearchTree(case_id, 0), None
    for number, level in enumerate(rounds, 1):
        end = Continuation((last_step,), gold)
        tree = tree.add_round(
            Node(-1, parent, number, name, (f"{name.title()} sees {number}.",), end, votes(letters))
            for name, letters in level.items()
        )
        parent = next(node.id for node in tree.round_nodes(number) if node.mentor[0] == chosen[number - 1])
    best = [max(node.score or 0.0 for node in tree.round_nodes(number)) for number in range(1, len(rounds) + 1)]
    chain = Continuation((*tree.prefix_to(parent), last_step), gold)
    case = Case(case_id, question, gold, images, context=context)
    result = SearchResult(
        case, Outcome(outcome), "why", grade_quality(best, outcome == "solved"), chain, parent, (tree,)
    )
    return result_row(result, {}, 1.0, STAMP)


def noise(seed: int, width: int = 60, height: int = 50) -> Image.Image:
    """A picture unlike any other."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def make_run(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A finished run folder with these rows; its pictures lie in ``folder/pictures``, those not there yet are made."""
    root = folder / "pictures"
    root.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(sorted({image for one in rows for image in one["images"]})):
        if not (root / name).exists() and name.endswith(".png"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            noise(number).save(root / name)
    ShardStore(folder / "results").commit(rows)
    config = {
        "data": {"cases": str(folder / "cases.jsonl"), "image_root": str(root)},
        "mentors": {"ann": {"model": "gpt"}, "bob": {"model": "qwen"}},
        "interns": {"i": {"model": "tiny"}},
        "judge": {"model": "seek"},
        "prompts": {"intern": _intern_prompt()},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "summary.json").write_text(json.dumps({"finished": True}))
    return folder


@lru_cache
def _intern_prompt() -> str:
    return compose_config(["experiment=demo"]).prompts.intern


def job(folder: Path | Sequence[Path], target: Path, *overrides: str) -> ExportJob:
    """An export job as the command line makes it, all samples for training."""
    folders = [folder] if isinstance(folder, Path) else folder
    run = f"run.dir=[{','.join(map(str, folders))}]"
    return compose_job("export", ExportJob, [run, f"export.dir={target}", "export.validation_share=0", *overrides])
