"""What submits to each kind of cluster; the module of a kind is imported only when it is chosen."""

import importlib
from collections.abc import Callable
from typing import Any, Protocol

from mics_ray.submit.job import SubmittedJob

CLUSTERS = {
    "existing": "mics_ray.submit.existing:Existing",
    "slurm": "mics_ray.submit.slurm:Slurm",
    "kuberay": "mics_ray.submit.kuberay:Kuberay",
    "vm": "mics_ray.submit.vm:Vm",
}
"""Kind -> module and class; the class takes the kind's configuration and :data:`Say`."""

Say = Callable[[str], None]
"""Shows a line to the person."""


class Cluster(Protocol):
    """Where jobs are submitted. Every method returns an exit code and raises :class:`RefusedRun`."""

    base: str
    """The folder from which the cluster takes a job's relative paths."""

    def submit(self, job: SubmittedJob, detach: bool) -> int:
        """Start the job unless it runs or is done; follow its log to its end, or leave when ``detach``."""

    def status(self, job: SubmittedJob) -> int:
        """Say where the job stands."""

    def stop(self, job: SubmittedJob) -> int:
        """Ask the job for a clean stop."""


def open_cluster(config: Any, say: Say) -> Cluster:
    """The cluster that ``config`` describes."""
    module, name = CLUSTERS[config.kind].split(":")
    cluster: Cluster = getattr(importlib.import_module(module), name)(config, say)
    return cluster
