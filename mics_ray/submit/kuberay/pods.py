"""What every pod of a job is made from: its container, the volume, the nodes it may go to, who it runs as. Pure."""

import math
import re
from collections.abc import Mapping
from typing import Any

from mics_ray.errors import RefusedRun
from mics_ray.submit.config import NOTHING_TOLD, KuberayConfig

CODE = "/opt/mics"
"""Where the image of cluster/docker/Dockerfile holds the project."""
USER = 1000
MEMORY = re.compile(r"([1-9]\d*)([KMGT]i?)?")
_UNITS = {"": 1, **{f"{name}i": 2 ** (10 * power) for power, name in enumerate("KMGT", 1)}}
_UNITS |= {name: 10 ** (3 * power) for power, name in enumerate("KMGT", 1)}
_TOLERATION = ("key", "operator", "value", "effect", "tolerationSeconds")
Manifest = dict[str, Any]


def check_pods(config: KuberayConfig) -> None:
    """Refuse sizes and tolerations that Kubernetes would not read, or would read otherwise than meant."""
    for name in ("head_memory", "memory_per_gpu", "shared_memory"):
        value = getattr(config, name)
        if value is not None and not MEMORY.fullmatch(value):
            raise RefusedRun(f"cluster.{name}: {value} is not a size such as 64Gi")
    if config.shared_memory is not None and count_bytes(config.shared_memory) < config.object_store_bytes:
        raise RefusedRun(
            f"cluster.shared_memory: {config.shared_memory} is less than cluster.object_store_bytes "
            f"({config.object_store_bytes}), which lies in it"
        )
    for toleration in config.tolerations:
        if unknown := sorted(toleration.keys() - set(_TOLERATION)):
            raise RefusedRun(f"cluster.tolerations: no field {unknown[0]}; there is: {', '.join(_TOLERATION)}")


def count_bytes(memory: str) -> int:
    """A Kubernetes quantity such as ``64Gi``, in bytes."""
    found = MEMORY.fullmatch(memory)
    return int(found[1]) * _UNITS[found[2] or ""] if found else 0


def build_pod(config: KuberayConfig, container: Manifest, gpu_nodes: Mapping[str, str] | None = None) -> Manifest:
    """The specification of a pod with this one container; one with GPUs where ``gpu_nodes``, labels of the nodes that
    it may go to besides ``cluster.nodes``, are given."""
    spec: Manifest = {
        "containers": [container],
        "restartPolicy": "Never",
        "securityContext": _pod_security(config),
        "terminationGracePeriodSeconds": config.stop_s,
        "volumes": [],
    }
    if config.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in config.image_pull_secrets]
    if config.service_account:
        spec["serviceAccountName"] = config.service_account
    if nodes := {**config.nodes, **(gpu_nodes or {})}:
        spec["nodeSelector"] = nodes
    tolerations = [dict(toleration) for toleration in config.tolerations]
    if gpu_nodes is not None:
        # Nodes whose GPUs are cut into slices are tainted by the whole one's name.
        names = dict.fromkeys(["nvidia.com/gpu", config.gpu_resource])
        tolerations += [{"key": name, "operator": "Exists", "effect": "NoSchedule"} for name in names]
    if tolerations:
        spec["tolerations"] = tolerations
    add_mount(spec, container, "data", config.mount, {"persistentVolumeClaim": {"claimName": config.volume_claim}})
    shared = config.shared_memory or f"{math.ceil(config.object_store_bytes / 2**30) + 1}Gi"
    add_mount(spec, container, "shared-memory", "/dev/shm", {"emptyDir": {"medium": "Memory", "sizeLimit": shared}})
    return spec


def _pod_security(config: KuberayConfig) -> Manifest:
    ours = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {name: value for name, value in {**ours, **config.security_context}.items() if value is not None}


def container_security() -> Manifest:
    """What a container may do, of ours and of the operator's: Kubernetes' level `restricted` asks it of each."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def build_container(config: KuberayConfig, name: str, cpus: int, memory: str) -> Manifest:
    """A container of the image with these bounds; nothing is mounted yet."""
    values = {**NOTHING_TOLD, "HF_HOME": f"{config.mount}/hub"}
    return {
        "name": name,
        "image": config.image,
        "env": [{"name": key, "value": value} for key, value in values.items()],
        "resources": {bound: {"cpu": str(cpus), "memory": memory} for bound in ("limits", "requests")},
        "securityContext": container_security(),
        "volumeMounts": [],
    }


def add_mount(spec: Manifest, container: Manifest, name: str, path: str, source: Manifest) -> None:
    """Mount ``source`` in the container; secrets and configuration read-only."""
    spec["volumes"].append({"name": name, **source})
    read_only = {"readOnly": True} if {"projected", "configMap"} & source.keys() else {}
    container["volumeMounts"].append({"name": name, "mountPath": path, **read_only})


def store_parameter(config: KuberayConfig) -> dict[str, str]:
    """Of ``ray start``: the object store."""
    return {"object-store-memory": str(config.object_store_bytes)}


def multiply_quantity(memory: str, count: int) -> str:
    """A Kubernetes quantity such as ``64Gi``, ``count`` times."""
    number = re.match(r"\d+", memory)
    return f"{int(number[0]) * count}{memory[number.end() :]}" if number else memory
