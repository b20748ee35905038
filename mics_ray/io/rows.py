"""One row per case: the way from a result to a row of :mod:`mics_ray.io.row_schema`, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from typing import Any

from mics_ray.core.leaks import LeakGuard
from mics_ray.core.leaks.telling_context import context_names_answer
from mics_ray.core.reading.text import format_chain, format_steps
from mics_ray.core.search import SearchResult
from mics_ray.core.seeds import attempt_seed
from mics_ray.core.tree import Node, SearchTree, grade_quality
from mics_ray.core.types import Continuation, Failure, LeakCheck, Outcome, Usage, Verdict, Vote
from mics_ray.io.records import Rejection
from mics_ray.io.row_schema import SCHEMA, SCHEMA_VERSION
from mics_ray.io.storable import order_columns

USAGE_FIELDS = tuple(field.name for field in fields(Usage))
VOTE_FIELDS = tuple(field.name for field in fields(Vote))


@dataclass(frozen=True, slots=True)
class Stamp:
    """What made a row, the same for all rows of a run."""

    seed: int
    config_digest: str
    code_version: str


def result_row(result: SearchResult, usage: Mapping[str, Usage], seconds: float, stamp: Stamp) -> dict[str, Any]:
    """The row of a searched case; ``usage`` is by model. Rounds, mentors and scores are those of the last attempt."""
    tree, chain, guard = result.tree, result.chain, LeakGuard(result.case)
    return _stamp_row(
        stamp,
        case_id=result.case.id,
        question=result.case.question,
        answer=result.case.answer,
        other_answers=list(result.case.others),
        context=result.case.context,
        context_names_answer=context_names_answer(result.case),
        images=list(result.case.images),
        outcome=result.outcome.value,
        reason=result.reason,
        quality=result.quality.value,
        steps=list(chain.steps) if chain else [],
        final_answer=chain.answer if chain else "",
        reasoning=format_chain(chain) if chain else "",
        leaks=[{"step": step, "kind": kind.value} for step, kind in guard.find_in_chain(chain.steps if chain else ())],
        leak_checks=_make_check_rows(chain.steps if chain else (), result.leak_checks),
        rounds=tree.rounds,
        mentors=[node.mentor for node in tree.path_to(result.leaf)],
        scores=_make_score_rows(tree),
        nodes=_make_node_rows(result, guard),
        usage=[_make_usage_row(model, used) for model, used in usage.items()],
        attempts=len(result.attempts),
        seconds=seconds,
    )


def rejected_row(rejection: Rejection, stamp: Stamp) -> dict[str, Any]:
    """The row of an input record for which no call was made."""
    return _stamp_row(
        stamp,
        case_id=rejection.id,
        question=rejection.question,
        answer=rejection.answer,
        other_answers=list(rejection.others),
        context="",
        context_names_answer=None,
        images=list(rejection.images),
        outcome=Outcome.REJECTED.value,
        reason=rejection.reason,
        quality=grade_quality(()).value,
        steps=[],
        final_answer="",
        reasoning="",
        leaks=[],
        leak_checks=[],
        rounds=0,
        mentors=[],
        scores=[],
        nodes=[],
        usage=[],
        attempts=0,
        seconds=0.0,
    )


def _stamp_row(stamp: Stamp, **columns: object) -> dict[str, Any]:
    """The columns in the schema's order, every string storable."""
    columns |= {**asdict(stamp), "schema_version": SCHEMA_VERSION}
    return order_columns(columns, SCHEMA.names)


def _make_score_rows(tree: SearchTree) -> list[dict[str, Any]]:
    mentors = dict.fromkeys(node.mentor for node in tree.nodes)
    return [{"mentor": name, "scores": list(tree.scores_of(name))} for name in mentors]


def _make_node_rows(result: SearchResult, guard: LeakGuard) -> list[dict[str, Any]]:
    """The candidates of all attempts; ids go on from one attempt to the next, so that they are unique in a row."""
    rows: list[dict[str, Any]] = []
    for number, tree in enumerate(result.attempts, 1):
        # Earlier attempts ended in a dead end: what they had chosen is the prefix of their last round.
        last = result.leaf if number == len(result.attempts) else tree.last_parent()
        chosen = {node.id for node in tree.path_to(last)}
        shift = len(rows)
        for node in tree.nodes:
            kinds = [kind.value for step in node.steps for kind in guard.find_in_step(step)]
            # Leaks go with the candidate even where it lost, so that mentors can be compared by how often they tell.
            found: dict[str, Any] = {"chosen": node.id in chosen, "leaks": list(dict.fromkeys(kinds))}
            found["leak_checks"] = _make_check_rows(node.steps, result.leak_checks)
            rows.append(_make_node_row(tree, node, number, shift) | found)
    return rows


def _make_node_row(tree: SearchTree, node: Node, attempt: int, shift: int) -> dict[str, Any]:
    """One candidate as a struct, all but ``chosen``, ``leaks`` and ``leak_checks``."""
    # Numbers of the steps in ``rest`` go on behind the prefix and the candidate, as in the mentor's own reply.
    before = len(tree.prefix_to(node.parent)) + len(node.steps)
    return {
        "id": node.id + shift,
        "parent": None if node.parent is None else node.parent + shift,
        "attempt": attempt,
        "round": node.round,
        "mentor": node.mentor,
        "step": "\n\n".join(node.steps),
        "steps": list(node.steps),
        "rest": _format_rest(node.rest, before),
        "score": node.score,
        "unasked": node.unasked,
        "failure": _text_or_none(node.failure),
        "votes": [_make_vote_row(vote) for vote in node.votes],
    }


def _make_check_rows(steps: Sequence[str], checks: Mapping[str, LeakCheck]) -> list[dict[str, Any]]:
    """What the judge said of those of ``steps`` that it was asked about, numbered from 1."""
    found = ((number, checks[step]) for number, step in enumerate(steps, 1) if step in checks)
    return [
        {"step": number, "verdict": one.verdict.value, "reply": one.reply, "failure": _text_or_none(one.failure)}
        for number, one in found
    ]


# Not by `asdict`, which copies deeply: votes and usage are most of a row, and took most of its time.


def _make_usage_row(model: str, used: Usage) -> dict[str, Any]:
    return {"model": model} | {name: getattr(used, name) for name in USAGE_FIELDS}


def _make_vote_row(vote: Vote) -> dict[str, Any]:
    told = {name: getattr(vote, name) for name in VOTE_FIELDS}
    return told | {"verdict": vote.verdict.value, "failure": _text_or_none(vote.failure)}


def _text_or_none(failure: Failure | None) -> str | None:
    return str(failure) if failure else None


def _format_rest(rest: Continuation, before: int) -> str:
    """What the mentor wrote after the candidate, its steps numbered on; empty when it wrote nothing."""
    return format_chain(rest, before + 1) if rest.answer else format_steps(rest.steps, before + 1)


def read_usage(row: Mapping[str, Any]) -> dict[str, Usage]:
    """What each model was asked for a case, by its name. Needs the column ``usage``."""
    return {used["model"]: Usage(**{name: used[name] for name in USAGE_FIELDS}) for used in row["usage"]}


def add_usage(total: dict[str, Usage], row: Mapping[str, Any]) -> None:
    """Add a row's :func:`read_usage` to the totals by model."""
    for name, used in read_usage(row).items():
        total[name] = total.get(name, Usage()) + used


def read_trees(row: Mapping[str, Any]) -> list[SearchTree]:
    """The search trees of all attempts of a row, ids from 0 in each; what mentors wrote after a step is left out.

    Needs the columns ``case_id``, ``seed`` and ``nodes``.
    """
    trees = []
    for attempt, group in groupby(row["nodes"], key=lambda node: int(node["attempt"])):
        candidates = list(group)
        nodes = tuple(_read_node(one, candidates[0]["id"]) for one in candidates)
        # The seed is derived again, not stored: a row's own seed and the number of the attempt give it.
        trees.append(SearchTree(row["case_id"], attempt_seed(row["seed"], attempt), nodes))
    return trees


def _read_node(row: Mapping[str, Any], shift: int) -> Node:
    """A candidate from its struct; ``shift`` is the id of the first candidate of its attempt."""
    return Node(
        id=row["id"] - shift,
        parent=None if row["parent"] is None else row["parent"] - shift,
        round=row["round"],
        mentor=row["mentor"],
        steps=tuple(row["steps"]),
        votes=tuple(_read_vote(vote) for vote in row["votes"]),
        failure=read_failure(row["failure"]),
    )


def _read_vote(row: Mapping[str, Any]) -> Vote:
    return Vote(**{**row, "verdict": Verdict(row["verdict"]), "failure": read_failure(row["failure"])})


def read_failure(text: str | None) -> Failure | None:
    """A failure as rows hold it."""
    return None if text is None else Failure.parse(text)
