"""Run folders as an export reads them: their rows, and what their configuration says about pictures and models."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mics_ray.assemble.locations import make_root, resolve_embedded
from mics_ray.assemble.recorded_config import find_recorded_pictures, read_recorded_config, read_recorded_view
from mics_ray.core.display import make_storable
from mics_ray.errors import RefusedRun
from mics_ray.io.index.file_state import FileState, read_file_state
from mics_ray.io.shards.kind import ShardError
from mics_ray.io.shards.reading import list_shards, read_shard
from mics_ray.models.pictures.windows import AUTO, View
from mics_ray.private_files import read_json_object
from mics_ray.review.marks.verdicts import NO_REVIEWS, RunReviews, read_reviews


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder. ``name`` is unique among the runs of an export; ``finished`` whether every case has its row.

    ``shards`` are the rows' files as they were when the export began, each with its state.
    """

    name: str
    folder: Path
    images: Path | str
    models: dict[str, Any]
    intern_prompt: str
    finished: bool
    shards: Sequence[tuple[Path, FileState]]
    view: View = AUTO
    reviews: RunReviews = NO_REVIEWS

    def iter_rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The rows, the same at every reading, with ``columns`` at least.

        See :func:`~mics_ray.io.shards.reading.read_shard`. Raises :class:`RefusedRun` for a shard that is damaged, or
        another than when the export began.
        """
        for path, state in self.shards:
            if read_file_state(path) != state:
                raise RefusedRun(f"run.dir: {path} was changed while it was exported; export again")
            try:
                yield from read_shard(path, columns)
            except ShardError as error:
                raise RefusedRun(f"run.dir: {error}") from None


def open_runs(given: object, image_root: str | None) -> list[Run]:
    """The runs that ``run.dir`` names, one or a list. Raises :class:`RefusedRun`."""
    folders = [Path(str(folder)) for folder in (given if isinstance(given, list) else [given])]
    if not folders:
        raise RefusedRun("run.dir: no folder given")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise RefusedRun("run.dir: the same folder is given twice")
    return [_open_run(folder, name, image_root) for folder, name in zip(folders, _number_names(folders), strict=True)]


def _number_names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names; where two are alike, numbered."""
    names = [make_storable(folder.resolve().name) for folder in folders]
    return [f"{name}-{at + 1}" if names.count(name) > 1 else name for at, name in enumerate(names)]


def _open_run(folder: Path, name: str, image_root: str | None) -> Run:
    shards = [(path, read_file_state(path)) for path in list_shards(folder / "results")]
    if not shards:
        raise RefusedRun(f"run.dir: no results in {folder}; is it a run.dir of scripts/generate.py?")
    config = read_recorded_config(folder)
    images = make_root(resolve_embedded(image_root)) if image_root else find_recorded_pictures(config)
    if images is None or (isinstance(images, Path) and not images.is_dir()):
        raise RefusedRun(f"run.dir {folder}: its picture folder {images or ''} is not there; give image_root=…")
    return Run(
        name,
        folder,
        images,
        _list_models(config),
        _intern_prompt(config),
        _is_finished(folder),
        shards,
        read_recorded_view(config),
        read_reviews(folder),
    )


def _list_models(config: dict[str, Any]) -> dict[str, Any]:
    """Names of entries and models by role, for the data card."""
    found: dict[str, Any] = {}
    for role in ("mentors", "interns"):
        found[role] = {name: entry.get("model") for name, entry in (config.get(role) or {}).items()}
    found["judge"] = (config.get("judge") or {}).get("model")
    return found


def _intern_prompt(config: dict[str, Any]) -> str:
    return str((config.get("prompts") or {}).get("intern", ""))


def _is_finished(folder: Path) -> bool:
    return bool(read_json_object(folder / "summary.json").get("finished"))
