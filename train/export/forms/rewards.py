"""Process rewards: how often interns reached the gold answer from each candidate step, for a process reward model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mics_ray.config.schema import PromptsConfig
from mics_ray.core.reading.text import format_steps
from train.export.samples import Node, Sample, scored_nodes, steps_down_to, with_placeholders
from train.export.tokens import make_trainer_safe


def reward_rows(samples: Iterable[Sample], prompts: PromptsConfig) -> Iterator[dict[str, Any]]:
    """One row for each scored candidate of each attempt, the losing ones too.

    ``score`` is right / known votes, in [0, 1]; ``sixths`` the nearest of 0 ... 6 (of two equally near, the even one).
    ``prompts`` is not needed: every form of an export has the same parameters.
    """
    for sample in samples:
        for node in scored_nodes(sample):
            yield _reward_row(sample, node)


def stepwise_rows(
    samples: Iterable[Sample], prompts: PromptsConfig, step_right: float = 0.5
) -> Iterator[dict[str, Any]]:
    """The same candidates in the form of TRL's trainer of process reward models, which sees texts only.

    ``completions`` are the steps down to the candidate and its own, one text a candidate, and ``labels`` whether each
    has a score of ``step_right`` at least. The last one is the row's; those before it have rows of their own, so train
    with ``train_on_last_step_only=True``, or steps that many others go on from count as often.
    """
    for sample in samples:
        nodes = {node["id"]: node for node in sample.nodes}
        for node in scored_nodes(sample):
            path = _list_path(nodes, node)
            # A score that is no evidence is none; then nothing that goes on from it has one either.
            if all(one["score"] is not None for one in path):
                yield _stepwise_row(sample, path, step_right)


def _list_path(nodes: Mapping[int, Node], node: Node) -> list[Node]:
    """The candidates from the root down to ``node``."""
    path = [node]
    while path[0]["parent"] is not None:
        path.insert(0, nodes[path[0]["parent"]])
    return path


def _stepwise_row(sample: Sample, path: Sequence[Node], step_right: float) -> dict[str, Any]:
    texts, first = [], 1
    for node in path:
        texts.append(make_trainer_safe(format_steps(node["steps"], first)))
        first += len(node["steps"])
    return {
        "id": f"{sample.id}#{path[-1]['id']}",
        "images": list(sample.images),
        "prompt": sample.prompt,
        "completions": texts,
        "labels": [node["score"] >= step_right for node in path],
    }


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
