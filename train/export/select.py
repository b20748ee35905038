"""Which rows become samples: selection by what the search says, duplicates among what is left, each one's patient."""

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
    """Every row of the runs, kept or dropped, in their order; ``patient`` finds the patient in a case id.

    Raises :class:`RefusedRun` for a mentor that no row knows.
    """
    seen: set[str] = set()
    for run in runs:
        for row in run.iter_rows():
            seen |= {node["mentor"] for node in row["nodes"]}
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
    return Kept(
        run,
        drop_vote_texts(_without_tainted_scores(row) if config.leaks is not LeakFilter.keep else row),
        person,
        score,
        verdicts=run.reviews.sum_chain(row),
    )


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


def _without_tainted_scores(row: Row) -> Row:
    """A row whose candidates have no score where they or what they go on from leak: such a score is no evidence."""
    tainted: set[int] = set()
    for node in row["nodes"]:  # parents come before their children
        if is_leaking(node) or node["parent"] in tainted:
            tainted.add(node["id"])
    return row | {"nodes": [{**node, "score": None} if node["id"] in tainted else node for node in row["nodes"]]}


def last_score(row: Row) -> float | None:
    """The score of the last chosen candidate of the last attempt."""
    chosen = _chosen_nodes(row)
    score: float | None = max(chosen, key=lambda node: int(node["round"]))["score"] if chosen else None
    return score


def _chosen_nodes(row: Row) -> list[Mapping[str, Any]]:
    """The chosen candidates of the last attempt."""
    return [node for node in row["nodes"] if node["chosen"] and node["attempt"] == row["attempts"]]


def drop_vote_texts(row: Row) -> Row:
    """A row without the votes' texts, which are most of its size and no training data."""
    slim = ("intern", "temperature", "verdict")
    nodes = [node | {"votes": [{name: vote[name] for name in slim} for vote in node["votes"]]} for node in row["nodes"]]
    return row | {"nodes": nodes}


def drop_unaccepted(kept: Sequence[Kept]) -> Iterator[Kept | Dropped]:
    """Chains that some reviewer accepts and none rejects stay."""
    for one in kept:
        said = one.verdicts
        if said is not None and said.is_accepted:
            yield one
        elif said is None or not said.rejected:
            yield Dropped(one.run.name, one.row["case_id"], "review", "not reviewed")
        else:
            detail = f"rejected by {said.rejected} of {said.rejected + said.accepted}"
            yield Dropped(one.run.name, one.row["case_id"], "review", detail)


def drop_duplicates(kept: Sequence[Kept]) -> Iterator[Kept | Dropped]:
    """Of rows with the same question and the same pictures the best stays: what people say goes before the score, of
    equals the first."""
    best: dict[object, Kept] = {}
    for one in kept:
        key = duplicate_key(one)
        if key not in best or _rank_row(one) > _rank_row(best[key]):
            best[key] = one
    for one in kept:
        winner = best[duplicate_key(one)]
        if winner is one:
            yield one
        else:
            detail = f"of {winner.row['case_id']} in {winner.run.name}"
            yield Dropped(one.run.name, one.row["case_id"], "duplicate", detail)


def _rank_row(one: Kept) -> tuple[int, float]:
    said = one.verdicts
    return (0 if said is None else said.is_accepted - said.is_rejected), one.score


def duplicate_key(one: Kept) -> object:
    """The question whatever its case, spaces and closing mark, and the pixels of its pictures in any order."""
    question = " ".join(one.row["question"].casefold().split()).rstrip(" .:?!")
    return question, tuple(sorted(picture.digest for picture in one.pictures))


def unite_patients(ids: Sequence[str], pictures: Sequence[Sequence[str]]) -> list[str]:
    """For each sample its patient: of those with the same id, or with a picture in common, all get the first id's name.

    ``pictures``: digests for each sample.
    """
    leader: dict[str, str] = {}

    def find_leader(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for patient, digests in zip(ids, pictures, strict=True):
        for digest in digests:
            one, other = sorted((find_leader(f"patient {patient}"), find_leader(f"picture {digest}")))
            leader[other] = one  # "patient …" sorts before "picture …", so that a leader is a patient
    return [find_leader(f"patient {patient}").removeprefix("patient ") for patient in ids]
