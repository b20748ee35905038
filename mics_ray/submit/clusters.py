"""What submits to each kind of cluster; the module of a kind is imported only when it is chosen."""

import errno
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mics_ray.errors import RefusedRun
from mics_ray.submit.job import SubmittedJob

CLUSTERS = {
    "existing": "mics_ray.submit.existing:Existing",
    "slurm": "mics_ray.submit.slurm.cluster:Slurm",
    "kuberay": "mics_ray.submit.kuberay.cluster:Kuberay",
    "vm": "mics_ray.submit.vm:Vm",
}
"""Kind -> module and class; the class takes the kind's configuration and :data:`Say`."""

Say = Callable[[str], None]
"""Shows a line to the person."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a submission would hand over: ``text``, byte for byte, and ``notes`` on where it would go."""

    text: str
    notes: tuple[str, ...]


class Cluster(Protocol):
    """Where jobs are submitted. Every method raises :class:`RefusedRun`; those that act return an exit code."""

    base: str
    """The folder from which the cluster takes a job's relative paths."""

    def submit(self, job: SubmittedJob, detach: bool) -> int:
        """Start the job unless it runs or is done; follow its log to its end, or leave when ``detach``."""

    def preview_submission(self, job: SubmittedJob) -> Preview:
        """What :meth:`submit` would hand over. Reads files of this machine; writes none, runs nothing, sends nothing.

        Refuses what :meth:`submit` refuses, as far as this machine alone can know it.
        """

    def show_status(self, job: SubmittedJob) -> int:
        """Say where the job stands."""

    def stop(self, job: SubmittedJob) -> int:
        """Ask the job for a clean stop."""


def open_cluster(config: Any, say: Say) -> Cluster:
    """The cluster that ``config`` describes."""
    module, name = CLUSTERS[config.kind].split(":")
    cluster: Cluster = getattr(importlib.import_module(module), name)(config, say)
    return cluster


def check_writable(path: Path) -> None:
    """Refuse, before anything is written, a file of ``cluster.dir`` that could not be written."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if there != path and not there.is_dir():
        code = errno.ENOTDIR
    elif there == path and there.is_dir():
        code = errno.EISDIR
    else:
        code = 0 if os.access(there, os.W_OK) else errno.EACCES
    if code:
        raise RefusedRun(f"cluster.dir: cannot write {path}: {os.strerror(code)}")
