"""An export job from end to end: read, select, measure, split, write, and only then replace an older export."""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from mics_ray.config.compose import dump_yaml
from mics_ray.errors import LockedRun, RefusedRun
from mics_ray.jobs.lock import LockHeld, RunLock
from mics_ray.private_files import make_private_folder
from train.export.check import check_export_job, make_patient_finder
from train.export.config import ExportJob, ReviewFilter
from train.export.curriculum import TRAIN, ExportPlace, write_stages
from train.export.forms.hub import TRAIN as TRAINING
from train.export.forms.hub import VALIDATION, DatasetWriter, open_dataset
from train.export.forms.reviewed import Rivals, find_rivals
from train.export.jsonl import write_file
from train.export.pictures import Picture, PictureStore
from train.export.report import SideTally, build_report, write_export_report
from train.export.runs import Run, open_runs
from train.export.samples import SAMPLE_COLUMNS, Sample, SampleMaker, measure_row
from train.export.select import Dropped, Kept, Row, select_rows
from train.export.selection import Selection, open_table
from train.export.tokens import Ruler, make_ruler
from train.export.writer import SampleWriter, list_files, open_files

_LOCK = ".lock"


def write_export(job: ExportJob) -> dict[str, Any]:
    """Write the export and return its report.

    Raises :class:`RefusedRun`, with nothing changed in ``export.dir``; :class:`LockedRun` where another export is being
    written to it; ``OSError`` where it cannot be written.
    """
    check_export_job(job)
    runs = open_runs(job.run.dir, job.image_root)
    measuring = make_ruler(job.length)
    with _build_beside(Path(job.export.dir).absolute()) as place, open_table(place.folder / "rows.sqlite") as table:
        return _ExportWriter(job, runs, place, measuring, table).write_everything()


class _ExportWriter:
    """One export being written into the folder of ``place``; ``table`` holds what is decided over all rows."""

    def __init__(
        self, job: ExportJob, runs: Sequence[Run], place: ExportPlace, measuring: Ruler, table: sqlite3.Connection
    ) -> None:
        self._job, self._runs, self._place, self._ruler = job, runs, place, measuring
        self._selection = Selection(table)
        self._pictures = PictureStore(place.folder, job.export.images, table)

    def write_everything(self) -> dict[str, Any]:
        """Everything, the report last. Rows are read twice, a few in memory at a time: to select, and to write."""
        rivals = self._select()
        used = self._selection.list_pictures()
        # Pictures are exported before the selection ends, since duplicates are found by their pixels.
        self._pictures.drop_unused(used)
        with open_dataset(self._place.folder / "dataset") as dataset:
            writer, tally = self._write_samples(rivals, dataset)
            writer.write_metas()
            files = writer.count_records()
            curriculum = write_stages(self._place, self._job.stages, files[TRAIN], self._ruler, self._job.seed)
            found: dict[str, Any] = {"stages": curriculum.stages, "notes": curriculum.notes, "files": files}
            found |= {"pictures": self._pictures.count_fates(used), "long_pairs": writer.long_pairs}
            report = build_report(self._job, self._runs, self._selection, tally, found)
            dataset.finish(_describe_dataset(self._job, report))
        write_file(self._place.folder / "config.yaml", dump_yaml(self._job))
        write_export_report(self._place.folder, report, self._selection)
        return report

    def _select(self) -> Rivals:
        """Decide on every row; the chains that reviewers rejected."""
        reviewed = self._collect_rows()
        selection, select = self._selection, self._job.select
        if select.review is ReviewFilter.accepted:
            selection.drop_unaccepted()
        if select.deduplicate:
            selection.drop_duplicates()
        selection.unite_patients()
        selection.name_samples()
        selection.drop_long(self._job.length.max_seq_length)
        selection.check_names()
        selection.split(self._job.export.validation_share, self._job.seed)
        if not selection.count_side(False):
            self._refuse_empty()
        return find_rivals(reviewed)

    def _collect_rows(self) -> list[Kept]:
        """Give every row to the selection; those that people accept or reject, of which there are few."""
        reviewed = []
        find_patient = make_patient_finder(self._job.export.patient_pattern)
        for number, one in enumerate(select_rows(self._runs, self._job.select, find_patient)):
            if isinstance(one, Dropped):
                self._selection.drop_row(one)
                continue
            pictures = self._export_pictures(one.run, one.row)
            kept = replace(one, pictures=pictures)
            self._selection.keep_row(number, kept, measure_row(one.row, pictures, self._job.prompts, self._ruler))
            if one.verdicts is not None and (one.verdicts.is_accepted or one.verdicts.is_rejected):
                reviewed.append(kept)
        return reviewed

    def _refuse_empty(self) -> NoReturn:
        if self._selection.count_side(True):
            raise RefusedRun("export.validation_share: no sample is left to train on; give a smaller share")
        dropped = self._selection.count_reasons()
        reasons = ", ".join(f"{reason} {count}" for reason, count in dropped.items())
        raise RefusedRun(f"the export would be empty: all {sum(dropped.values())} rows are left out ({reasons})")

    def _export_pictures(self, run: Run, row: Row) -> tuple[Picture, ...]:
        names = row["images"]
        return tuple(self._pictures.export_picture(row["case_id"], run.images, name, run.view) for name in names)

    def _write_samples(self, rivals: Rivals, dataset: DatasetWriter) -> tuple[SampleWriter, SideTally]:
        """Write the files that have a part of each sample."""
        reviewed = any(run.reviews.books for run in self._runs)
        names = list_files(self._selection.count_side(True) > 0, reviewed)
        tallies = SideTally(), SideTally()
        with open_files(self._place.folder, names) as files:
            writer = SampleWriter(self._job, self._place, self._ruler, files, rivals)
            for sample, validates in self._iter_samples():
                tallies[validates].add_sample(sample)
                writer.add_sample(sample, validates)
                dataset.add_sample(VALIDATION if validates else TRAINING, sample)
        return writer, tallies[False] + tallies[True]

    def _iter_samples(self) -> Iterator[tuple[Sample, bool]]:
        """The samples in the order of reading, each with whether it validates."""
        maker = SampleMaker(self._job.prompts, self._job.select.leaks)
        rows = enumerate((run, row) for run in self._runs for row in run.iter_rows(SAMPLE_COLUMNS))
        for chosen in self._selection.iter_samples():
            run, row = next(found for number, found in rows if number == chosen.number)
            pictures = self._export_pictures(run, row)
            yield maker.make_sample(run, row, pictures, chosen.name, chosen.tokens), chosen.validates


def _describe_dataset(job: ExportJob, report: Mapping[str, Any]) -> dict[str, Any]:
    """What the data card says."""
    names = ("kept", "dropped", "outcome", "quality", "rounds")
    return {
        "license": job.export.license,
        "models": {run["name"]: run["models"] for run in report["runs"]},
        "counts": {name: report[name] for name in names},
        "config_digest": report["config_digest"],
        "code_version": report["code_version"],
    }


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
