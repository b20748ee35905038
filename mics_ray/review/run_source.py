"""A run folder as it is looked at: its rows, its account, where its pictures are and how its models saw them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mics_ray.assemble.locations import JUDGE
from mics_ray.assemble.recorded_config import find_recorded_pictures, read_recorded_config, read_recorded_view
from mics_ray.errors import RefusedRun
from mics_ray.io.shards.kind import ShardError
from mics_ray.io.shards.reading import has_shards, iter_rows
from mics_ray.models.pictures.windows import View
from mics_ray.private_files import read_json_object


@dataclass(frozen=True, slots=True)
class RunSource:
    """A run folder with rows. ``config`` is empty where it cannot be read, ``summary`` where the run has not ended."""

    folder: Path
    config: Mapping[str, Any]
    summary: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.resolve().name

    @property
    def results(self) -> Path:
        """Where the shards lie."""
        return self.folder / "results"

    def iter_rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """All committed rows. Raises :class:`RefusedRun` for a damaged shard: figures of a part would look whole."""
        try:
            yield from iter_rows(self.results, columns)
        except ShardError as error:
            raise RefusedRun(f"run.dir: {error}") from None

    def find_pictures(self) -> Path | str | None:
        """The folder or address of the pictures; relative paths are taken from where this program is started."""
        return find_recorded_pictures(self.config)

    def read_view(self) -> View:
        """How the run's models saw pictures."""
        return read_recorded_view(self.config)

    def list_roles(self) -> dict[str, str]:
        """The role of each model by its entry name."""
        roles = dict.fromkeys(self.config.get("mentors") or {}, "mentor")
        return roles | dict.fromkeys(self.config.get("interns") or {}, "intern") | {JUDGE: JUDGE}

    def list_warnings(self) -> list[str]:
        """What must be known before a figure of the run is believed, a line each."""
        warnings = []
        if not self.summary.get("finished"):
            warnings.append("The run is not finished: these are the cases that have a row so far.")
        warnings += [str(doubt) for doubt in self.summary.get("doubts") or []]
        if self.summary.get("simulated"):
            warnings.append("Mentors and judge are simulated, and the cases are drawn: no figure here is of medicine.")
        return warnings


def open_source(folder: Path, setting: str = "run.dir") -> RunSource:
    """The run in ``folder``. Raises :class:`RefusedRun`, which names ``setting``, for a folder without rows."""
    if not folder.is_dir():
        raise RefusedRun(f"{setting}: there is no folder {folder}; give the run.dir of mics generate")
    if not has_shards(folder / "results"):
        raise RefusedRun(
            f"{setting}: no rows in {folder}; give the run.dir of mics generate, once it has committed cases"
        )
    return RunSource(folder, read_recorded_config(folder), read_json_object(folder / "summary.json"))
