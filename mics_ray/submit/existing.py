"""A Ray cluster that is there: the job goes to it over the Ray Jobs API."""

import asyncio
import os
import shlex
import socket
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import yaml
from rich.console import Console

from mics_ray.config.keys import DIRECTORY
from mics_ray.errors import EXIT_OK, EXIT_STOPPED, RefusedRun
from mics_ray.proxies import is_loopback
from mics_ray.submit.clusters import Preview, Say
from mics_ray.submit.config import ExistingConfig
from mics_ray.submit.job import SubmittedJob
from mics_ray.submit.package import list_contents, pack_job, package_name
from mics_ray.submit.versions import VARIABLE, describe_versions, read_ray_version

if TYPE_CHECKING:
    from mics_ray.submit.ray_jobs import JobState, RayJobs

REACH_S = 5.0
"""An address that does not take a connection within this time is refused."""


class Existing:
    """See :class:`~mics_ray.submit.clusters.Cluster`.

    Ray lets no id be used twice, so what was stopped or failed goes on under the next number: ID, ID-2, ID-3.
    """

    def __init__(self, config: ExistingConfig, say: Say) -> None:
        if not config.volume.startswith("/"):
            raise RefusedRun(f"cluster.volume: {config.volume} is not an absolute path of the cluster")
        self._config, self._say = config, say
        self.base = config.volume

    def submit(self, job: SubmittedJob, detach: bool) -> int:
        """See the protocol."""
        jobs = self._open_jobs()
        name, state = _find_latest(jobs, job)
        if state is not None and state.status == "SUCCEEDED":
            self._say(f"{name}: done already; its results are in {job.output}")
            return EXIT_OK
        if state is not None and not state.ended:
            self._say(f"{name}: {state.status.lower()} already")
        else:
            name = _next_name(job, name) if state else name
            _refuse_other_ray(jobs)
            self._start_job(jobs, name, job)
        return EXIT_OK if detach else self._follow_job(jobs, name)

    def preview_submission(self, job: SubmittedJob) -> Preview:
        """See the protocol. Whether a job of that name is there already only the cluster knows."""
        address = parse_address(self._config.address)
        # Its value goes nowhere: a file that cannot be read is refused here as it would be then.
        read_token(self._config.token_env, self._config.token_file)
        request = {
            "submission_id": job.submission_id,
            "entrypoint": self._job_entrypoint(job),
            "runtime_env": {"working_dir": package_name(job), "env_vars": self._job_variables()},
            "package": [name for name, _ in sorted(list_contents(job))],
        }
        text = yaml.safe_dump(request, sort_keys=False, width=1000, allow_unicode=True)
        return Preview(text, (f"would be submitted to {address}; an id that has ended there goes on as ID-2, ID-3",))

    def show_status(self, job: SubmittedJob) -> int:
        """See the protocol."""
        name, state = _find_latest(self._open_jobs(), job)
        if state is None:
            raise RefusedRun(f"{name}: not submitted to this cluster")
        code = "" if state.code is None else f", exit code {state.code}"
        self._say(f"{name}: {state.status.lower()}{code}; output {job.output}")
        return EXIT_OK

    def stop(self, job: SubmittedJob) -> int:
        """See the protocol."""
        jobs = self._open_jobs()
        name, state = _find_latest(jobs, job)
        if state is None:
            raise RefusedRun(f"{name}: not submitted to this cluster")
        if not state.ended:
            jobs.stop_job(name)
        self._say(f"{name}: {'ended already' if state.ended else 'asked to stop; the same command goes on'}")
        return EXIT_OK

    def _open_jobs(self) -> "RayJobs":
        address = parse_address(self._config.address)
        probe_address(address)
        secret = read_token(self._config.token_env, self._config.token_file)
        from mics_ray.submit.ray_jobs import RayJobs

        return RayJobs(address, secret)

    def _start_job(self, jobs: "RayJobs", name: str, job: SubmittedJob) -> None:
        with tempfile.TemporaryDirectory(prefix="mics-submit-") as folder:
            package = str(pack_job(job, Path(folder)))
            fresh = jobs.start_job(name, self._job_entrypoint(job), package, self._job_variables())
        self._say(f"{name}: {'submitted' if fresh else 'submitted already'}")

    def _job_entrypoint(self, job: SubmittedJob) -> str:
        module = ["python", "-m", "mics_ray.submit.entry"]
        return shlex.join([*module, self._config.volume, job.program, *job.program_arguments("auto")])

    def _job_variables(self) -> dict[str, str]:
        # A path is no secret; the files' content stays on the cluster.
        secrets = {DIRECTORY: self._config.secrets_dir} if self._config.secrets_dir else {}
        return {"RAY_JOB_STOP_WAIT_TIME_S": str(self._config.stop_s), VARIABLE: describe_versions(), **secrets}

    def _follow_job(self, jobs: "RayJobs", name: str) -> int:
        try:
            state = asyncio.run(jobs.follow_job(name, _print_log))
        except KeyboardInterrupt:
            self._say(f"{name}: goes on without us; the same command follows it again, `stop` ends it")
            return EXIT_STOPPED
        self._say(f"{name}: {state.status.lower()}")
        if state.status == "SUCCEEDED":
            return EXIT_OK
        # Stopped through the API, or lost with its node: what was paid is kept, and the same command goes on.
        return state.code if state.code is not None and state.code > 0 else EXIT_STOPPED


def _refuse_other_ray(jobs: "RayJobs") -> None:
    """Before anything is sent. Which Python the cluster has only a job there can see; see `entry`."""
    theirs, ours = jobs.ray_version, read_ray_version()
    if theirs not in (None, ours):
        raise RefusedRun(f"the cluster has Ray {theirs}, this machine Ray {ours}; use the same on both")


def _find_latest(jobs: "RayJobs", job: SubmittedJob) -> tuple[str, "JobState | None"]:
    """The name of the job's latest attempt and where it stands; the first name where there is none yet."""
    latest, state = job.submission_id, None
    for name in _attempt_names(job):
        found = jobs.find_job(name)
        if found is None:
            break
        latest, state = name, found
    return latest, state


def _next_name(job: SubmittedJob, name: str) -> str:
    names = _attempt_names(job)
    while next(names) != name:
        pass
    return next(names)


def _attempt_names(job: SubmittedJob) -> Iterator[str]:
    yield job.submission_id
    yield from (f"{job.submission_id}-{number}" for number in count(2))


def _print_log(text: str) -> None:
    Console(soft_wrap=True).out(text, end="", highlight=False)


def parse_address(address: str) -> str:
    """``address`` as a URL without a path. Raises :class:`RefusedRun`: a token travels over https or loopback only."""
    url = urlsplit(address if "://" in address else f"http://{address}")
    try:
        port = url.port
    except ValueError:
        port = -1
    if url.scheme not in ("http", "https") or not url.hostname or port == -1 or url.username:
        raise RefusedRun("cluster.address: give the dashboard as https://HOST:PORT, or http://127.0.0.1:PORT")
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise RefusedRun(
            f"cluster.address: {url.hostname} over http would show token and data to the network; use https, or "
            f"a tunnel (ssh -L 8265:127.0.0.1:{port or 8265} {url.hostname}) and cluster.address=http://127.0.0.1:8265"
        )
    return f"{url.scheme}://{url.netloc}"


def read_token(variable: str, file: str | None) -> str | None:
    """The token from the environment, else from ``file``; ``None`` where neither is there. Raises
    :class:`RefusedRun` for a file that cannot be read."""
    if value := os.environ.get(variable, "").strip():
        return value
    if file is None:
        return None
    try:
        return Path(file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedRun(f"cluster.token_file: cannot read {file} ({type(error).__name__})") from None


def probe_address(address: str) -> None:
    """Refuse an address where nobody listens: Ray's own client would only say so after minutes."""
    url = urlsplit(address)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname or "", port), timeout=REACH_S).close()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RefusedRun(f"cluster.address: nothing answers at {url.hostname}:{port} ({reason})") from None
