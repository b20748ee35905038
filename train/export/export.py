"""An export job from end to end: read, select, measure, split, write, and only then replace an older export."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mics_ray.config.compose import dump_yaml
from mics_ray.errors import LockedRun, RefusedRun
from mics_ray.jobs.lock import LockHeld, RunLock
from mics_ray.private_files import make_private_folder
from train.export.check import check_export_job, make_patient_finder
from train.export.config import CHAINS, ExportJob, ReviewFilter
from train.export.curriculum import VALIDATION, ExportPlace, make_meta_entry, write_meta, write_stages
from train.export.forms.chat import DATASET_INFO, chat_records
from train.export.forms.hub import write_dataset
from train.export.forms.internvl import BadRecord, RecordChecker, to_record
from train.export.forms.pairs import chain_pairs, count_pair_tokens, step_pairs, to_mpo_record
from train.export.forms.reviewed import Rejected, find_rivals, human_rewards, reviewed_pairs
from train.export.forms.rewards import reward_rows, stepwise_rows
from train.export.jsonl import write_file, write_jsonl
from train.export.pictures import PictureStore
from train.export.report import build_report, count_reasons, write_export_report
from train.export.runs import Run, open_runs
from train.export.samples import Sample, split_samples, to_samples
from train.export.select import Dropped, Kept, drop_duplicates, drop_unaccepted, select_rows
from train.export.tokens import Ruler, make_ruler

_LOCK = ".lock"
_PAIRS = ("steps", "chains")
_REVIEWED = "reviewed"


def write_export(job: ExportJob) -> dict[str, Any]:
    """Write the export and return its report.

    Raises :class:`RefusedRun`, with nothing changed in ``export.dir``; :class:`LockedRun` where another export is being
    written to it; ``OSError`` where it cannot be written.
    """
    check_export_job(job)
    runs = open_runs(job.run.dir, job.image_root)
    measuring = make_ruler(job.length)
    with _build_beside(Path(job.export.dir).absolute()) as place:
        return _ExportWriter(job, runs, place, measuring).write_everything()


class _ExportWriter:
    """One export being written into the folder of ``place``."""

    def __init__(self, job: ExportJob, runs: Sequence[Run], place: ExportPlace, measuring: Ruler) -> None:
        self._job, self._runs, self._place, self._ruler = job, runs, place, measuring
        self._pictures = PictureStore(place.folder, job.export.images)
        self._dropped: list[Dropped] = []
        self._long_pairs: dict[str, list[str]] = {}
        self._rivals: dict[tuple[str, str], list[Rejected]] = {}

    def write_everything(self) -> dict[str, Any]:
        """Everything, the report last."""
        samples = self._collect_samples()
        sides = split_samples(samples, self._job.export.validation_share, self._job.seed)
        if not sides[0]:
            raise RefusedRun("export.validation_share: no sample is left to train on; give a smaller share")
        # Pictures are exported before the selection ends, since duplicates are found by their pixels.
        used = {image for sample in samples for image in sample.images}
        self._pictures.drop_unused(used)
        records = [self._make_record(sample) for sample in sides[0]]
        files = self._write_forms(sides, records)
        curriculum = write_stages(self._place, self._job.stages, records, self._ruler, self._job.seed)
        found: dict[str, Any] = {"stages": curriculum.stages, "notes": curriculum.notes, "files": files}
        found |= {"pictures": self._pictures.count_fates(used), "long_pairs": self._long_pairs}
        report = build_report(self._job, self._runs, sides, self._dropped, found)
        self._write_dataset(sides, report)
        write_file(self._place.folder / "config.yaml", dump_yaml(self._job))
        write_export_report(self._place.folder, report)
        return report

    def _collect_samples(self) -> list[Sample]:
        selected = self._keep_and_count(
            select_rows(self._runs, self._job.select, make_patient_finder(self._job.export.patient_pattern))
        )
        kept = [replace(one, pictures=self._export_pictures(one)) for one in selected]
        self._rivals = find_rivals(kept)
        if self._job.select.review is ReviewFilter.accepted:
            kept = self._keep_and_count(drop_unaccepted(kept))
        if self._job.select.deduplicate:
            kept = self._keep_and_count(drop_duplicates(kept))
        samples, long = to_samples(kept, self._job.prompts, self._ruler)
        self._dropped += long
        if not samples:
            reasons = ", ".join(f"{reason} {count}" for reason, count in count_reasons(self._dropped).items())
            raise RefusedRun(f"the export would be empty: all {len(self._dropped)} rows are left out ({reasons})")
        return samples

    def _keep_and_count(self, judged: Iterable[Kept | Dropped]) -> list[Kept]:
        """The kept ones; the others go to the report."""
        kept: list[Kept] = []
        for one in judged:
            if isinstance(one, Kept):
                kept.append(one)
            else:
                self._dropped.append(one)
        return kept

    def _export_pictures(self, one: Kept) -> tuple[Any, ...]:
        case_id, run = one.row["case_id"], one.run
        return tuple(self._pictures.export_picture(case_id, run.images, image, run.view) for image in one.row["images"])

    def _make_record(self, sample: Sample) -> dict[str, Any]:
        """The record of a sample, which has passed the same check as other data sets."""
        record = to_record(sample)
        try:
            RecordChecker(self._place.folder, self._ruler).check_record(record)
        except BadRecord as bad:
            raise RefusedRun(f"record {sample.id}: {bad}") from None
        return record

    def _write_forms(
        self, sides: tuple[Sequence[Sample], Sequence[Sample]], records: Sequence[Mapping[str, Any]]
    ) -> dict[str, int]:
        """Write every form but the stages; records by file. All but the validation file are of the training side."""
        folder, (training, validating) = self._place.folder, sides
        files = {"train.jsonl": write_jsonl(folder / "train.jsonl", records)}
        if validating:
            files["validation.jsonl"] = self._write_validation(validating)
        for name in _PAIRS:
            files |= self._write_pairs(name, training)
        files["rewards.jsonl"] = write_jsonl(folder / "rewards.jsonl", reward_rows(training, self._job.prompts))
        stepwise = stepwise_rows(training, self._job.prompts, self._job.select.step_right)
        files["rewards_stepwise.jsonl"] = write_jsonl(folder / "rewards_stepwise.jsonl", stepwise)
        if any(run.reviews.books for run in self._runs):
            files |= self._write_pairs(_REVIEWED, training)
            files["rewards_human.jsonl"] = write_jsonl(folder / "rewards_human.jsonl", human_rewards(training))
        files["chat.jsonl"] = write_jsonl(folder / "chat.jsonl", chat_records(training, self._job.prompts))
        write_file(folder / "dataset_info.json", json.dumps(DATASET_INFO, indent=1))
        return files

    def _write_pairs(self, name: str, samples: Sequence[Sample]) -> dict[str, int]:
        """Pairs of a kind in TRL's and in MPO's form, with the meta of the latter; too long ones go to the report."""
        by_id, limit = {sample.id: sample for sample in samples}, self._job.length.max_seq_length
        fitting: list[dict[str, Any]] = []
        long: list[dict[str, Any]] = []
        for pair in self._find_pairs(name, samples):
            # From the right: a case id may hold a # of its own.
            tokens = count_pair_tokens(pair, by_id[pair["id"].rsplit("#", 1)[0]], self._ruler)
            (fitting if tokens <= limit else long).append(pair)
        self._long_pairs[name] = [pair["id"] for pair in long]
        plain, mpo = f"pairs/{name}.jsonl", f"pairs/{name}_mpo.jsonl"
        folder, final = self._place.folder, self._place.final
        files = {
            plain: write_jsonl(folder / plain, fitting),
            mpo: write_jsonl(folder / mpo, map(to_mpo_record, fitting)),
        }
        if fitting:
            entry = make_meta_entry(final, final / mpo, len(fitting), 1, self._job.length)
            write_meta(self._place, f"{name}_mpo", {name: entry})
        return files

    def _find_pairs(self, name: str, samples: Sequence[Sample]) -> Iterator[dict[str, Any]]:
        if name == "steps":
            return step_pairs(samples, self._job.prompts, self._job.select.pair_margin)
        if name == _REVIEWED:
            return reviewed_pairs(samples, self._rivals)
        return chain_pairs(samples, self._job.prompts)

    def _write_validation(self, samples: Sequence[Sample]) -> int:
        name, final = "validation.jsonl", self._place.final
        count = write_jsonl(self._place.folder / name, map(self._make_record, samples))
        write_meta(self._place, VALIDATION, {CHAINS: make_meta_entry(final, final / name, count, 1, self._job.length)})
        return count

    def _write_dataset(self, sides: tuple[Sequence[Sample], Sequence[Sample]], report: Mapping[str, Any]) -> None:
        names = ("kept", "dropped", "outcome", "quality", "rounds")
        card = {
            "license": self._job.export.license,
            "models": {run["name"]: run["models"] for run in report["runs"]},
            "counts": {name: report[name] for name in names},
            "config_digest": report["config_digest"],
            "code_version": report["code_version"],
        }
        write_dataset(self._place.folder / "dataset", *sides, card)


@contextmanager
def _build_beside(final: Path) -> Iterator[ExportPlace]:
    """A folder beside ``final`` to write into, which takes its place at the end."""
    folder = final.with_name(f".{final.name}.new")
    make_private_folder(folder)
    try:
        lock = RunLock(folder / _LOCK)
    except LockHeld:
        raise LockedRun(
            f"another export is being written to {final}; wait for it, or give another export.dir"
        ) from None
    with lock:
        _clear_folder(folder)
        try:
            yield ExportPlace(folder, final)
        # Ctrl-C too: half an export holds medical text in a hidden folder that nobody would look for.
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        _replace_export(folder, final)


def _clear_folder(folder: Path) -> None:
    """Remove everything but the lock: what an export that was killed has left."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()


def _replace_export(folder: Path, final: Path) -> None:
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    # A folder cannot be renamed onto one that is not empty, so the old export steps aside first.
    if final.exists():
        final.rename(old)
    folder.rename(final)
    # The lock moved with the folder; check_export_job would refuse it there as a file that is not ours.
    (final / _LOCK).unlink()
    shutil.rmtree(old, ignore_errors=True)
