"""What people say of chains, for training: labels of steps beside their MICS-Scores, accepted against rejected chains.

Files of these forms are written where a run of the export has reviews.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from mics_ray.core.reading.text import format_chain, format_steps
from mics_ray.core.types import Continuation
from train.export.forms.pairs import pair_record
from train.export.samples import Sample
from train.export.select import Kept, digest_content
from train.export.tokens import make_trainer_safe


@dataclass(frozen=True, slots=True)
class Rejected:
    """A chain that reviewers rejected: its text, safe for trainers, and where it comes from."""

    completion: str
    run: str
    case_id: str
    score: float
    rounds: int
    mentor: str


Rivals = Mapping[tuple[str, str], Sequence[Rejected]]
"""By (run, case id) of a chain, the rejected chains of the same question and pictures."""


def human_rewards(samples: Iterable[Sample]) -> Iterator[dict[str, Any]]:
    """One row for each reviewed chain in the form of TRL's trainer of process reward models: a text for each step.

    ``labels`` are what most reviewers say; a chain ends before the first step that they leave open. ``scores`` are the
    MICS-Scores of the same steps, ``None`` for closing steps; ``right``, ``wrong`` and ``unsure`` count reviewers.
    """
    for sample in samples:
        if sample.verdicts is None:
            continue
        known = list(takewhile(lambda one: one.label is not None, sample.verdicts.steps))
        if known:
            texts = [make_trainer_safe(format_steps((step,), at)) for at, step in enumerate(sample.steps, 1)]
            yield {
                "id": sample.id,
                "images": list(sample.images),
                "prompt": sample.prompt,
                "completions": texts[: len(known)],
                "labels": [one.label for one in known],
                "scores": _list_scores(sample)[: len(known)],
                "right": [one.right for one in known],
                "wrong": [one.wrong for one in known],
                "unsure": [one.unsure for one in known],
                "accepted": sample.verdicts.accepted,
                "rejected": sample.verdicts.rejected,
            }


def _list_scores(sample: Sample) -> list[float | None]:
    """The MICS-Score of each step of the chain: that of the candidate that it belongs to."""
    last = max((node["attempt"] for node in sample.nodes), default=0)
    chosen = [node for node in sample.nodes if node["chosen"] and node["attempt"] == last]
    scores: list[float | None] = [node["score"] for node in chosen for _ in node["steps"]]
    return scores + [None] * (len(sample.steps) - len(scores))


def find_rivals(kept: Sequence[Kept]) -> dict[tuple[str, str], list[Rejected]]:
    """For each accepted chain the rejected ones of the same question and pictures: another run's, or another id's."""
    rejected: dict[bytes, list[Rejected]] = defaultdict(list)
    for one in kept:
        if one.verdicts is not None and one.verdicts.is_rejected:
            rejected[digest_content(one)].append(_describe_rejected(one))
    return {
        (one.run.name, one.row["case_id"]): rejected[digest_content(one)]
        for one in kept
        if one.verdicts is not None and one.verdicts.is_accepted and digest_content(one) in rejected
    }


def _describe_rejected(one: Kept) -> Rejected:
    row = one.row
    text = make_trainer_safe(format_chain(Continuation(tuple(row["steps"]), row["final_answer"])))
    return Rejected(text, one.run.name, row["case_id"], one.score, row["rounds"], row["mentors"][-1])


def reviewed_pairs(samples: Iterable[Sample], rivals: Rivals) -> Iterator[dict[str, Any]]:
    """Each accepted chain against each rejected one of the same question and pictures, where their words differ."""
    for sample in samples:
        for at, other in enumerate(rivals.get((sample.run, sample.case_id), ()), 1):
            if other.completion != sample.completion:
                record = pair_record(sample, f"reviewed-{at}", sample.prompt, sample.completion, other.completion)
                yield record | {
                    "score_chosen": sample.score,
                    "score_rejected": other.score,
                    "round": other.rounds,
                    "mentor_chosen": sample.mentors[-1],
                    "mentor_rejected": other.mentor,
                    "run_rejected": other.run,
                    "case_rejected": other.case_id,
                }
