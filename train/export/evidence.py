"""A sample's search tree read as training evidence: candidates with scores, and the chains that lead to them."""

from collections.abc import Mapping
from typing import Any

from mics_ray.config.schema import PromptsConfig
from mics_ray.core.types import Case
from mics_ray.models.prompts import intern_text
from train.export.safe_text import trainer_safe
from train.export.sample import Sample

Node = Mapping[str, Any]
"""One candidate of a row, as `mics_ray.io.rows` writes it."""


def scored(sample: Sample) -> list[Node]:
    """The candidates with a score, of all attempts, in the order of their ids; failed ones have none."""
    return [node for node in sample.nodes if node["score"] is not None]


def prefix(sample: Sample, parent: int | None) -> tuple[str, ...]:
    """The steps from the root of the parent's attempt down to the parent, the parent's own included."""
    nodes = {node["id"]: node for node in sample.nodes}
    path: list[Node] = []
    while parent is not None:
        path.append(nodes[parent])
        parent = nodes[parent]["parent"]
    return tuple(step for node in reversed(path) for step in node["steps"])


def asked(sample: Sample, prompts: PromptsConfig, steps: tuple[str, ...]) -> str:
    """What an intern is asked after ``steps``, safe for trainers, without picture placeholders."""
    return trainer_safe(intern_text(prompts, Case(sample.case_id, sample.question, ""), steps))


def with_pictures(sample: Sample, text: str) -> str:
    """``text`` behind one ``<image>`` line for each picture of the sample, as InternVL reads it."""
    return "<image>\n" * len(sample.images) + text
