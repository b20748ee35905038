"""Why a job's pods do not start, in the cluster's own words, and how long that is borne. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LASTING_S = 60.0
"""How long a trouble is borne that only a person can end: registries and the kubelet's own caches have bad moments."""
LONGEST = 300
_ON_THE_WAY = ("ContainerCreating", "PodInitializing")
"""What the kubelet says of containers that wait for nothing but their turn."""
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why ``what`` does not start: the cluster's reason and message. ``lasting``: it does not end by itself, as a full
    cluster or a quota may."""

    what: str
    reason: str
    message: str
    lasting: bool = False

    def __str__(self) -> str:
        told = " ".join(self.message.split())
        return f"{self.what}: {self.reason}{f': {told[:LONGEST]}' if told else ''}"


class Patience:
    """How long a job may take to start: ``start_s`` seconds in all, and :data:`LASTING_S` of lasting trouble."""

    def __init__(self, start_s: float) -> None:
        self._start_s = start_s
        self._since: float | None = None
        self._lasting_since: float | None = None

    def restart(self) -> None:
        """The job has started, or somebody holds it back on purpose."""
        self._since = self._lasting_since = None

    def is_over(self, trouble: Trouble | None, now: float) -> bool:
        """Whether a job that has not started at ``now``, in seconds of any clock, is to be given up."""
        self._since = now if self._since is None else self._since
        if trouble is None or not trouble.lasting:
            self._lasting_since = None
        elif self._lasting_since is None:
            self._lasting_since = now
        lasted = self._lasting_since is not None and now - self._lasting_since >= LASTING_S
        return lasted or now - self._since >= self._start_s


def find_pod_trouble(pods: Sequence[Object]) -> Trouble | None:
    """What keeps pods from starting, by their own status; the head's before the others'."""
    ordered = sorted(pods, key=lambda pod: pod["metadata"].get("labels", {}).get("ray.io/node-type") != "head")
    found = [trouble for pod in ordered if (trouble := next(_list_troubles(pod), None))]
    return min(found, key=lambda trouble: not trouble.lasting, default=None)


def list_waiting_pods(pods: Sequence[Object]) -> list[str]:
    """Names of the pods that have a node and none of whose containers runs: what they wait for stands in events."""
    return [
        pod["metadata"]["name"]
        for pod in pods
        if _statuses(pod) and all("waiting" in status.get("state", {}) for status in _statuses(pod))
    ]


def find_cluster_trouble(status: Object) -> Trouble | None:
    """What keeps the operator from making pods, by the RayJob's ``status``: a quota, a policy, a wrong setting."""
    if status.get("jobDeploymentStatus") == "ValidationFailed":
        return Trouble("RayJob", status.get("reason") or "ValidationFailed", status.get("message") or "", True)
    for condition in (status.get("rayClusterStatus") or {}).get("conditions") or []:
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return Trouble("RayCluster", condition.get("reason", "ReplicaFailure"), condition.get("message", ""))
    return None


def find_event_trouble(what: str, events: Sequence[Object]) -> Trouble | None:
    """The latest of an object's events where it is a warning: one that others followed is over."""
    latest = max(events, key=_event_time, default=None)
    if latest is None or latest.get("type") != "Warning":
        return None
    return Trouble(what, latest.get("reason") or "Warning", latest.get("message") or latest.get("note") or "")


def _event_time(event: Object) -> str:
    """In RFC 3339, as Kubernetes writes all of them in UTC."""
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


def _list_troubles(pod: Object) -> Iterator[Trouble]:
    name, status = f"pod {pod['metadata']['name']}", pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield Trouble(name, condition.get("reason", "Unschedulable"), condition.get("message", ""))
    for container in _statuses(pod):
        state, where = container.get("state", {}), f"{name} ({container.get('name')})"
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        if (reason := waiting.get("reason")) and reason not in _ON_THE_WAY:
            yield Trouble(where, reason, waiting.get("message", ""), True)
        if ended.get("exitCode"):
            how = f"{ended.get('reason', 'Error')}, exit code {ended['exitCode']}"
            yield Trouble(where, how, ended.get("message", ""), True)
    if status.get("phase") == "Failed":
        yield Trouble(name, status.get("reason") or "Failed", status.get("message") or "")


def _statuses(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
