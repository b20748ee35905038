"""A generation job as far as it is known before Ray starts: its input, what is done already, how rows are stamped."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from mics_ray.assemble.case_pictures import CasePictures
from mics_ray.assemble.locations import LOCAL, locate_cases, locate_images
from mics_ray.config.compose import dump_yaml
from mics_ray.config.identity import build_identity, digest_identity, find_code_version
from mics_ray.config.schema import Config
from mics_ray.core.types import Case
from mics_ray.errors import RefusedRun
from mics_ray.io.cases import EXAMPLES, InputError, RecordPlace, Survey, survey_cases
from mics_ray.io.dealt_records import deal_records, read_pending
from mics_ray.io.index.ids import IdSet, SortedHashes
from mics_ray.io.index.input_index import INDEX, InputIndex, PartCollector
from mics_ray.io.index.scan_note import NOTE, ScanNote
from mics_ray.io.packed_blocks import join_pieces, read_pieces
from mics_ray.io.results.failed_rows import set_failed_rows_aside, unfailed_ids
from mics_ray.io.rows import Stamp
from mics_ray.io.scan import PlacedRecord, Scan, look_for_pictures
from mics_ray.io.shards.committed import Committed, keep_index, read_committed
from mics_ray.io.shards.kind import ShardError
from mics_ray.io.shards.reading import has_shards
from mics_ray.jobs.lock import LockHeld, wait_for_lock
from mics_ray.jobs.run_folder import LOCK_PATIENCE_S, WRITER_LOCK, RunFolder, hold_folder
from mics_ray.local.launch import simulated_server
from mics_ray.models.pictures.reading import PictureError, check_picture
from mics_ray.models.pictures.windows import read_view
from mics_ray.models.replies.ledger import read_spent_usd


@dataclass(frozen=True, slots=True)
class GenerationJob:
    """A checked job: what to search, and how its rows are stamped. ``proven`` are the providers that have answered.

    ``done`` are the ids of the rows that it has, ``pending`` how many records have none.
    """

    config: Config
    folder: RunFolder
    scan: Scan
    done: IdSet
    pending: int
    stamp: Stamp
    proven: frozenset[str] = frozenset()

    def use_config(self, served: Config, proven: frozenset[str] = frozenset()) -> "GenerationJob":
        """The same job with addresses filled in, and what the probe has found out."""
        return replace(self, config=served, proven=proven)

    def shows_pictures(self) -> bool:
        """Whether cases have pictures, as far as a look at some of them tells."""
        return look_for_pictures(self.scan)

    @property
    def records(self) -> int:
        """How many records the input has."""
        return self.scan.records

    def open_index(self) -> InputIndex:
        """What earlier starts have noted of the input."""
        return InputIndex(self.folder.root / INDEX, self.scan, self.stamp.code_version)

    def iter_pending(self) -> Iterator[PlacedRecord]:
        """The records without a row, read in this process. Raises ``InputError``."""
        return read_pending(self.scan, self.done)


@contextmanager
def prepare_generation(config: Config) -> Iterator[GenerationJob]:
    """Hold the run's folder and look at the input. Raises :class:`RefusedRun` and :class:`LockedRun`."""
    with hold_folder(config.run.dir, "run.dir") as folder:
        job = _build_job(config, folder)
        # A finished run may be looked at without money: its summary is written anew.
        if job.pending:
            _refuse_spent(config.budget_usd, folder)
        yield job


def _refuse_spent(budget_usd: float | None, folder: RunFolder) -> None:
    """Nothing is started where there is no money left."""
    try:
        spent = read_spent_usd(folder.cache)
    except OSError as error:
        raise RefusedRun(f"run.dir: what the run has spent cannot be read: {error}") from None
    if budget_usd is not None and spent >= budget_usd:
        raise RefusedRun(f"budget_usd: {budget_usd:g} is spent already (${spent:.4f} so far); give more to go on")


def begin_retry(job: GenerationJob) -> tuple[GenerationJob, int]:
    """With ``retry_failed``: take the failed rows out of the results; the job that is left, and how many they were.

    Their cases are pending then in every later start too. Raises :class:`RefusedRun`.
    """
    if not job.config.retry_failed:
        return job, 0
    try:
        with wait_for_lock(job.folder.results / WRITER_LOCK, LOCK_PATIENCE_S, shared=True):
            moved = set_failed_rows_aside(job.folder.results, job.folder.superseded)
    except (LockHeld, ShardError) as error:
        raise RefusedRun(f"retry_failed: {error}") from None
    return replace(job, config=replace(job.config, retry_failed=False)), moved


def look_again(job: GenerationJob) -> GenerationJob:
    """The same job, looking again at what is committed; for what a lost worker left behind."""
    return _build_job(job.config, job.folder)


def _build_job(config: Config, folder: RunFolder) -> GenerationJob:
    pictures: list[str] = []
    version = find_code_version()
    note = ScanNote(folder.root / NOTE, version)

    def inspect_pictures(place: RecordPlace, case: Case) -> None:
        if problem := find_picture_problem(placed, place, case):
            pictures.append(problem)

    try:
        found = None if config.retry_failed else read_committed(folder.results)
        done = unfailed_ids(folder.results) if found is None else found.ids
        placed = replace(config, data=replace(config.data, image_root=str(locate_images(config))))
        scan = note.scan_cases(locate_cases(config))
        view = build_identity(config, scan.sha256)
        # A folder without rows binds nobody: a first start that was refused may be corrected.
        if has_shards(folder.results):
            folder.refuse_other(view, "run.dir")
        if config.data.strict:
            _refuse_rejections(survey_cases(locate_cases(config), done, inspect_pictures), pictures)
        pending = _count_pending(scan, done, InputIndex(folder.root / INDEX, scan, version))
    except (InputError, ShardError) as error:
        raise RefusedRun(str(error)) from None
    # Last: what is refused leaves the folder as it was.
    if found is not None:
        _note_committed(folder, found)
    note.keep()
    folder.write_identity(view, dump_yaml(config))
    stamp = Stamp(config.seed, digest_identity(view), version)
    return GenerationJob(placed, folder, scan, done, pending, stamp)


def _note_committed(folder: RunFolder, found: Committed) -> None:
    """What had to be read of the shards is noted for the writer, which asks next."""
    if found.entries and not found.indexed:
        # The writer of a driver that was just killed may hold it still: then this one's reads the shards too.
        with suppress(LockHeld, OSError), wait_for_lock(folder.results / WRITER_LOCK, 0, shared=True):
            keep_index(folder.results, found)


def _count_pending(scan: Scan, done: IdSet, index: InputIndex) -> int:
    """Rows are the input's, whose digest was compared; only a run that seems to be over is counted record by record,
    but for the parts that the index knows to be done."""
    if len(done) < scan.records:
        return scan.records - len(done)
    known, hashes = index.find_done(done), SortedHashes(done.sort_hashes())
    left = (number for number in range(len(scan.parts)) if number not in known)
    pieces = (piece for number in left for piece in read_pieces(scan.parts[number], number, hashes))
    records = join_pieces(pieces, known, len(scan.parts), PartCollector(index))
    return sum(len(span.records) for span in deal_records(records, done, scan.parts))


def _refuse_rejections(survey: Survey, pictures: Sequence[str]) -> None:
    """``data.strict``: no record may be rejected, for its own sake or for a picture's."""
    if problems := [*survey.examples, *pictures]:
        shown = "\n".join(f"  {problem}" for problem in problems[:EXAMPLES])
        raise RefusedRun(f"data.strict: some of the {survey.records} records cannot be used:\n{shown}")


def find_picture_problem(config: Config, place: RecordPlace, case: Case) -> str | None:
    """What is wrong with the first picture of ``case`` that cannot be used; ``None`` when all can."""
    try:
        for picture in case.images:
            check_picture(CasePictures(locate_images(config)), picture, read_view(config.pictures))
    except PictureError as error:
        return f"{case.id}: {place}: {error}"
    return None


@contextmanager
def serve_simulated_models(config: Config, folder: RunFolder) -> Iterator[Config]:
    """The configuration with ``base_url: local`` replaced by the simulated server's address, which runs meanwhile."""
    if not uses_simulated_models(config):
        yield config
        return
    with simulated_server(folder.logs / "simulated-server.log") as url:
        yield replace(
            config,
            judge=_fill_address(config.judge, url),
            mentors={name: _fill_address(entry, url) for name, entry in config.mentors.items()},
            interns={name: _fill_address(entry, url) for name, entry in config.interns.items()},
        )


def uses_simulated_models(config: Config) -> bool:
    """Whether any model of this run is the simulated server's."""
    entries = [config.judge, *config.mentors.values(), *config.interns.values()]
    return any(entry.base_url == LOCAL for entry in entries)


def _fill_address(entry: Any, url: str) -> Any:
    return replace(entry, base_url=url) if entry.base_url == LOCAL else entry
