"""Validating Kubernetes objects without a cluster: published schemas, and the rules that KubeRay's operator adds."""

import json
import re
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = "v1.37.0-local-strict"
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LONGEST_NAME = 47


def problems(manifest: dict[str, Any]) -> list[str]:
    """What the API server or the operator would refuse; empty for a good object."""
    validator = _validator(manifest["apiVersion"], manifest["kind"])
    found = [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(manifest)]
    return found or (_operator(manifest) if manifest["apiVersion"] == "ray.io/v1" else [])


@lru_cache
def _validator(version: str, kind: str) -> Draft202012Validator:
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema" / KUBERNETES
    definitions = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))
    kuberay = json.loads((ROOT / "cluster/kuberay/ray-v1.schema.json").read_text(encoding="utf-8"))
    known = {"/api/_definitions.json": definitions, kuberay["$id"]: kuberay}
    registry: Registry[Any] = Registry().with_resources(
        (uri, Resource.from_contents(schema)) for uri, schema in known.items()
    )
    if version == "ray.io/v1":
        reference = f"{kuberay['$id']}#/$defs/{kind}"
    else:
        reference = f"/api/_definitions.json#/$defs/io.k8s.api.core.v1.{kind}"
    return Draft202012Validator({"$ref": reference}, registry=registry)


def _operator(manifest: dict[str, Any]) -> list[str]:
    """Rules of KubeRay's own validation that no schema holds."""
    name = manifest["metadata"]["name"]
    spec = manifest["spec"].get("rayClusterSpec", manifest["spec"])
    groups = [spec["headGroupSpec"], *spec.get("workerGroupSpecs", [])]
    pods = [group["template"]["spec"] for group in groups]
    version = tuple(int(part) for part in spec.get("rayVersion", "0.0").split(".")[:2])
    rules = {
        f"name {name}": NAME.fullmatch(name) and len(name) <= LONGEST_NAME,
        "a pod without a container": all(pod["containers"] for pod in pods),
        "autoscaler v2 wants restartPolicy Never": all(pod.get("restartPolicy", "Never") == "Never" for pod in pods),
        "tokens want rayVersion 2.52 or newer": "authOptions" not in spec or version >= (2, 52),
        "replicas out of their bounds": all(
            group["minReplicas"] <= group["replicas"] <= group["maxReplicas"] for group in groups[1:]
        ),
        "a volume that is mounted is not there": all(
            mount["name"] in [volume["name"] for volume in pod["volumes"]]
            for pod in pods
            for container in pod["containers"]
            for mount in container["volumeMounts"]
        ),
    }
    return [rule for rule, holds in rules.items() if not holds]
