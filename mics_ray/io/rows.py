"""One row per case: the explicit, versioned Arrow schema, and the way from a result to a row."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from mics_ray.core.display import storable_value
from mics_ray.core.leaks import LeakGuard
from mics_ray.core.quality import grade
from mics_ray.core.search import SearchResult
from mics_ray.core.text import format_chain
from mics_ray.core.tree import Node, SearchTree
from mics_ray.core.types import Continuation, Failure, Outcome, Vote
from mics_ray.core.usage import Usage
from mics_ray.io.records import Rejection

SCHEMA_VERSION = 2

_TEXTS = pa.list_(pa.string())
_VOTE = pa.struct(
    [
        ("intern", pa.string()),
        ("temperature", pa.float64()),
        ("text", pa.string()),
        ("answer", pa.string()),
        ("verdict", pa.string()),
        ("judge_reply", pa.string()),
        ("failure", pa.string()),
    ]
)
_NODE = pa.struct(
    [
        ("id", pa.int32()),
        ("parent", pa.int32()),
        ("attempt", pa.int32()),
        ("round", pa.int32()),
        ("mentor", pa.string()),
        ("step", pa.string()),
        ("steps", _TEXTS),
        ("rest", pa.string()),
        ("score", pa.float64()),
        ("chosen", pa.bool_()),
        ("leaks", _TEXTS),
        ("failure", pa.string()),
        ("votes", pa.list_(_VOTE)),
    ]
)
_LEAK = pa.struct([("step", pa.int32()), ("kind", pa.string())])
_USAGE = pa.struct(
    [
        ("calls", pa.int64()),
        ("cached_calls", pa.int64()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("cost_usd", pa.float64()),
    ]
)
SCHEMA = pa.schema(
    [
        ("case_id", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("images", _TEXTS),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("quality", pa.string()),
        ("steps", _TEXTS),
        ("final_answer", pa.string()),
        ("reasoning", pa.string()),
        ("leaks", pa.list_(_LEAK)),
        ("rounds", pa.int32()),
        ("mentors", _TEXTS),
        ("scores", pa.map_(pa.string(), pa.list_(pa.float64()))),
        ("nodes", pa.list_(_NODE)),
        ("usage", pa.map_(pa.string(), _USAGE)),
        ("attempts", pa.int32()),
        ("seconds", pa.float64()),
        ("seed", pa.int64()),
        ("config_digest", pa.string()),
        ("code_version", pa.string()),
        ("schema_version", pa.int32()),
    ]
)
"""Columns of a row. Null only where it means something: no parent, no score, no failure; leaks that nobody looked for.

``leaks`` are those of the chain (steps numbered from 1), ``leaks`` of a node the kinds in its own steps; see
:mod:`mics_ray.core.leaks`.
"""


def _version_1() -> pa.Schema:
    """The schema before the leaks, in rows and in nodes."""
    node = pa.struct([field for field in _NODE if field.name != "leaks"])
    fields = (pa.field("nodes", pa.list_(node)) if field.name == "nodes" else field for field in SCHEMA)
    return pa.schema([field for field in fields if field.name != "leaks"])


SCHEMA_1 = _version_1()
"""Of rows of version 1, which are read as well."""


def from_version_1(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of version 1, or some of its columns, with the columns of later versions: nobody looked for leaks."""
    nodes = {"nodes": [{**node, "leaks": None} for node in row["nodes"]]} if "nodes" in row else {}
    return {**row, **nodes, "leaks": None}


@dataclass(frozen=True, slots=True)
class Stamp:
    """What made a row, the same for all rows of a run."""

    seed: int
    config_digest: str
    code_version: str


def result_row(result: SearchResult, usage: Mapping[str, Usage], seconds: float, stamp: Stamp) -> dict[str, Any]:
    """The row of a searched case; ``usage`` is by model. Rounds, mentors and scores are those of the last attempt."""
    tree, chain, guard = result.tree, result.chain, LeakGuard(result.case)
    return _row(
        stamp,
        case_id=result.case.id,
        question=result.case.question,
        answer=result.case.answer,
        images=result.case.images,
        outcome=result.outcome.value,
        reason=result.reason,
        quality=result.quality.value,
        steps=chain.steps if chain else (),
        final_answer=chain.answer if chain else "",
        reasoning=format_chain(chain) if chain else "",
        leaks=_leaks(guard, chain.steps if chain else ()),
        rounds=tree.rounds,
        mentors=[node.mentor for node in tree.path(result.leaf)],
        scores={name: tree.scores(name) for name in dict.fromkeys(node.mentor for node in tree.nodes)},
        nodes=_nodes(result.attempts, result.leaf, guard),
        usage={model: asdict(used) for model, used in usage.items()},
        attempts=len(result.attempts),
        seconds=seconds,
    )


def rejected_row(rejection: Rejection, stamp: Stamp) -> dict[str, Any]:
    """The row of an input record for which no call was made."""
    return _row(
        stamp,
        case_id=rejection.id,
        question=rejection.question,
        answer=rejection.answer,
        images=rejection.images,
        outcome=Outcome.REJECTED.value,
        reason=rejection.reason,
        quality=grade(()).value,
        steps=(),
        final_answer="",
        reasoning="",
        leaks=(),
        rounds=0,
        mentors=(),
        scores={},
        nodes=(),
        usage={},
        attempts=0,
        seconds=0.0,
    )


def _row(stamp: Stamp, **columns: object) -> dict[str, Any]:
    """The columns in the schema's order, every string storable."""
    columns |= {**asdict(stamp), "schema_version": SCHEMA_VERSION}
    return {name: storable_value(columns[name]) for name in SCHEMA.names}


def _leaks(guard: LeakGuard, steps: Sequence[str]) -> list[dict[str, Any]]:
    return [{"step": number, "kind": kind.value} for number, step in enumerate(steps, 1) for kind in guard.find(step)]


def _nodes(attempts: Sequence[SearchTree], leaf: int | None, guard: LeakGuard) -> list[dict[str, Any]]:
    """The candidates of all attempts; ids go on from one attempt to the next, so that they are unique in a row."""
    rows: list[dict[str, Any]] = []
    for number, tree in enumerate(attempts, 1):
        last = leaf if number == len(attempts) else tree.last_parent()
        chosen = {node.id for node in tree.path(last)}
        shift = len(rows)
        for node in tree.nodes:
            kinds = [kind.value for step in node.steps for kind in guard.find(step)]
            found = {"chosen": node.id in chosen, "leaks": list(dict.fromkeys(kinds))}
            rows.append(_node(tree, node, number, shift) | found)
    return rows


def _node(tree: SearchTree, node: Node, attempt: int, shift: int) -> dict[str, Any]:
    """One candidate as a struct, all but ``chosen`` and ``leaks``."""
    before = len(tree.prefix(node.parent)) + len(node.steps)
    return {
        "id": node.id + shift,
        "parent": None if node.parent is None else node.parent + shift,
        "attempt": attempt,
        "round": node.round,
        "mentor": node.mentor,
        "step": "\n\n".join(node.steps),
        "steps": node.steps,
        "rest": _format_rest(node.rest, before),
        "score": node.score,
        "failure": _failure(node.failure),
        "votes": [_vote(vote) for vote in node.votes],
    }


def _vote(vote: Vote) -> dict[str, Any]:
    return asdict(vote) | {"verdict": vote.verdict.value, "failure": _failure(vote.failure)}


def _failure(failure: Failure | None) -> str | None:
    return f"{failure.kind}: {failure.message}" if failure else None


def _format_rest(rest: Continuation, before: int) -> str:
    """What the mentor wrote after the candidate, its steps numbered on; empty when it wrote nothing."""
    steps = [f"### Step {number}: {step}" for number, step in enumerate(rest.steps, before + 1)]
    return "\n\n".join([*steps, *([f"### The final answer is: {rest.answer}"] if rest.answer else [])])
