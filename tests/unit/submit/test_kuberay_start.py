"""Jobs whose pods do not start: the cluster's own reason is said, the wait is bounded, nothing is left behind."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from mics_ray.errors import EXIT_OK, EXIT_STOPPED, RefusedRun
from mics_ray.submit.config import KuberayConfig
from mics_ray.submit.job import SubmittedJob, describe_job
from mics_ray.submit.kuberay.cluster import Kuberay
from mics_ray.submit.kuberay.trouble import LASTING_S, Patience, Trouble
from tests.support.kubectl import standing, write_list
from tests.support.kubernetes import problems

QUOTA = 'pods "c-head" is forbidden: exceeded quota: gpus, requested: limits.nvidia.com/gpu=1, used: 8, limited: 8'
SCHEDULED = {"type": "PodScheduled", "status": "True"}


@lru_cache
def described() -> SubmittedJob:
    words = ("mentors=paper", "interns=paper", "judge=deepseek", "data.cases=cases.jsonl", "run.dir=runs/first")
    return describe_job(words, None, "/data")


def kuberay(tmp_path: Path, said: list[str], start_s: int = 0) -> Kuberay:
    config = KuberayConfig(
        image="m", volume_claim="results", secret="k", dir=str(tmp_path / "out"), start_s=start_s, namespace="ours"
    )
    return Kuberay(config, said.append)


def pod(name: str, node_type: str, *statuses: dict[str, Any], **status: Any) -> dict[str, Any]:
    """A pod as Kubernetes tells it, with these statuses of its containers."""
    containers = [
        {"name": f"ray-{node_type}", "image": "m", "imageID": "", "ready": False, "restartCount": 0, **one}
        for one in statuses
    ]
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"ray.io/node-type": node_type, "ray.io/cluster": "c"}},
        "spec": {"containers": [{"name": f"ray-{node_type}", "image": "m"}]},
        "status": {"phase": "Pending", "containerStatuses": containers, **status},
    }
    assert problems(made) == []
    return made


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def event(name: str, kind: str, reason: str, message: str, at: str) -> dict[str, Any]:
    made = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{at}", "namespace": "ours"},
        "involvedObject": {"name": name},
        "type": kind,
        "reason": reason,
        "message": message,
        "lastTimestamp": f"2026-11-29T{at}Z",
    }
    assert problems(made) == []
    return made


def unschedulable(name: str, message: str) -> dict[str, Any]:
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(name, "worker", conditions=[refused])


RUNNING = {"state": {"running": {"startedAt": "2026-11-29T09:00:00Z"}}}
ENDED = {"state": {"terminated": {"exitCode": 127, "reason": "StartError", "message": 'exec: "ulimit":\nnot found'}}}
HEAD = pod("c-head", "head", RUNNING)
PODS = [
    ([pod("c-head", "head", waiting("ImagePullBackOff", 'Back-off pulling image "m": 401 Unauthorized'))],
     'pod c-head (ray-head): ImagePullBackOff: Back-off pulling image "m": 401 Unauthorized'),
    ([HEAD, pod("c-w", "worker", waiting("InvalidImageName", "couldn't parse image name"))],
     "pod c-w (ray-worker): InvalidImageName: couldn't parse image name"),
    ([pod("c-w", "worker", initContainerStatuses=[
        {"name": "wait-gcs-ready", "image": "m", "imageID": "", "ready": False, "restartCount": 0,
         **waiting("ErrImageNeverPull", "not present")}])],
     "pod c-w (wait-gcs-ready): ErrImageNeverPull: not present"),
    ([pod("c-head", "head", waiting("CreateContainerConfigError", "image will run as root"))],
     "pod c-head (ray-head): CreateContainerConfigError: image will run as root"),
    ([pod("c-head", "head", ENDED, phase="Failed")],
     'pod c-head (ray-head): StartError, exit code 127: exec: "ulimit": not found'),
    ([HEAD, unschedulable("c-w", "0/4 nodes are available: 4 Insufficient nvidia.com/gpu.")],
     "pod c-w: Unschedulable: 0/4 nodes are available: 4 Insufficient nvidia.com/gpu."),
    ([unschedulable("c-w", "pod has unbound immediate PersistentVolumeClaims.")],
     "pod c-w: Unschedulable: pod has unbound immediate PersistentVolumeClaims."),
    ([pod("c-w", "worker", phase="Failed", reason="Evicted", message="The node was low on resource: memory.")],
     "pod c-w: Evicted: The node was low on resource: memory."),
]  # fmt: skip


@pytest.mark.parametrize(("pods", "told"), PODS)
def test_a_pod_that_cannot_start_is_told_with_the_cluster_s_own_reason(
    tmp_path: Path, kube: Path, pods: list[dict[str, Any]], told: str
) -> None:
    standing(kube, "rayjob", jobDeploymentStatus="Initializing")
    write_list(kube, "pods", *pods)
    said: list[str] = []
    with pytest.raises(RefusedRun) as refused:
        kuberay(tmp_path, said).submit(described(), detach=False)
    name = described().submission_id
    assert str(refused.value) == f"{name}: does not start, and is taken back: Initializing; {told}"
    assert said[-1] == f"{name}: Initializing; {told}"
    assert f"--namespace ours delete rayjob {name}" in (kube / "log").read_text()
    kuberay(tmp_path, said).show_status(described())
    assert f"Initializing, {told}; output" in said[-1]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"rayClusterStatus": {"conditions": [
            {"type": "HeadPodReady", "status": "False", "reason": "HeadPodNotFound", "message": "Head Pod not found"},
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreateHeadPod", "message": QUOTA},
        ]}}, f"RayCluster: FailedCreateHeadPod: {QUOTA}"),
        ({"jobDeploymentStatus": "ValidationFailed", "reason": "ValidationFailed", "message": "bad spec"},
         "RayJob: ValidationFailed: bad spec"),
    ],
)  # fmt: skip
def test_pods_that_cannot_be_made_are_told_by_the_operator(
    tmp_path: Path, kube: Path, status: dict[str, Any], told: str
) -> None:
    standing(kube, "rayjob", **{"jobDeploymentStatus": "Initializing", **status})
    with pytest.raises(RefusedRun, match=r"taken back") as refused:
        kuberay(tmp_path, []).submit(described(), detach=False)
    assert str(refused.value).endswith(told)


@pytest.mark.parametrize(
    ("name", "events", "told"),
    [
        ("c", [("Warning", "FailedToCreateHeadPod", QUOTA, "09:00:02"), ("Normal", "CreatedRole", "it", "09:00:01")],
         f"; RayCluster c: FailedToCreateHeadPod: {QUOTA}"),
        ("c-head", [("Warning", "FailedMount", 'secret "k" not found', "09:00:01")],
         '; pod c-head: FailedMount: secret "k" not found'),
        ("c-head", [("Warning", "FailedMount", "slow", "09:00:01"), ("Normal", "Pulling", "image", "09:00:02")], ""),
    ],
)  # fmt: skip
def test_the_latest_event_tells_what_no_status_does(
    tmp_path: Path, kube: Path, name: str, events: list[tuple[str, str, str, str]], told: str
) -> None:
    standing(kube, "rayjob", jobDeploymentStatus="Initializing")
    if name == "c-head":
        write_list(kube, "pods", pod("c-head", "head", waiting("ContainerCreating"), conditions=[SCHEDULED]))
    write_list(kube, f"events-{name}", *(event(name, *one) for one in events))
    with pytest.raises(RefusedRun) as refused:
        kuberay(tmp_path, []).submit(described(), detach=False)
    assert str(refused.value).endswith(f"taken back: Initializing{told}")


def test_an_operator_that_does_not_look_is_not_waited_for_for_ever(tmp_path: Path, kube: Path) -> None:
    with pytest.raises(RefusedRun, match="taken back: waiting for the operator"):
        kuberay(tmp_path, []).submit(described(), detach=False)


def test_why_a_job_does_not_start_is_told_where_it_cannot_be_taken_back(tmp_path: Path, kube: Path) -> None:
    (kube / "undeletable").touch()
    standing(kube, "rayjob", jobDeploymentStatus="Initializing")
    write_list(kube, "pods", unschedulable("c-w", "no GPU is free"))
    said = (
        r"could not be taken back \(kubectl delete rayjob: Error: forbidden\): Initializing; pod c-w: Unschedulable: no"
    )
    with pytest.raises(RefusedRun, match=said):
        kuberay(tmp_path, []).submit(described(), detach=False)


def test_a_job_that_had_run_is_taken_back_with_75(tmp_path: Path, kube: Path) -> None:
    standing(kube, "rayjob", jobDeploymentStatus="Initializing", failed=1)
    said: list[str] = []
    assert kuberay(tmp_path, said).submit(described(), detach=False) == EXIT_STOPPED
    assert said[-1].endswith("the same command goes on")


def test_a_trouble_that_ends_in_time_is_told_and_the_job_runs(tmp_path: Path, kube: Path) -> None:
    write_list(kube, "pods", unschedulable("c-w", "no GPU is free"))
    standing(kube, "running", jobDeploymentStatus="Initializing")
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "no GPU is free" in line:
            standing(kube, "rayjob", jobStatus="RUNNING", jobDeploymentStatus="Running")
            standing(kube, "after", jobStatus="SUCCEEDED", jobDeploymentStatus="Complete")

    cluster = kuberay(tmp_path, [], start_s=600)
    cluster._say = say
    assert cluster.submit(described(), detach=False) == EXIT_OK
    assert [line.split(": ", 1)[1] for line in said[1:]] == [
        "Initializing; pod c-w: Unschedulable: no GPU is free", "Running", "succeeded",
    ]  # fmt: skip
    assert "delete" not in (kube / "log").read_text()


def test_what_only_a_person_ends_is_borne_for_a_minute_and_the_rest_for_as_long_as_is_set() -> None:
    lasting, passing = Trouble("pod", "ErrImagePull", "", True), Trouble("pod", "Unschedulable", "")
    patience = Patience(1800)
    assert not patience.is_over(lasting, 0)
    assert not patience.is_over(lasting, LASTING_S - 1)
    assert not patience.is_over(passing, LASTING_S)
    assert not patience.is_over(lasting, LASTING_S + 1)
    assert patience.is_over(lasting, 2 * LASTING_S + 1)
    assert not patience.is_over(None, 1799)
    assert patience.is_over(passing, 1800)
    patience.restart()
    assert not patience.is_over(passing, 3000)
