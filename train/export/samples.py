"""The training sample that every form of an export is made from: its texts, the search tree that it carries as
evidence, and its side of the split into training and validation, which the seed and the patients alone decide."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mics_ray.config.schema import PromptsConfig
from mics_ray.core.reading.text import format_chain
from mics_ray.core.types import Case, Continuation
from mics_ray.errors import RefusedRun
from mics_ray.models.prompts import fill_intern_prompt
from mics_ray.review.marks.verdicts import ChainVerdicts
from train.export.select import Dropped, Kept, unite_patients
from train.export.tokens import PLACEHOLDER, Ruler, make_trainer_safe

Turns = list[tuple[str, str]]
"""A conversation as (from, value), in the words of InternVL's records: system, human, gpt."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One kept row as a training sample. All texts but those in ``nodes`` are :func:`make_trainer_safe`.

    ``id`` is unique over all runs: the case id, with the run's name behind it where two runs keep the same case id.
    ``prompt`` is what the model is asked, without picture placeholders; ``completion`` the chain. ``images`` are paths
    as exported: relative to the export, or absolute for a picture referenced where it lies. ``score`` is that of the
    last chosen step, in [0, 1]. ``context`` is what interns were told beside the question. ``verdicts`` is what
    reviewers say of the chain. ``nodes`` are the row's candidates of all attempts, raw as in the row schema, but
    without the votes' texts. ``tokens`` is the measured length.
    """

    id: str
    case_id: str
    patient: str
    run: str
    prompt: str
    question: str
    answer: str
    steps: tuple[str, ...]
    final_answer: str
    completion: str
    images: tuple[str, ...]
    outcome: str
    quality: str
    score: float
    rounds: int
    mentors: tuple[str, ...]
    nodes: tuple[Mapping[str, Any], ...]
    config_digest: str
    tokens: int
    context: str = ""
    context_names_answer: bool | None = None
    other_answers: tuple[str, ...] = ()
    verdicts: ChainVerdicts | None = None


Node = Mapping[str, Any]
"""One candidate of a row, as `mics_ray.io.rows` writes it."""


def make_turns(prompt: str, completion: str, pictures: int) -> Turns:
    """The conversation as (from, value): one placeholder for each picture, all before the prompt; then the chain."""
    return [("human", f"{PLACEHOLDER}\n" * pictures + prompt), ("gpt", completion)]


def scored_nodes(sample: Sample) -> list[Node]:
    """The candidates with a score, of all attempts, in the order of their ids; failed ones have none."""
    return [node for node in sample.nodes if node["score"] is not None]


def steps_down_to(sample: Sample, parent: int | None) -> tuple[str, ...]:
    """The steps from the root of the parent's attempt down to the parent, the parent's own included."""
    nodes = {node["id"]: node for node in sample.nodes}
    path: list[Node] = []
    while parent is not None:
        path.append(nodes[parent])
        parent = nodes[parent]["parent"]
    return tuple(step for node in reversed(path) for step in node["steps"])


def intern_question(sample: Sample, prompts: PromptsConfig, steps: tuple[str, ...]) -> str:
    """What an intern is asked after ``steps``, safe for trainers, without picture placeholders."""
    case = Case(sample.case_id, sample.question, "", sample.images, context=sample.context)
    return make_trainer_safe(fill_intern_prompt(prompts, case, steps))


def with_placeholders(sample: Sample, text: str) -> str:
    """``text`` behind one ``<image>`` line for each picture of the sample, as InternVL reads it."""
    return "<image>\n" * len(sample.images) + text


def to_samples(kept: Sequence[Kept], prompts: PromptsConfig, ruler: Ruler) -> tuple[list[Sample], list[Dropped]]:
    """The samples of rows that fit the trainer's sequence, and the rows that are too long for it.

    Raises :class:`RefusedRun` where two samples would have the same id.
    """
    found: list[Sample] = []
    long: list[Dropped] = []
    people = unite_patients(
        [one.patient for one in kept], [[picture.digest for picture in one.pictures] for one in kept]
    )
    often = Counter(one.row["case_id"] for one in kept)
    most = ruler.config.max_seq_length
    for one, patient in zip(kept, people, strict=True):
        case_id = one.row["case_id"]
        sample = _make_sample(
            one, f"{case_id}@{one.run.name}" if often[case_id] > 1 else case_id, patient, prompts, ruler
        )
        if sample.tokens <= most:
            found.append(sample)
        else:
            long.append(Dropped(one.run.name, case_id, "length", f"{sample.tokens} tokens, at most {most}"))
    if twice := [name for name, count in Counter(sample.id for sample in found).items() if count > 1]:
        raise RefusedRun(f"two samples would have the id {twice[0]}; rename a run folder, or export the runs apart")
    return found, long


def _make_sample(one: Kept, name: str, patient: str, prompts: PromptsConfig, ruler: Ruler) -> Sample:
    row = one.row
    steps, answer = tuple(map(make_trainer_safe, row["steps"])), make_trainer_safe(row["final_answer"])
    # The gold answer is left out of the case, so that no template can put it into a prompt.
    case = Case(row["case_id"], row["question"], "", tuple(row["images"]), context=row["context"])
    prompt = make_trainer_safe(fill_intern_prompt(prompts, case, ()))
    completion = make_trainer_safe(format_chain(Continuation(steps, answer)))
    tokens = ruler.count_tokens(
        make_turns(prompt, completion, len(one.pictures)), [picture.size for picture in one.pictures]
    )
    return Sample(
        id=name,
        case_id=row["case_id"],
        patient=patient,
        run=one.run.name,
        prompt=prompt,
        question=make_trainer_safe(row["question"]),
        context=make_trainer_safe(row["context"]),
        context_names_answer=row["context_names_answer"],
        answer=make_trainer_safe(row["answer"]),
        other_answers=tuple(map(make_trainer_safe, row["other_answers"])),
        steps=steps,
        final_answer=answer,
        completion=completion,
        images=tuple(picture.path for picture in one.pictures),
        outcome=row["outcome"],
        quality=row["quality"],
        score=one.score,
        rounds=row["rounds"],
        mentors=tuple(row["mentors"]),
        nodes=tuple(row["nodes"]),
        config_digest=row["config_digest"],
        tokens=tokens,
        verdicts=one.verdicts,
    )


def split_samples(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """(training, validation): about ``share`` of the samples validate, and about that of each outcome and rounds.

    No patient is on both sides.
    """
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.patient].append(sample)
    wanted = {kind: share * count for kind, count in Counter(map(_stratum_of, samples)).items()}
    total = round(share * len(samples))
    chosen: set[str] = set()
    # By a digest: patients keep their order among each other when cases are added.
    for patient in sorted(groups, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()):
        counts = Counter(map(_stratum_of, groups[patient]))
        after = {kind: wanted[kind] - count for kind, count in counts.items()}
        left = total - len(groups[patient])
        gain = abs(total) - abs(left) + sum(abs(wanted[kind]) - abs(after[kind]) for kind in counts)
        if gain > 0:
            chosen.add(patient)
            wanted |= after
            total = left
    sides: tuple[list[Sample], list[Sample]] = ([], [])
    for sample in samples:
        sides[sample.patient in chosen].append(sample)
    return sides


def _stratum_of(sample: Sample) -> tuple[str, int]:
    return sample.outcome, sample.rounds
