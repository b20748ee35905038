"""The folder of a job: its paths, held by one process at a time, and bound to what decides its rows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mics_ray.config.identity import digest_identity, list_differences
from mics_ray.errors import LockedRun, RefusedRun
from mics_ray.io.shards.kind import CASES, RowKind
from mics_ray.io.shards.reading import RESULTS, has_shards, iter_rows
from mics_ray.jobs.lock import LockHeld, RunLock, has_record_locks
from mics_ray.private_files import make_private_folder, read_json_object, write_private

IDENTITY = "identity.json"
WRITER_LOCK = ".writer.lock"
"""In the results' folder; held by the process that writes shards."""
LOCK_PATIENCE_S = 30.0
"""How long to wait for a writer whose driver has ended."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where everything of a run lies."""

    root: Path

    @property
    def results(self) -> Path:
        """The shards: they alone say what is done."""
        return self.root / RESULTS

    @property
    def superseded(self) -> Path:
        """Rows that are no longer part of the results, for their cases were searched again."""
        return self.root / "superseded"

    @property
    def cache(self) -> Path:
        """The paid replies."""
        return self.root / "cache"

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return self.root / "logs"

    @property
    def contact_sheet(self) -> Path:
        """The first pictures as models will see them, drawn by preflight."""
        return self.root / "preflight" / "pictures.png"

    @property
    def summary(self) -> Path:
        """The closing account."""
        return self.root / "summary.json"

    def make_folders(self) -> None:
        """Create the folders, readable by the owner only, whatever the umask; a root that is there stays as it is."""
        for folder in (self.root, self.results, self.cache, self.logs):
            make_private_folder(folder)

    def write_file(self, name: str, text: str) -> None:
        """Replace a small file in one step, mode 0600."""
        write_private(self.root / name, text)

    def write_identity(self, view: dict[str, Any], config: str) -> None:
        """Note ``view``, which decides results, and the configuration as YAML."""
        self.write_file("config.yaml", config)
        self.write_file(IDENTITY, json.dumps(view, indent=1, sort_keys=True))

    def bind_identity(self, view: dict[str, Any], config: str, setting: str, kind: RowKind = CASES) -> None:
        """Make the folder one of ``view``: see :meth:`refuse_other` and :meth:`write_identity`.

        A folder without rows binds nobody. Raises :class:`RefusedRun`, :class:`mics_ray.io.shards.kind.ShardError`.
        """
        if has_shards(self.results):
            self.refuse_other(view, setting, kind)
        self.write_identity(view, config)

    def refuse_other(self, view: dict[str, Any], setting: str, kind: RowKind = CASES) -> None:
        """Rows of one configuration never stand beside rows of another; ``setting`` names the folder in the message.

        Raises :class:`RefusedRun`, :class:`mics_ray.io.shards.kind.ShardError`.
        """
        if changed := self.list_changes(view, kind):
            lines = "\n".join(f"  {line}" for line in changed)
            raise RefusedRun(
                f"{self.root} holds a run of another configuration; give another {setting}, or go back to:\n{lines}"
            )

    def list_changes(self, view: dict[str, Any], kind: RowKind = CASES) -> list[str]:
        """What ``view`` changes against the view that made the rows; a line for each name.

        That one is in identity.json. Where it is lost the rows tell whether they are of another, and not in what.
        Raises :class:`mics_ray.io.shards.kind.ShardError`.
        """
        # In words where it can be: digests alone would say that something differs, and not what.
        if known := read_json_object(self.root / IDENTITY):
            return list_differences(known, view)
        if {row["config_digest"] for row in iter_rows(self.results, ["config_digest"], kind)} <= {
            digest_identity(view)
        }:
            return []
        return [f"what made its rows: {IDENTITY} is lost; {self.root}/config.yaml may tell"]


@contextmanager
def hold_folder(path: str, setting: str) -> Iterator[RunFolder]:
    """A folder made and held for this process alone; ``setting`` names it in messages.

    Raises :class:`RefusedRun` and :class:`LockedRun`.
    """
    folder = RunFolder(Path(path))
    try:
        folder.make_folders()
        locks = has_record_locks(folder.cache)
    except OSError as error:
        raise RefusedRun(f"{setting}: cannot write {folder.root}: {error.strerror}") from None
    if not locks:
        raise RefusedRun(
            f"{setting}: the file system of {folder.root} has no record locks, which the account of money needs; mount "
            f"it with them (NFS 3: lockd, Lustre: -o flock), or give another {setting}"
        )
    try:
        lock = RunLock(folder.root / ".lock", shared=True)
    except LockHeld:
        raise LockedRun(f"another run is writing to {folder.root}; wait for it, or give another {setting}") from None
    with lock:
        yield folder
