"""What a run recorded of its searches: its policy and wording, and what the policy makes of its trees."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mics_ray.assemble.panel import build_strategy
from mics_ray.config.schema import PromptsConfig, SearchConfig
from mics_ray.core.adaptive import plan_votes
from mics_ray.core.ports import Complete, Expand, Strategy
from mics_ray.core.tree import Node, SearchTree
from mics_ray.core.types import Verdict, Vote
from mics_ray.errors import RefusedRun

COLUMNS = ("case_id", "question", "answer", "other_answers", "nodes", "seed")
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


def read_rules(run: Path) -> Rules:
    """Of the run in a folder. Raises :class:`RefusedRun`."""
    try:
        found = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        # Into the schema, so that settings which came after the run have their defaults.
        search = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(SearchConfig), found["search"]))
        prompts = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(PromptsConfig), found["prompts"]))
        judge, mentors = str(found["judge"]["model"]), tuple(found["mentors"])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, OmegaConfBaseException):
        raise RefusedRun(f"run.dir: {run / 'config.yaml'} is not the configuration of a search") from None
    assert isinstance(search, SearchConfig)
    assert isinstance(prompts, PromptsConfig)
    return Rules(build_strategy(search, mentors), prompts, judge)


def list_answers(found: list[SearchTree]) -> list[str]:
    """The interns' answers that a judge is asked about, each once, in their order."""
    votes = (vote for tree in found for node in tree.nodes for vote in node.votes)
    return list(dict.fromkeys(vote.answer for vote in votes if is_judged(vote)))


def is_judged(vote: Vote) -> bool:
    """Whether a judge is asked about a vote: it has an answer, and the run did not match that with the gold answer."""
    return bool(vote.answer) and not vote.matched


def replace_verdicts(tree: SearchTree, verdicts: Mapping[str, Verdict]) -> SearchTree:
    """The tree with each answer's verdict from ``verdicts``; a vote that no judge is asked about keeps its own."""
    return replace(tree, nodes=tuple(replace(node, votes=_replace_votes(node, verdicts)) for node in tree.nodes))


def find_choice(policy: Strategy, tree: SearchTree, number: int) -> Choice | None:
    """What the policy makes of round ``number`` when the search stands there.

    ``None`` where votes that the run did not ask for would decide.
    """
    move = policy.next_move(replace(tree, nodes=tuple(node for node in tree.nodes if node.round <= number)))
    siblings = tree.round_nodes(number)
    in_chain = {node.mentor for node in tree.path_to(siblings[0].parent)}
    if isinstance(move, Complete) or plan_votes(siblings, in_chain):
        return None
    if isinstance(move, Expand):
        return Choice(move.parent)
    # A search may stop with the leaf of an earlier round; then it chose nothing in this one.
    level = {node.id for node in siblings}
    return Choice(move.leaf if move.leaf in level else None, move.outcome.value)


def _replace_votes(node: Node, verdicts: Mapping[str, Verdict]) -> tuple[Vote, ...]:
    return tuple(
        replace(vote, verdict=verdicts.get(vote.answer, Verdict.UNKNOWN)) if is_judged(vote) else vote
        for vote in node.votes
    )
