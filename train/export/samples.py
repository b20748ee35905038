"""From selected rows to samples: unique ids, safe texts, patients, lengths."""

from collections import Counter
from collections.abc import Sequence

from mics_ray.config.schema import PromptsConfig
from mics_ray.core.text import format_chain
from mics_ray.core.types import Case, Continuation
from mics_ray.errors import RefusedRun
from mics_ray.models.prompts import intern_text
from train.export.internvl import turns
from train.export.length import Ruler
from train.export.safe_text import trainer_safe
from train.export.sample import Sample
from train.export.select import Dropped, Kept
from train.export.split import patients


def to_samples(kept: Sequence[Kept], prompts: PromptsConfig, ruler: Ruler) -> tuple[list[Sample], list[Dropped]]:
    """The samples of rows that fit the trainer's sequence, and the rows that are too long for it.

    Raises :class:`RefusedRun` where two samples would have the same id.
    """
    found: list[Sample] = []
    long: list[Dropped] = []
    people = patients([one.patient for one in kept], [[picture.digest for picture in one.pictures] for one in kept])
    often = Counter(one.row["case_id"] for one in kept)
    most = ruler.config.max_seq_length
    for one, patient in zip(kept, people, strict=True):
        case_id = one.row["case_id"]
        sample = _sample(one, f"{case_id}@{one.run.name}" if often[case_id] > 1 else case_id, patient, prompts, ruler)
        if sample.tokens <= most:
            found.append(sample)
        else:
            long.append(Dropped(one.run.name, case_id, "length", f"{sample.tokens} tokens, at most {most}"))
    if twice := [name for name, count in Counter(sample.id for sample in found).items() if count > 1]:
        raise RefusedRun(f"two samples would have the id {twice[0]}; rename a run folder, or export the runs apart")
    return found, long


def _sample(one: Kept, name: str, patient: str, prompts: PromptsConfig, ruler: Ruler) -> Sample:
    row = one.row
    steps, answer = tuple(map(trainer_safe, row["steps"])), trainer_safe(row["final_answer"])
    prompt = trainer_safe(intern_text(prompts, Case(row["case_id"], row["question"], ""), ()))
    completion = trainer_safe(format_chain(Continuation(steps, answer)))
    tokens = ruler.measure(turns(prompt, completion, len(one.pictures)), [picture.size for picture in one.pictures])
    return Sample(
        id=name,
        case_id=row["case_id"],
        patient=patient,
        run=one.run.name,
        prompt=prompt,
        question=trainer_safe(row["question"]),
        answer=trainer_safe(row["answer"]),
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
    )
