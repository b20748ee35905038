"""Everything that can be found out before Ray starts: the input, the folder, what is done already."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mics_ray.assemble.panel import LOCAL, cases_file, image_root
from mics_ray.config.compose import to_yaml
from mics_ray.config.identity import code_version, differences, digest, identity
from mics_ray.config.schema import Config, EndpointConfig, Engine, InternConfig
from mics_ray.core.types import Case
from mics_ray.errors import LockedRun, RefusedRun
from mics_ray.io.cases import EXAMPLES, InputError, Place, Survey, read_places, scan
from mics_ray.io.rows import Stamp
from mics_ray.io.shards import ShardError, committed_ids, iter_rows, shards
from mics_ray.jobs.lock import LockHeld, RunLock
from mics_ray.local.launch import simulated_server
from mics_ray.models.pictures.reading import PictureError
from mics_ray.models.pictures.reading import check as check_picture
from mics_ray.models.replies.ledger import spent_usd
from mics_ray.private_files import make_private_folder, read_json_object, write_private


@dataclass(frozen=True, slots=True)
class Folder:
    """Where everything of a run lies."""

    root: Path

    @property
    def results(self) -> Path:
        """The shards."""
        return self.root / "results"

    @property
    def cache(self) -> Path:
        """The paid replies."""
        return self.root / "cache"

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return self.root / "logs"

    @property
    def summary(self) -> Path:
        """The closing account."""
        return self.root / "summary.json"

    def make(self) -> None:
        """Create the folders, readable by the owner only, whatever the umask; a root that is there stays as it is."""
        for folder in (self.root, self.results, self.cache, self.logs):
            make_private_folder(folder)

    def write(self, name: str, text: str) -> None:
        """Replace a small file in one step, mode 0600."""
        write_private(self.root / name, text)


@dataclass(frozen=True, slots=True)
class Job:
    """A checked job: what to search, and how its rows are stamped."""

    config: Config
    folder: Folder
    survey: Survey
    stamp: Stamp

    def at(self, served: Config) -> "Job":
        """The same job with addresses filled in."""
        return replace(self, config=served)


@contextmanager
def prepared(config: Config) -> Iterator[Job]:
    """Hold the run's folder and look at the input. Raises :class:`RefusedRun` and :class:`LockedRun`."""
    with held(config.run.dir, "run.dir") as folder:
        job = _job(config, folder)
        if job.survey.pending:
            _refuse_spent(config.budget_usd, folder)
        yield job


@contextmanager
def held(path: str, setting: str) -> Iterator[Folder]:
    """A folder made and held for this process alone; ``setting`` names it in messages.

    Raises :class:`RefusedRun` and :class:`LockedRun`.
    """
    folder = Folder(Path(path))
    try:
        folder.make()
    except OSError as error:
        raise RefusedRun(f"{setting}: cannot write {folder.root}: {error.strerror}") from None
    try:
        lock = RunLock(folder.root / ".lock")
    except LockHeld:
        raise LockedRun(f"another run is writing to {folder.root}; wait for it, or give another {setting}") from None
    with lock:
        yield folder


def _refuse_spent(budget_usd: float | None, folder: Folder) -> None:
    """Nothing is started where there is no money left."""
    try:
        spent = spent_usd(folder.cache)
    except OSError as error:
        raise RefusedRun(f"run.dir: what the run has spent cannot be read: {error}") from None
    if budget_usd is not None and spent >= budget_usd:
        raise RefusedRun(f"budget_usd: {budget_usd:g} is spent already (${spent:.4f} so far); give more to go on")


def survey_again(job: Job) -> Job:
    """The same job, looking again at what is committed; for what a lost worker left behind."""
    return _job(job.config, job.folder)


def _job(config: Config, folder: Folder) -> Job:
    try:
        survey = scan(str(cases_file(config)), committed_ids(folder.results))
        view = identity(config, survey.sha256)
        if shards(folder.results):
            same_or_refused(folder, view, "run.dir")
    except (InputError, ShardError) as error:
        raise RefusedRun(str(error)) from None
    if config.data.strict:
        _refuse_rejections(config, survey)
    folder.write("config.yaml", to_yaml(config))
    folder.write("identity.json", json.dumps(view, indent=1, sort_keys=True))
    # Workers may run in another directory.
    absolute = replace(config, data=replace(config.data, image_root=str(image_root(config).absolute())))
    return Job(absolute, folder, survey, Stamp(config.seed, digest(view), code_version()))


def _refuse_rejections(config: Config, survey: Survey) -> None:
    """``data.strict``: no record may be rejected, for its own sake or for a picture's."""
    problems = list(survey.examples)
    for place, found in (pair for span in survey.spans for pair in read_places(span)):
        if isinstance(found, Case) and (problem := picture_problem(config, place, found)):
            problems.append(problem)
    if problems:
        shown = "\n".join(f"  {problem}" for problem in problems[:EXAMPLES])
        raise RefusedRun(f"data.strict: some of the {survey.records} records cannot be used:\n{shown}")


def picture_problem(config: Config, place: Place, case: Case) -> str | None:
    """What is wrong with the first picture of ``case`` that cannot be used; ``None`` when all can."""
    try:
        for picture in case.images:
            check_picture(image_root(config), picture)
    except PictureError as error:
        return f"{case.id}: {place}: {error}"
    return None


def same_or_refused(folder: Folder, view: dict[str, Any], setting: str) -> None:
    """Rows of one configuration never stand beside rows of another; a folder without rows binds nobody.

    Raises :class:`RefusedRun`, :class:`ShardError`.
    """
    if changed := changes(folder, view):
        lines = "\n".join(f"  {line}" for line in changed)
        raise RefusedRun(
            f"{folder.root} holds a run of another configuration; give another {setting}, or go back to:\n{lines}"
        )


def changes(folder: Folder, view: dict[str, Any]) -> list[str]:
    """What ``view``, which decides results, changes against the view that made the rows; a line for each name.

    That one is in identity.json. Where it is lost the rows tell whether they are of another, and not in what. Raises
    :class:`ShardError`.
    """
    if known := read_json_object(folder.root / "identity.json"):
        return differences(known, view)
    if {row["config_digest"] for row in iter_rows(folder.results, ["config_digest"])} <= {digest(view)}:
        return []
    return [f"what made its rows: identity.json is lost; {folder.root}/config.yaml may tell"]


@contextmanager
def with_server(config: Config, folder: Folder) -> Iterator[Config]:
    """The configuration with ``base_url: local`` replaced by the simulated server's address, which runs meanwhile."""
    if not simulated(config):
        yield config
        return
    with simulated_server(folder.logs / "simulated-server.log") as url:
        yield replace(
            config,
            judge=_at(config.judge, url),
            mentors={name: _at(entry, url) for name, entry in config.mentors.items()},
            interns={name: _at(entry, url) for name, entry in config.interns.items()},
        )


def simulated(config: Config) -> bool:
    """Whether any model of this run is the simulated server's."""
    entries: list[EndpointConfig | InternConfig] = [config.judge, *config.mentors.values(), *config.interns.values()]
    return any(entry.base_url == LOCAL for entry in entries)


def _at(entry: Any, url: str) -> Any:
    return replace(entry, base_url=url) if entry.base_url == LOCAL else entry


def uses_vllm(config: Config) -> bool:
    """Whether any intern runs on engines of ours."""
    return any(intern.engine is Engine.vllm for intern in config.interns.values())
