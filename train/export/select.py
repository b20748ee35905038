"""Which rows become samples, by what the search says of each, and which scores of their candidates are evidence."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mics_ray.config.compose import suggest_nearest
from mics_ray.core.types import LeakVerdict
from mics_ray.errors import RefusedRun
from mics_ray.review.marks.verdicts import ChainVerdicts
from train.export.config import LeakFilter, SelectionConfig
from train.export.pictures import Picture
from train.export.runs import Run

Row = dict[str, Any]

COLUMNS = (
    "case_id", "question", "answer", "context", "images", "outcome", "quality", "steps", "final_answer", "leaks",
    "leak_checks.step", "leak_checks.verdict", "rounds", "mentors", "attempts", "nodes.attempt", "nodes.round",
    "nodes.mentor", "nodes.steps", "nodes.score", "nodes.chosen",
)  # fmt: skip
"""What the selection looks at, paths of fields for parts of a column."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A row that was selected, with its pictures; ``score`` is that of the last chosen step, in [0, 1].

    ``verdicts`` is what reviewers say of its chain, ``None`` where nobody has marked it.
    """

    run: Run
    row: Row
    patient: str
    score: float
    pictures: tuple[Picture, ...] = ()
    verdicts: ChainVerdicts | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that was left out: ``reason`` is what the report counts by, ``detail`` says more."""

    run: str
    case_id: str
    reason: str
    detail: str


def select_rows(
    runs: Sequence[Run], config: SelectionConfig, patient: Callable[[str], str | None]
) -> Iterator[Kept | Dropped]:
    """Every row of the runs, kept or dropped, in their order, with the columns :data:`COLUMNS`; ``patient`` finds the
    patient in a case id.

    Raises :class:`RefusedRun` for a mentor that no row knows.
    """
    seen: set[str] = set()
    for run in runs:
        for row in run.iter_rows(COLUMNS):
            seen.update(node["mentor"] for node in row["nodes"])
            yield _judge_row(run, row, config, patient)
    for name in config.mentors or ():
        if name not in seen:
            raise RefusedRun(f"select.mentors: no row has a mentor {name!r}{suggest_nearest(name, sorted(seen))}")


def _judge_row(run: Run, row: Row, config: SelectionConfig, patient: Callable[[str], str | None]) -> Kept | Dropped:
    score, person = last_score(row), patient(row["case_id"])
    if why := _reason_to_drop(row, score, config):
        return Dropped(run.name, row["case_id"], *why)
    if score is None:
        return Dropped(run.name, row["case_id"], "no chain", "no score")
    if person is None:
        return Dropped(run.name, row["case_id"], "patient", "export.patient_pattern finds none in the id")
    return Kept(run, row, person, score, verdicts=run.reviews.sum_chain(row))


def _reason_to_drop(row: Row, score: float | None, config: SelectionConfig) -> tuple[str, str] | None:
    """Reason and detail for which a row is left out; ``None`` when it is selected."""
    if row["outcome"] not in config.outcomes:
        return "outcome", str(row["outcome"])
    if row["quality"] not in config.quality:
        return "quality", str(row["quality"])
    if not row["steps"] or not row["final_answer"]:
        return "no chain", "no step or no final answer"
    if score is not None and score < config.min_score:
        return "score", f"{score:.3f}, at least {config.min_score:g}"
    rounds, most = row["rounds"], config.max_rounds
    if rounds < config.min_rounds or (most is not None and rounds > most):
        return "rounds", str(rounds)
    others = sorted(set(row["mentors"]) - set(config.mentors)) if config.mentors is not None else []
    if others:
        return "mentors", ", ".join(others)
    leaks = _find_row_leaks(row, config.leaks)
    return ("leaks", ", ".join(f"{kind} in step {step}" for step, kind in leaks)) if leaks else None


def _find_row_leaks(row: Row, wanted: LeakFilter) -> list[tuple[int, str]]:
    """The leaks for which a chain is left out, as (step, kind): by words, then by the judge's word."""
    if wanted is LeakFilter.keep:
        return []
    last = len(row["steps"]) if wanted is LeakFilter.drop else sum(len(node["steps"]) for node in _chosen_nodes(row))
    found = [(leak["step"], leak["kind"]) for leak in row["leaks"]]
    found += [(check["step"], f"judge: {check['verdict']}") for check in _list_doubts(row)]
    return sorted((step, kind) for step, kind in found if step <= last)


def is_leaking(node: Mapping[str, Any]) -> bool:
    """Whether a candidate leaks, by words or the judge's word. A step that the judge left open is not clean."""
    return bool(node["leaks"] or _list_doubts(node))


def _list_doubts(place: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The judge's checks of a row or a candidate that do not say clean."""
    return [check for check in place["leak_checks"] if check["verdict"] != LeakVerdict.CLEAN.value]


def clear_tainted_scores(row: Row) -> None:
    """Take the score from the candidates that leak or go on from ones that do: such a score is no evidence."""
    tainted: set[int] = set()
    for node in row["nodes"]:  # parents come before their children
        if is_leaking(node) or node["parent"] in tainted:
            tainted.add(node["id"])
            node["score"] = None


def last_score(row: Row) -> float | None:
    """The score of the last chosen candidate of the last attempt."""
    chosen = _chosen_nodes(row)
    score: float | None = max(chosen, key=lambda node: int(node["round"]))["score"] if chosen else None
    return score


def _chosen_nodes(row: Row) -> list[Mapping[str, Any]]:
    """The chosen candidates of the last attempt."""
    return [node for node in row["nodes"] if node["chosen"] and node["attempt"] == row["attempts"]]


def digest_content(one: Kept) -> bytes:
    """What duplicates have in common: the question whatever its case, spaces and closing mark, and the pixels of its
    pictures in any order."""
    question = " ".join(one.row["question"].casefold().split()).rstrip(" .:?!")
    return hashlib.sha256(json.dumps([question, sorted(picture.digest for picture in one.pictures)]).encode()).digest()
