"""What a training backend is: it refuses, it shows what it would start, it trains."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mics_ray.errors import EXIT_REFUSED, Stopped
from train.config import TrainJob

Say = Callable[[str], None]
"""Tells the person what begins, one line; never text of a sample."""


class TrainerFailed(Stopped):
    """A trainer's process ended by itself with an error; its log tells why. Exit code 78."""

    # Not the code of a stop, which means that the same command goes on: here it would fail again.
    code = EXIT_REFUSED


class TrainBackend(Protocol):
    """One way to train. An object without state: everything is in the job and on the disk under ``train.dir``."""

    def check_training(self, job: TrainJob) -> None:
        """Refuse what cannot work before anything starts, in seconds and without Ray or GPUs.

        Raises :class:`~mics_ray.errors.RefusedRun`.
        """
        ...

    def list_commands(self, job: TrainJob) -> list[str]:
        """What :meth:`train_stages` would start, in order, a shell-quoted one a line; for ``train.dry_run=true``."""
        ...

    def find_checkpoints(self, job: TrainJob) -> list[Path]:
        """The checkpoints and finished weights on disk; none means that another configuration may take the folder."""
        ...

    def train_stages(self, job: TrainJob, say: Say) -> Path:
        """Train every stage, going on where an earlier call ended; returns the folder of the final weights.

        Raises :class:`~mics_ray.errors.RefusedRun` when the cluster is too small, :class:`Stopped`.
        """
        ...
