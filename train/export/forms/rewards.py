"""Process rewards: how often interns reached the gold answer from each candidate step, for a process reward model."""

from collections.abc import Iterator, Sequence
from typing import Any

from mics_ray.config.schema import PromptsConfig
from train.export.samples import Node, Sample, scored_nodes, steps_down_to, with_placeholders
from train.export.tokens import make_trainer_safe


def reward_rows(samples: Sequence[Sample], prompts: PromptsConfig) -> Iterator[dict[str, Any]]:
    """One row for each scored candidate of each attempt, the losing ones too.

    ``score`` is right / known votes, in [0, 1]; ``sixths`` the nearest of 0 ... 6 (of two equally near, the even one).
    ``prompts`` is not needed: every form of an export has the same parameters.
    """
    for sample in samples:
        for node in scored_nodes(sample):
            yield _reward_row(sample, node)


def _reward_row(sample: Sample, node: Node) -> dict[str, Any]:
    verdicts = [vote["verdict"] for vote in node["votes"]]
    return {
        "id": f"{sample.id}#{node['id']}",
        "images": list(sample.images),
        "question": with_placeholders(sample, sample.prompt),
        "prefix": [make_trainer_safe(step) for step in steps_down_to(sample, node["parent"])],
        "step": [make_trainer_safe(step) for step in node["steps"]],
        "right": verdicts.count("right"),
        # An unknown verdict is a lost vote, which counts neither for nor against the step.
        "known": len(verdicts) - verdicts.count("unknown"),
        "score": node["score"],
        "sixths": round(6 * node["score"]),
        "mentor": node["mentor"],
        "attempt": node["attempt"],
        "round": node["round"],
    }
