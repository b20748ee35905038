"""From a cluster's configuration to what submits there; a kind's module is imported only when it is chosen."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mics_ray.submit.config import compose_cluster
from mics_ray.submit.job import SubmittedJob, describe

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


@dataclass(frozen=True, slots=True)
class Order:
    """A read command line of ``scripts/submit.py``: what to do, which cluster, which job."""

    action: str
    detach: bool
    cluster: tuple[str, ...]
    words: tuple[str, ...]
    config_dir: Path | None


def launch(order: Order, say: Say) -> int:
    """Do what ``order`` says; returns the exit code. Raises :class:`RefusedRun`."""
    config = compose_cluster(order.cluster, order.config_dir)
    cluster = made(config, say)
    job = describe(order.words, order.config_dir, cluster.base)
    if order.action == "submit":
        return cluster.submit(job, order.detach)
    return cluster.status(job) if order.action == "status" else cluster.stop(job)


def made(config: Any, say: Say) -> Cluster:
    """The cluster that ``config`` describes."""
    module, name = CLUSTERS[config.kind].split(":")
    cluster: Cluster = getattr(importlib.import_module(module), name)(config, say)
    return cluster


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words before ``--`` (the cluster's) and after it (the job's)."""
    words = list(argv)
    cut = words.index("--") if "--" in words else len(words)
    return words[:cut], words[cut + 1 :]
