"""Launching a training job: checks, the folder and its lock, then the backend."""

import hashlib
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Console

from mics_ray.config.identity import list_differences
from mics_ray.errors import EXIT_OK, LockedRun, RefusedRun, Stopped
from mics_ray.private_files import make_private_folder, read_json_object
from train.backends.base import TrainBackend
from train.config import Backend, TrainJob
from train.stages import read_stages

BACKENDS = {
    Backend.internvl: "train.backends.internvl.backend:InternVLTrainer",
    Backend.peft: "train.backends.peft.backend:PeftLora",
}
"""Kind -> module and class; a module is imported only when it is chosen."""

_PLACES = {"dir", "dry_run", "save_steps", "log_steps", "upstream.checkout", "upstream.python"}
"""Fields of ``train`` that may change between restarts."""


def load_backend(kind: Backend) -> TrainBackend:
    """The backend of a kind, its module imported late."""
    module, name = BACKENDS[kind].split(":")
    made: TrainBackend = getattr(importlib.import_module(module), name)()
    return made


def launch_training(job: TrainJob) -> int:
    """Train ``job``, or print what would be started; returns the exit code.

    Raises :class:`RefusedRun` before anything starts, :class:`LockedRun` when another run holds ``train.dir``.
    """
    trainer = load_backend(job.train.backend)
    trainer.check_training(job)
    if job.train.dry_run:
        for line in trainer.list_commands(job):
            # Not print, which would wrap a command at the terminal's width.
            Console().out(line, highlight=False)
        return EXIT_OK
    root = Path(job.train.dir)
    with _hold_folder(root):
        _record_identity(job, root, trainer)
        return _run_trainer(job, root, trainer)


def _run_trainer(job: TrainJob, root: Path, trainer: TrainBackend) -> int:
    from mics_ray.runtime.monitor.logs import log_into_folder
    from mics_ray.runtime.monitor.progress import Progress

    log_into_folder(root / "logs", "driver")
    progress = Progress()
    try:
        weights = trainer.train_stages(job, progress.show_phase)
    except Stopped as stopped:
        Console(stderr=True).out(str(stopped), highlight=False)
        return stopped.code
    Console().out(str(weights), highlight=False)
    return EXIT_OK


@contextmanager
def _hold_folder(root: Path) -> Iterator[None]:
    """``train.dir``, made where it is not there, and its lock for a while."""
    from mics_ray.jobs.lock import LockHeld, RunLock

    try:
        make_private_folder(root)
        lock = RunLock(root / ".lock", shared=True)
    except LockHeld:
        raise LockedRun(f"another run is training in {root}; wait for it, or give another train.dir") from None
    except OSError as error:
        raise RefusedRun(f"train.dir: cannot write {root}: {error.strerror}") from None
    with lock:
        yield


def _record_identity(job: TrainJob, root: Path, trainer: TrainBackend) -> None:
    """Write what the folder is for. Raises :class:`RefusedRun` where checkpoints of another configuration lie."""
    from mics_ray.config.compose import dump_yaml
    from mics_ray.jobs.run_folder import RunFolder

    view, path = training_identity(job), root / "identity.json"
    if trainer.find_checkpoints(job):
        changed = list_differences(read_json_object(path), view)
        if changed:
            lines = "\n".join(f"  {line}" for line in changed)
            raise RefusedRun(
                f"{root} holds checkpoints of another configuration; give another train.dir, or go back to:\n{lines}"
            )
    RunFolder(root).write_identity(view, dump_yaml(job))


def training_identity(job: TrainJob) -> dict[str, Any]:
    """The flat, JSON-able view of everything that decides the weights: the recipe, the seed, every stage's samples."""
    view: dict[str, Any] = {"seed": job.seed}
    for name, value in _flatten_fields(asdict(job.train)):
        if name not in _PLACES:
            view[f"train.{name}"] = value.value if isinstance(value, Enum) else value
    stages = read_stages(job.export.dir, job.export.stages)
    view["stages"] = [stage.name for stage in stages]
    for stage in stages:
        for entry in stage.entries:
            with entry.annotation.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            view[f"stages.{stage.name}.{entry.name}"] = [content, entry.repeat, entry.tiles]
    return view


def _flatten_fields(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _flatten_fields(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
