"""The schema of a submission: one dataclass per kind of cluster, filled by Hydra from ``conf/cluster/NAME.yaml``."""

from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import MISSING

from mics_ray.config.compose import CONF, compose_job
from mics_ray.errors import RefusedRun

NOTHING_TOLD = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9"}
"""Variables of a Ray that is started for a job. Without usage statistics Ray 2.60 still reports that they are off, so
its report goes where nobody listens."""


@dataclass
class ExistingConfig:
    """A Ray cluster that is there, reached over the Ray Jobs API. Paths are the cluster's, not this machine's."""

    kind: str = "existing"
    address: str = MISSING  # the dashboard: https://HOST:PORT, or http on loopback (an ssh tunnel, a port-forward)
    token_env: str = "RAY_AUTH_TOKEN"  # the NAME of the variable that holds the token
    token_file: str | None = None  # a file on this machine that holds it, used where the variable is not set
    volume: str = MISSING  # a folder that every node sees; relative paths of the job are beneath it
    secrets_dir: str | None = None  # a folder of mounted files, each named as the variable whose key it holds
    stop_s: int = 60  # between asking a job to stop and killing it


@dataclass
class SlurmConfig:
    """A job of a SLURM cluster that starts its own Ray. Paths are seen by this machine and by every node alike."""

    kind: str = "slurm"
    dir: str = MISSING  # shared: the sbatch file, the log, the token while the job runs
    scratch: str = "/tmp"  # Ray's own files: each node's own disk, or a shared folder
    python: str | None = None  # None: the interpreter that submits
    nodes: int = 1
    gpus_per_node: int = 0
    gpu_type: str | None = None  # SLURM's own name of them, of slices (MIG) too: h100, h100_1g.12gb; None: any
    cpus_per_node: int = 8
    memory: str | None = None  # per node, such as 128G; None: the partition's default
    time: str = "24:00:00"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    network: str | None = None  # of nodes with several addresses: an interface (ib0) or a subnet (10.1.0.0/16)
    signal_s: int = 120  # before the time limit the job is asked to stop; calls under way need about 20 s to end
    object_store_bytes: int = 1073741824  # of each node, for pictures of the open searches
    secrets_dir: str | None = None  # a folder of files, each named as the variable whose key it holds


@dataclass
class KuberayConfig:
    """Kubernetes with the KubeRay operator. Sizes are per pod; the GPUs of a pod come from its model."""

    kind: str = "kuberay"
    image: str = MISSING  # built from cluster/docker/Dockerfile
    volume_claim: str = MISSING  # a PersistentVolumeClaim that many pods may write, for cases and results
    mount: str = "/data"  # where every pod sees it; relative paths of the job are beneath it
    namespace: str = "default"
    secret: str | None = None  # a Secret whose keys are named as the variables that hold API keys
    dir: str = "submissions"  # on this machine: the manifests
    standing: bool = False  # a RayCluster that stays, for cluster=existing, and no RayJob
    gpu_resource: str = "nvidia.com/gpu"
    nodes: dict[str, str] = field(default_factory=dict)  # labels of the nodes that pods may go to
    gpu_nodes: dict[str, str] = field(default_factory=dict)  # those of GPU pods, besides
    accelerators: dict[str, dict[str, str]] = field(default_factory=dict)  # an entry's `accelerator` -> labels of nodes
    tolerations: list[dict[str, Any]] = field(default_factory=list)  # of every pod, in Kubernetes' own words
    image_pull_secrets: list[str] = field(default_factory=list)  # names of Secrets for the image's registry
    service_account: str | None = None  # of every pod; None: the namespace's, and one that the operator makes
    security_context: dict[str, Any] = field(default_factory=dict)  # merged into every pod's; null takes a field away
    shared_memory: str | None = None  # /dev/shm of every pod; None: the object store and 1 GiB
    cpus_per_gpu: int = 8
    memory_per_gpu: str = "64Gi"
    head_cpus: int = 8
    head_memory: str = "32Gi"
    object_store_bytes: int = 4294967296  # of each pod, for pictures of the open searches
    idle_s: int = 600  # an unused GPU pod goes after this long
    keep_s: int = 3600  # a finished job's pods, with their logs, stay for this long
    start_s: int = 1800  # a job whose pods are not up after this long is taken back; where they cannot be, after 60
    retries: int = 2  # a job that ended early goes on by itself, on a cluster of its own
    stop_s: int = 60  # between asking a job to stop and killing it


@dataclass
class MachineType:
    """A machine type of a cloud and what it has."""

    type: str = MISSING
    cpus: int = MISSING
    gpus: int = 0
    accelerator: str | None = None  # Ray's name of its GPUs


@dataclass
class VmConfig:
    """Machines of a cloud that Ray's cluster launcher starts: one without GPUs at the head, others as models ask."""

    kind: str = "vm"
    provider: str = MISSING  # aws or gcp
    region: str = MISSING
    zone: str = MISSING
    project: str | None = None  # gcp: the project's id
    image: str = MISSING  # built from cluster/docker/Dockerfile
    volume: str = MISSING  # a folder that every machine mounts; relative paths of the job are beneath it
    mount_commands: list[str] = field(default_factory=list)  # run on every machine before the container: mount `volume`
    aws: dict[str, MachineType] = field(default_factory=dict)  # name -> machine, `head` among them
    gcp: dict[str, MachineType] = field(default_factory=dict)
    machine_image: str | None = None  # with Docker and the GPU driver; None: Ray's own choice
    user: str = "ubuntu"  # who logs in by ssh
    disk_gb: int = 200
    spot: bool = False  # GPU machines that the cloud may take back; the job goes on without them
    idle_minutes: int = 10  # an unused GPU machine goes after this long; the head stays until `ray down`
    secrets_dir: str | None = None  # on this machine: files, each named as the variable whose key it holds
    dir: str = "submissions"  # on this machine: the cluster file and the token
    object_store_bytes: int = 4294967296  # of each machine, for pictures of the open searches
    stop_s: int = 60  # between asking a job to stop and killing it


KINDS: dict[str, type] = {
    "existing": ExistingConfig,
    "slurm": SlurmConfig,
    "kuberay": KuberayConfig,
    "vm": VmConfig,
}
"""Kind -> schema of the group ``cluster``."""


def compose_cluster(overrides: tuple[str, ...], config_dir: Path | None) -> Any:
    """The chosen cluster's configuration, an object of its kind's dataclass. Raises :class:`RefusedRun`."""
    kind = _find_kind(overrides, config_dir)
    schema = make_dataclass("SubmitConfig", [("cluster", KINDS[kind], MISSING)])
    composed: Any = compose_job("submit", schema, overrides, config_dir)
    return composed.cluster


def _find_kind(overrides: tuple[str, ...], config_dir: Path | None) -> str:
    """The kind that the chosen file names; any kind where nothing valid is chosen, for composing to explain."""
    name = next((value for key, _, value in (part.partition("=") for part in overrides) if key == "cluster"), "")
    for folder in filter(None, [config_dir, CONF]):
        file = folder / "cluster" / f"{Path(name).name}.yaml"
        if name and file.is_file():
            return _read_kind(file)
    return "existing"


def _read_kind(file: Path) -> str:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        raise RefusedRun(f"not valid YAML: {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedRun(f"cannot read {file} ({type(error).__name__})") from None
    kind = found.get("kind") if isinstance(found, dict) else None
    if kind not in KINDS:
        raise RefusedRun(f"{file}: kind must be one of {', '.join(sorted(KINDS))}")
    return str(kind)
