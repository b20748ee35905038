"""What can be found out about an export job before anything is read."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mics_ray.config.compose import suggest_nearest
from mics_ray.core.types import Outcome, Quality
from mics_ray.errors import RefusedRun
from mics_ray.models.prompts import check_templates
from train.export.config import ExportJob
from train.export.curriculum import check_stages
from train.export.report import REPORT

_OF_AN_EXPORT = {
    "train.jsonl", "validation.jsonl", "images", "meta", "stages", "pairs", "rewards.jsonl",
    "rewards_stepwise.jsonl", "rewards_human.jsonl", "chat.jsonl", "dataset_info.json", "dataset", REPORT, "report.md",
    "config.yaml",
}  # fmt: skip


def check_export_job(job: ExportJob) -> None:
    """Refuse what cannot work. Raises :class:`RefusedRun` with every problem found."""
    problems = [
        *_check_choices(job),
        *_check_numbers(job),
        *_check_pattern(job),
        *check_templates(job.prompts),
        *_check_target(job),
    ]
    if problems:
        raise RefusedRun("\n".join(problems))
    check_stages(job.stages)


def make_patient_finder(pattern: str) -> Callable[[str], str | None]:
    """From a case id to its patient: the first group of ``pattern`` where it is found in the id and not empty."""
    compiled = re.compile(pattern)

    def find(case_id: str) -> str | None:
        match = compiled.search(case_id)
        return (match[1] or None) if match else None

    return find


def _check_choices(job: ExportJob) -> Iterator[str]:
    for name, chosen, known in (
        ("outcomes", job.select.outcomes, [outcome.value for outcome in Outcome]),
        ("quality", job.select.quality, [quality.value for quality in Quality]),
    ):
        for one in chosen:
            if one not in known:
                yield f"select.{name}: there is no {one!r}{suggest_nearest(one, known)}"
    # check_templates refuses unknown fields only; without the question all samples would share one prompt.
    if job.prompts.intern.count("{question}") < 1:
        yield "prompts.intern: the template does not hold {question}"


def _check_numbers(job: ExportJob) -> Iterator[str]:
    if not 0 <= job.export.validation_share < 1:
        yield f"export.validation_share: {job.export.validation_share:g} is not a share from 0 to below 1"
    if not 0 <= job.select.min_score <= 1:
        yield f"select.min_score: {job.select.min_score:g} is not in 0 to 1"
    if not 0 <= job.select.step_right <= 1:
        yield f"select.step_right: {job.select.step_right:g} is not in 0 to 1"
    if not 0 <= job.select.pair_margin <= 6:
        yield f"select.pair_margin: {job.select.pair_margin} is not in 0 to 6 (of 6 votes)"
    for name in ("max_seq_length", "image_size", "max_tiles", "tokens_per_tile"):
        if getattr(job.length, name) < 1:
            yield f"length.{name}: {getattr(job.length, name)} is below 1"


def _check_pattern(job: ExportJob) -> Iterator[str]:
    try:
        if not re.compile(job.export.patient_pattern).groups:
            yield "export.patient_pattern: has no group; put the patient's part into ( )"
    except re.error as error:
        yield f"export.patient_pattern: no regular expression ({error.msg})"


def _check_target(job: ExportJob) -> Iterator[str]:
    """An export replaces an export, and nothing else."""
    folder = Path(job.export.dir)
    if folder.exists() and not folder.is_dir():
        yield f"export.dir: {folder} is a file"
        return
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    # The old folder is deleted as a whole in the end, and with it whatever else lies in it.
    if names and REPORT not in names:
        yield f"export.dir: {folder} holds no export; give another folder"
    elif others := sorted(names - _OF_AN_EXPORT):
        yield f"export.dir: {folder} holds more than an export ({others[0]}), which would be lost; give another folder"
