"""Kubernetes with the KubeRay operator, through ``kubectl``; where there is none, the manifest and the command.

The object's name is the submission id: applying it again changes nothing, so a job never runs twice.
"""

import json
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml

from mics_ray.errors import EXIT_OK, EXIT_STOPPED, RefusedRun
from mics_ray.private_files import make_private_folder, write_private
from mics_ray.submit.clusters import Preview, Say, check_writable
from mics_ray.submit.config import KuberayConfig
from mics_ray.submit.job import SubmittedJob
from mics_ray.submit.kuberay.kubectl import Kubectl
from mics_ray.submit.kuberay.manifest import build_manifests
from mics_ray.submit.kuberay.pods import check_pods
from mics_ray.submit.kuberay.trouble import (
    Patience,
    Trouble,
    find_cluster_trouble,
    find_event_trouble,
    find_pod_trouble,
    list_waiting_pods,
)
from mics_ray.submit.package import find_group_files

POLL_S = 3.0
ENDED = ("Complete", "Failed")
"""KubeRay's words for a RayJob that does nothing more."""
STARTING = ("", "Initializing", "Retrying", "Waiting", "ValidationFailed")
"""Its words for one whose pods are to come up."""


class Kuberay:
    """See :class:`~mics_ray.submit.clusters.Cluster`."""

    def __init__(self, config: KuberayConfig, say: Say) -> None:
        if not config.mount.startswith("/"):
            raise RefusedRun(f"cluster.mount: {config.mount} is not an absolute path of the pods")
        check_pods(config)
        self._config, self._say = config, say
        self._kubectl = Kubectl(config.namespace)
        self.base = config.mount

    def submit(self, job: SubmittedJob, detach: bool) -> int:
        """See the protocol. A job that was stopped or failed goes on as a new RayJob of the same name."""
        path = self._write_manifest(job)
        if shutil.which("kubectl") is None:
            self._say(f"no kubectl here: {path} is written; apply it with: kubectl apply -f {shlex.quote(str(path))}")
            return EXIT_OK
        self._check_cluster(job)
        if self._config.standing:
            self._say(self._kubectl.run("apply", "-f", str(path)).strip())
            self._say(_access_hint(self._config, job))
            return EXIT_OK
        status = self._read_status(job)
        if status.get("jobStatus") == "SUCCEEDED":
            self._say(f"{job.submission_id}: done already; its results are in {job.output}")
            return EXIT_OK
        if status.get("jobDeploymentStatus") in ENDED:
            self._kubectl.run("delete", "rayjob", job.submission_id, "--wait=true")
        self._say(self._kubectl.run("apply", "-f", str(path)).strip())
        return EXIT_OK if detach else self._follow_log(job)

    def preview_submission(self, job: SubmittedJob) -> Preview:
        """See the protocol. What the cluster lacks, and whether the job is there, only Kubernetes knows."""
        text, path = self._render_manifest(job), self._manifest_file(job)
        check_writable(path)
        return Preview(text, (f"would be written to {path}, then: kubectl apply -f {shlex.quote(str(path))}",))

    def show_status(self, job: SubmittedJob) -> int:
        """See the protocol."""
        status = self._require_job(job)
        words = [status.get("jobDeploymentStatus") or "new", status.get("jobStatus"), status.get("message")]
        if _is_starting(status) and (trouble := self._find_trouble(job, status)):
            words.append(str(trouble))
        self._say(f"{job.submission_id}: {', '.join(filter(None, words))}; output {job.output}")
        return EXIT_OK

    def stop(self, job: SubmittedJob) -> int:
        """See the protocol."""
        status = self._require_job(job)
        if status.get("jobDeploymentStatus") not in ENDED:
            self._kubectl.run(*_exec_on_head(self._find_head_pod(status), "stop", job))
        self._say(f"{job.submission_id}: stopped; the same command goes on")
        return EXIT_OK

    def _render_manifest(self, job: SubmittedJob) -> str:
        if job.key_names and not self._config.secret:
            raise RefusedRun(
                f"cluster.secret: the job needs {', '.join(job.key_names)}; name a Secret that holds them: kubectl "
                f"create secret generic mics-keys {' '.join(f'--from-file={name}=FILE' for name in job.key_names)}"
            )
        objects = build_manifests(self._config, job, list(find_group_files(job)))
        # A folded line could not be searched for what it holds.
        return yaml.safe_dump_all(objects, sort_keys=False, width=1000)

    def _manifest_file(self, job: SubmittedJob) -> Path:
        return Path(self._config.dir) / f"{job.submission_id}.yaml"

    def _write_manifest(self, job: SubmittedJob) -> Path:
        text, path = self._render_manifest(job), self._manifest_file(job)
        try:
            make_private_folder(path.parent)
            write_private(path, text)
        except OSError as error:
            raise RefusedRun(f"cluster.dir: cannot write {path}: {error.strerror}") from None
        return path

    def _check_cluster(self, job: SubmittedJob) -> None:
        """Refuse what would leave pods waiting for ever: no operator, volume, account or Secret, or not all keys."""
        self._kubectl.run("get", "crd", "rayjobs.ray.io", "-o", "name", hint="is the KubeRay operator installed?")
        self._kubectl.run("get", "pvc", self._config.volume_claim, "-o", "name", hint="cluster.volume_claim")
        if self._config.service_account:
            name = self._config.service_account
            self._kubectl.run("get", "serviceaccount", name, "-o", "name", hint="cluster.service_account")
        for name in self._config.image_pull_secrets:
            self._kubectl.run("get", "secret", name, "-o", "name", hint="cluster.image_pull_secrets")
        if job.key_names:
            template = "go-template={{range $name, $value := .data}}{{$name}} {{end}}"
            held = self._kubectl.run("get", "secret", str(self._config.secret), "-o", template, hint="cluster.secret")
            if missing := sorted(set(job.key_names) - set(held.split())):
                raise RefusedRun(f"cluster.secret: {self._config.secret} does not hold {', '.join(missing)}")

    def _read_status(self, job: SubmittedJob) -> dict[str, Any]:
        """The RayJob's status; empty where there is none."""
        if self._config.standing:
            raise RefusedRun(
                f"cluster.standing: a cluster that stays runs no job of its own; kubectl -n {self._config.namespace} "
                f"get raycluster {job.submission_id} shows it, delete in place of get ends it"
            )
        found = self._kubectl.run("get", "rayjob", job.submission_id, "--ignore-not-found", "-o", "json")
        status: dict[str, Any] = json.loads(found).get("status") or {"jobDeploymentStatus": ""} if found.strip() else {}
        return status

    def _require_job(self, job: SubmittedJob) -> dict[str, Any]:
        status = self._read_status(job)
        if not status:
            raise RefusedRun(f"{job.submission_id}: not submitted to this cluster")
        return status

    def _find_head_pod(self, status: dict[str, Any]) -> str:
        labels = f"ray.io/cluster={status.get('rayClusterName')},ray.io/node-type=head"
        name = self._kubectl.run("get", "pods", "-l", labels, "-o", "name").strip()
        if not name:
            raise RefusedRun("the job's head pod is not up; try again in a moment, or delete the RayJob")
        return name

    def _follow_log(self, job: SubmittedJob) -> int:
        """Show the job's log from its beginning until the RayJob has ended; returns the job's exit code."""
        seen, patience = "", Patience(self._config.start_s)
        try:
            while (status := self._read_status(job)).get("jobDeploymentStatus") not in ENDED:
                trouble = self._find_trouble(job, status) if _is_starting(status) else None
                word = status.get("jobDeploymentStatus") or "waiting for the operator"
                if (line := f"{word}; {trouble}" if trouble else word) != seen:
                    self._say(f"{job.submission_id}: {line}")
                seen = line
                if not _is_starting(status):
                    patience.restart()
                elif patience.is_over(trouble, time.monotonic()):
                    return self._give_up(job, status, line)
                if status.get("jobStatus") == "RUNNING":
                    pod = self._find_head_pod(status)
                    subprocess.run(self._kubectl.build_command(*_exec_on_head(pod, "logs", job)), check=False)
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            self._say(f"{job.submission_id}: goes on without us; the same command follows it again, `stop` ends it")
            return EXIT_STOPPED
        self._say(f"{job.submission_id}: {status.get('jobStatus', 'FAILED').lower()}")
        return _exit_code(status)

    def _find_trouble(self, job: SubmittedJob, status: dict[str, Any]) -> Trouble | None:
        """Why a job that has not started does not start, by the status of its pods, else by the latest events."""
        cluster = status.get("rayClusterName")
        pods = self._kubectl.list_objects("pods", "-l", f"ray.io/cluster={cluster}") if cluster else []
        if trouble := find_pod_trouble(pods) or find_cluster_trouble(status):
            return trouble
        waiting = [("pod", name) for name in list_waiting_pods(pods)]
        objects = [*waiting, *([("RayCluster", cluster)] if cluster else []), ("RayJob", job.submission_id)]
        for kind, name in objects if not pods or waiting else []:
            events = self._kubectl.list_objects("events", f"--field-selector=involvedObject.name={name}")
            if trouble := find_event_trouble(f"{kind} {name}", events):
                return trouble
        return None

    def _give_up(self, job: SubmittedJob, status: dict[str, Any], line: str) -> int:
        """Take the job back, so that nothing of it starts behind our back and no pod holds a GPU for nothing.

        Raises :class:`RefusedRun` unless the operator had begun it before: then something may have been paid.
        """
        how = "is taken back"
        try:
            self._kubectl.run("delete", "rayjob", job.submission_id, "--wait=false")
        except RefusedRun as error:  # why it does not start is what is to be told
            how = f"could not be taken back ({error})"
        if status.get("failed"):
            self._say(f"{job.submission_id}: does not start again, and {how}: {line}; the same command goes on")
            return EXIT_STOPPED
        raise RefusedRun(f"{job.submission_id}: does not start, and {how}: {line}")


def _exec_on_head(pod: str, action: str, job: SubmittedJob) -> list[str]:
    """What kubectl is told for ``ray job ACTION`` in the head's pod; the dashboard listens there."""
    follow = ["--follow"] if action == "logs" else []
    command = ["ray", "job", action, *follow, "--address", "http://127.0.0.1:8265", job.submission_id]
    # A proxy of the pod's environment would be sent the token; this command speaks with loopback alone.
    return ["exec", pod, "-c", "ray-head", "--", "env", "no_proxy=*", "NO_PROXY=*", *command]


def _is_starting(status: dict[str, Any]) -> bool:
    """Whether the operator or Kubernetes is to bring the job's pods up; one that a queue holds back is not."""
    return (status.get("jobDeploymentStatus") or "") in STARTING


def _exit_code(status: dict[str, Any]) -> int:
    """The program's own code, which KubeRay only tells in words; what was lost or stopped goes on by the same
    command."""
    if status.get("jobStatus") == "SUCCEEDED":
        return EXIT_OK
    found = re.search(r"exit code (\d+)", status.get("message") or "")
    return int(found[1]) if found and int(found[1]) else EXIT_STOPPED


def _access_hint(config: KuberayConfig, job: SubmittedJob) -> str:
    name, space = job.submission_id, config.namespace
    return (
        f"when its pods are up: kubectl -n {space} port-forward service/{name}-head-svc 8265; "
        f"RAY_AUTH_TOKEN=$(kubectl -n {space} get secret {name} -o jsonpath={{.data.auth_token}} | base64 -d); "
        f"then submit with cluster=existing cluster.address=http://127.0.0.1:8265 cluster.volume={config.mount}"
    )
