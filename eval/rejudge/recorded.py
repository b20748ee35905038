"""What a run recorded of its searches: the trees of a row, as the search had them, and its policy and wording."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mics_ray.assemble.panel import build_strategy
from mics_ray.config.schema import PromptsConfig, SearchConfig
from mics_ray.core.draws import derive_seed
from mics_ray.core.ports import Expand, Strategy
from mics_ray.core.tree import Node, SearchTree
from mics_ray.core.types import Failure, Verdict, Vote
from mics_ray.errors import RefusedRun

COLUMNS = ("case_id", "question", "answer", "nodes", "seed")
"""What is read of a row."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the run chose and asked: its policy, its prompts, and the model of its judge."""

    policy: Strategy
    prompts: PromptsConfig
    judge: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What the policy makes of a closed round: the candidate it chooses there, if any, and how it ends the search."""

    chosen: int | None
    end: str = ""


def rules(run: Path) -> Rules:
    """Of the run in a folder. Raises :class:`RefusedRun`."""
    try:
        found = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        search = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(SearchConfig), found["search"]))
        prompts = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(PromptsConfig), found["prompts"]))
        judge, mentors = str(found["judge"]["model"]), tuple(found["mentors"])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, OmegaConfBaseException):
        raise RefusedRun(f"run.dir: {run / 'config.yaml'} is not the configuration of a search") from None
    assert isinstance(search, SearchConfig)
    assert isinstance(prompts, PromptsConfig)
    return Rules(build_strategy(search, mentors), prompts, judge)


def trees(row: Mapping[str, Any]) -> list[SearchTree]:
    """The search trees of all attempts of a row, ids from 0 in each; what mentors wrote after a step is left out."""
    found = []
    for attempt, group in groupby(row["nodes"], key=lambda node: int(node["attempt"])):
        rows = list(group)
        nodes = tuple(_node(node, rows[0]["id"]) for node in rows)
        found.append(SearchTree(row["case_id"], derive_seed(row["seed"], attempt - 1), nodes))
    return found


def answers(found: list[SearchTree]) -> list[str]:
    """The interns' answers, each once, in their order."""
    return list(dict.fromkeys(v.answer for tree in found for node in tree.nodes for v in node.votes if v.answer))


def judged(tree: SearchTree, verdicts: Mapping[str, Verdict]) -> SearchTree:
    """The tree with each answer's verdict from ``verdicts``."""
    return replace(tree, nodes=tuple(replace(node, votes=_votes(node, verdicts)) for node in tree.nodes))


def choice(policy: Strategy, tree: SearchTree, number: int) -> Choice:
    """What the policy makes of round ``number`` when the search stands there."""
    move = policy.next_move(replace(tree, nodes=tuple(node for node in tree.nodes if node.round <= number)))
    if isinstance(move, Expand):
        return Choice(move.parent)
    level = {node.id for node in tree.level(number)}
    return Choice(move.leaf if move.leaf in level else None, move.outcome.value)


def _votes(node: Node, verdicts: Mapping[str, Verdict]) -> tuple[Vote, ...]:
    return tuple(replace(vote, verdict=verdicts.get(vote.answer, Verdict.UNKNOWN)) for vote in node.votes)


def _node(row: Mapping[str, Any], shift: int) -> Node:
    parent = None if row["parent"] is None else row["parent"] - shift
    votes = tuple(_vote(vote) for vote in row["votes"])
    steps = tuple(row["steps"])
    failure = _failure(row["failure"])
    return Node(row["id"] - shift, parent, row["round"], row["mentor"], steps, votes=votes, failure=failure)


def _vote(row: Mapping[str, Any]) -> Vote:
    return Vote(**{**row, "verdict": Verdict(row["verdict"]), "failure": _failure(row["failure"])})


def _failure(text: str | None) -> Failure | None:
    kind, _, message = (text or "").partition(": ")
    return Failure(kind, message) if text is not None else None
