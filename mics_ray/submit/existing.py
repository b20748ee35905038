"""A Ray cluster that is there: the job goes to it over the Ray Jobs API."""

import asyncio
import shlex
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from mics_ray.config.keys import DIRECTORY
from mics_ray.errors import EXIT_OK, EXIT_STOPPED, RefusedRun
from mics_ray.submit.address import checked, token
from mics_ray.submit.clusters import Say
from mics_ray.submit.config import ExistingConfig
from mics_ray.submit.job import SubmittedJob
from mics_ray.submit.package import pack

if TYPE_CHECKING:
    from mics_ray.submit.ray_jobs import JobState, RayJobs


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
        jobs = self._jobs()
        name, state = _latest(jobs, job)
        if state is not None and state.status == "SUCCEEDED":
            self._say(f"{name}: done already; its results are in {job.output}")
            return EXIT_OK
        if state is not None and not state.ended:
            self._say(f"{name}: {state.status.lower()} already")
        else:
            name = _next(job, name) if state else name
            self._start(jobs, name, job)
        return EXIT_OK if detach else self._follow(jobs, name)

    def status(self, job: SubmittedJob) -> int:
        """See the protocol."""
        name, state = _latest(self._jobs(), job)
        if state is None:
            raise RefusedRun(f"{name}: not submitted to this cluster")
        code = "" if state.code is None else f", exit code {state.code}"
        self._say(f"{name}: {state.status.lower()}{code}; output {job.output}")
        return EXIT_OK

    def stop(self, job: SubmittedJob) -> int:
        """See the protocol."""
        jobs = self._jobs()
        name, state = _latest(jobs, job)
        if state is None:
            raise RefusedRun(f"{name}: not submitted to this cluster")
        if not state.ended:
            jobs.stop_job(name)
        self._say(f"{name}: {'ended already' if state.ended else 'asked to stop; the same command goes on'}")
        return EXIT_OK

    def _jobs(self) -> "RayJobs":
        address = checked(self._config.address)
        secret = token(self._config.token_env, self._config.token_file)
        from mics_ray.submit.ray_jobs import RayJobs

        return RayJobs(address, secret)

    def _start(self, jobs: "RayJobs", name: str, job: SubmittedJob) -> None:
        # A path is no secret; the files' content stays on the cluster.
        secrets = {DIRECTORY: self._config.secrets_dir} if self._config.secrets_dir else {}
        variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(self._config.stop_s), **secrets}
        words = ["python", "-m", "mics_ray.submit.entry", self._config.volume, job.program, *job.arguments("auto")]
        with tempfile.TemporaryDirectory(prefix="mics-submit-") as folder:
            fresh = jobs.start_job(name, shlex.join(words), str(pack(job, Path(folder))), variables)
        self._say(f"{name}: {'submitted' if fresh else 'submitted already'}")

    def _follow(self, jobs: "RayJobs", name: str) -> int:
        try:
            state = asyncio.run(jobs.follow_job(name, _show))
        except KeyboardInterrupt:
            self._say(f"{name}: goes on without us; the same command follows it again, `stop` ends it")
            return EXIT_STOPPED
        self._say(f"{name}: {state.status.lower()}")
        if state.status == "SUCCEEDED":
            return EXIT_OK
        # Stopped through the API, or lost with its node: what was paid is kept, and the same command goes on.
        return state.code if state.code is not None and state.code > 0 else EXIT_STOPPED


def _latest(jobs: "RayJobs", job: SubmittedJob) -> tuple[str, "JobState | None"]:
    """The name of the job's latest attempt and where it stands; the first name where there is none yet."""
    latest, state = job.submission_id, None
    for name in _names(job):
        found = jobs.find_job(name)
        if found is None:
            break
        latest, state = name, found
    return latest, state


def _next(job: SubmittedJob, name: str) -> str:
    names = _names(job)
    while next(names) != name:
        pass
    return next(names)


def _names(job: SubmittedJob) -> Iterator[str]:
    yield job.submission_id
    yield from (f"{job.submission_id}-{number}" for number in count(2))


def _show(text: str) -> None:
    Console(soft_wrap=True).out(text, end="", highlight=False)
