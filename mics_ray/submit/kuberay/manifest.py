"""KubeRay's objects for a job, as plain data: a RayJob or a standing RayCluster, and the group files it needs. Pure.

The head holds the driver, the writer and the endpoints, so only there are the keys mounted; served models get GPU pods.
"""

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from mics_ray.config.keys import DIRECTORY, HUB_TOKEN
from mics_ray.errors import RefusedRun
from mics_ray.runtime.serving.placement import ACCELERATOR, ReplicaNeed
from mics_ray.submit.config import KuberayConfig
from mics_ray.submit.job import SubmittedJob
from mics_ray.submit.kuberay.pods import (
    CODE,
    Manifest,
    add_mount,
    build_container,
    build_pod,
    container_security,
    multiply_quantity,
    store_parameter,
)
from mics_ray.submit.versions import VARIABLE, describe_versions

API = "ray.io/v1"
SECRETS = "/run/mics/secrets"
GROUP_FILE = re.compile(r"[^-._a-zA-Z0-9]+")


@dataclass(frozen=True, slots=True)
class PodGroup:
    """The worker group of one model: how many pods, and the GPUs of each."""

    name: str
    least: int
    most: int
    gpus: int
    accelerator: str | None = None


def worker_groups(wanted: Sequence[ReplicaNeed]) -> list[PodGroup]:
    """A group for each model that takes GPUs: a pod for each stage of a replica; small ones share a pod's GPU."""
    return [_pod_group(need) for need in wanted if need.gpus]


def _pod_group(need: ReplicaNeed) -> PodGroup:
    together = max(1, int(1 / need.gpus + 1e-9)) if need.stages == 1 else 1
    least, most = (math.ceil(count * need.stages / together) for count in (need.replicas, need.limit))
    name = need.entry.lower().replace("_", "-").replace(".", "-")
    return PodGroup(name, least, most, math.ceil(need.gpus), need.accelerator)


def build_manifests(config: KuberayConfig, job: SubmittedJob, own: Sequence[tuple[str, Path]] = ()) -> list[Manifest]:
    """Everything that is applied, in order. ``own`` are the user's group files: name beneath the folder, and file."""
    files = [_config_map(config, job, own)] if own else []
    made = build_ray_cluster(config, job, own) if config.standing else build_ray_job(config, job, own)
    return [*files, made]


def build_ray_job(config: KuberayConfig, job: SubmittedJob, own: Sequence[tuple[str, Path]] = ()) -> Manifest:
    """A cluster for this job alone. HTTPMode: the entrypoint reaches Ray word for word, through no shell of a pod."""
    words = ["python", "-m", "mics_ray.submit.entry", config.mount, job.program, *job.program_arguments("auto")]
    spec = {
        "jobId": job.submission_id,
        "entrypoint": shlex.join(words),
        "submissionMode": "HTTPMode",
        "runtimeEnvYAML": (
            f"env_vars: {{RAY_JOB_STOP_WAIT_TIME_S: '{config.stop_s}', {VARIABLE}: '{describe_versions()}'}}\n"
        ),
        "backoffLimit": config.retries,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": config.keep_s,
        "rayClusterSpec": _cluster_spec(config, job, own),
    }
    return {"apiVersion": API, "kind": "RayJob", "metadata": _object_metadata(config, job), "spec": spec}


def build_ray_cluster(config: KuberayConfig, job: SubmittedJob, own: Sequence[tuple[str, Path]] = ()) -> Manifest:
    """A cluster of the same form that stays, for ``cluster=existing``."""
    spec = _cluster_spec(config, job, own)
    return {"apiVersion": API, "kind": "RayCluster", "metadata": _object_metadata(config, job), "spec": spec}


def _object_metadata(config: KuberayConfig, job: SubmittedJob) -> Manifest:
    labels = {"app.kubernetes.io/name": "mics-ray", "app.kubernetes.io/component": job.program}
    return {"name": job.submission_id, "namespace": config.namespace, "labels": labels}


def _cluster_spec(config: KuberayConfig, job: SubmittedJob, own: Sequence[tuple[str, Path]]) -> Manifest:
    return {
        "rayVersion": metadata.version("ray"),
        # The operator makes the token's Secret and gives it to every pod.
        "authOptions": {"mode": "token"},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "idleTimeoutSeconds": config.idle_s,
            "upscalingMode": "Default",
            "version": "v2",
            "securityContext": container_security(),
        },
        "headGroupSpec": _head_group(config, job, own),
        "workerGroupSpecs": [_worker_group(config, group) for group in worker_groups(job.needs)],
    }


def _head_group(config: KuberayConfig, job: SubmittedJob, own: Sequence[tuple[str, Path]]) -> Manifest:
    ports = {"gcs-server": 6379, "dashboard": 8265, "metrics": 8080}
    container = build_container(config, "ray-head", config.head_cpus, config.head_memory)
    container["ports"] = [{"name": name, "containerPort": port} for name, port in ports.items()]
    spec = build_pod(config, container)
    if config.secret:
        container["env"].append({"name": DIRECTORY, "value": SECRETS})
        add_mount(spec, container, "keys", SECRETS, _mount_keys(config.secret, job.key_names))
    if own:
        items = [{"key": _config_map_key(name), "path": name} for name, _ in own]
        source = {"configMap": {"name": _config_map_name(job), "items": items}}
        add_mount(spec, container, "group-files", f"{CODE}/submitted_conf", source)
    start = {"num-gpus": "0", "dashboard-host": "0.0.0.0", **store_parameter(config)}
    return {"serviceType": "ClusterIP", "rayStartParams": start, "template": {"spec": spec}}


def _mount_keys(secret: str, names: Sequence[str]) -> Manifest:
    """The job's keys as files, and the hub's token where the Secret holds one: the head fetches models for all."""
    sources = [_secret_files(secret, names)] if names else []
    if HUB_TOKEN not in names:
        sources.append(_secret_files(secret, [HUB_TOKEN]) | {"optional": True})
    return {"projected": {"defaultMode": 0o440, "sources": [{"secret": source} for source in sources]}}


def _secret_files(secret: str, names: Sequence[str]) -> Manifest:
    return {"name": secret, "items": [{"key": name, "path": name} for name in names]}


def _worker_group(config: KuberayConfig, group: PodGroup) -> Manifest:
    container = build_container(
        config, "ray-worker", config.cpus_per_gpu * group.gpus, multiply_quantity(config.memory_per_gpu, group.gpus)
    )
    for bound in ("limits", "requests"):
        container["resources"][bound][config.gpu_resource] = str(group.gpus)
    # A GPU pod has no business with the Kubernetes API; the head's autoscaler has.
    nodes = {**config.gpu_nodes, **_find_accelerator_nodes(config, group)}
    spec = build_pod(config, container, nodes) | {"automountServiceAccountToken": False}
    return {
        "groupName": group.name,
        "replicas": group.least,
        "minReplicas": group.least,
        "maxReplicas": group.most,
        "rayStartParams": {"num-gpus": str(group.gpus), **store_parameter(config)},
        # For the autoscaler, which sees no pod of a group before it has made one.
        **({"resources": {f"{ACCELERATOR}{group.accelerator}": "1"}} if group.accelerator else {}),
        "template": {"spec": spec},
    }


def _find_accelerator_nodes(config: KuberayConfig, group: PodGroup) -> dict[str, str]:
    """Labels of the nodes with the GPUs that the model asks for. Raises :class:`RefusedRun` where nobody says them."""
    if group.accelerator is None:
        return {}
    if group.accelerator not in config.accelerators:
        raise RefusedRun(
            f"cluster.accelerators: {group.name} asks for {group.accelerator}; say which nodes have them: "
            f"'cluster.accelerators={{{group.accelerator}: {{LABEL: VALUE}}}}'"
        )
    return config.accelerators[group.accelerator]


def _config_map(config: KuberayConfig, job: SubmittedJob, own: Sequence[tuple[str, Path]]) -> Manifest:
    data = {_config_map_key(name): file.read_text(encoding="utf-8") for name, file in own}
    about = {**_object_metadata(config, job), "name": _config_map_name(job)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}


def _config_map_name(job: SubmittedJob) -> str:
    return f"{job.submission_id}-conf"


def _config_map_key(name: str) -> str:
    """A ConfigMap's key holds no slash."""
    return GROUP_FILE.sub("--", name)
