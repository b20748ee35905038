"""The Ray Jobs API of a cluster that is there: its one user."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from mics_ray.errors import RefusedRun
from mics_ray.proxies import reach_directly

T = TypeVar("T")

AGAIN_S = 2.0
LOST_S = 120.0
"""How long a cluster may be silent before following its job is given up."""
_OVERRIDING = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")


@dataclass(frozen=True, slots=True)
class JobState:
    """State of a job: Ray's word for it, whether it has ended, and its exit code once known."""

    status: str
    ended: bool
    code: int | None


class RayJobs:
    """Jobs of one cluster, by submission id. Every method raises :class:`RefusedRun` when the cluster refuses us."""

    def __init__(self, address: str, token: str | None) -> None:
        # Ray would take either of them over the address that it is given.
        for name in _OVERRIDING:
            os.environ.pop(name, None)
        # Its requests would take the token to a proxy of the environment.
        reach_directly(urlsplit(address).hostname or "")
        headers = {"Authorization": f"Bearer {token}"} if token else None
        # Its only lines are about uploads.
        logging.getLogger("ray.dashboard.modules.dashboard_sdk").setLevel(logging.ERROR)
        self._address, self._token = address, token
        self._client = self._ask_cluster(lambda: JobSubmissionClient(address, headers=headers))

    @property
    def ray_version(self) -> str | None:
        """The version of the cluster's Ray, which its dashboard told the client; ``None`` where it did not."""
        return getattr(self._client, "_server_ray_version", None)

    def find_job(self, name: str) -> JobState | None:
        """Where the job stands; ``None`` where there is none of that name."""
        for found in self._ask_cluster(self._client.list_jobs):
            if found.submission_id == name:
                return JobState(str(found.status), found.status.is_terminal(), found.driver_exit_code)
        return None

    def start_job(self, name: str, entrypoint: str, package: str, variables: dict[str, str]) -> bool:
        """Start a job. False where one of that name is there already, whoever was quicker."""
        environment: dict[str, Any] = {"working_dir": package, "env_vars": variables}
        try:
            self._client.submit_job(entrypoint=entrypoint, submission_id=name, runtime_env=environment)
        except (RuntimeError, requests.RequestException) as error:
            if self.find_job(name) is not None:
                return False
            raise RefusedRun(f"{self._address} did not take the job ({type(error).__name__})") from None
        return True

    def stop_job(self, name: str) -> bool:
        """Ask the job to stop; whether it was running."""
        return bool(self._ask_cluster(lambda: self._client.stop_job(name)))

    async def follow_job(self, name: str, show: Callable[[str], None]) -> JobState:
        """Show the job's log as it grows, until its end. A lost connection is taken up again."""
        shown, heard = 0, time.monotonic()
        while True:
            seen = 0
            with contextlib.suppress(aiohttp.ClientError, RuntimeError, OSError):
                async for text in self._client.tail_job_logs(name):
                    fresh = text[max(0, shown - seen) :]
                    seen += len(text)
                    shown, heard = max(shown, seen), time.monotonic()
                    show(fresh)
            if (state := self._find_job_or_none(name)) is not None:
                heard = time.monotonic()
                if state.ended:
                    return state
            if time.monotonic() - heard > LOST_S:
                raise RefusedRun(f"{self._address} is silent; the job may go on, the same command follows it again")
            await asyncio.sleep(AGAIN_S)

    def _find_job_or_none(self, name: str) -> JobState | None:
        try:
            return self.find_job(name)
        except RefusedRun:
            return None

    def _ask_cluster(self, question: Callable[[], T]) -> T:
        """The cluster's answer, or one clear line why there is none."""
        try:
            return question()
        except AuthenticationError:
            how = "does not take this token" if self._token else "wants a token"
            raise RefusedRun(f"{self._address} {how}; see cluster.token_env and cluster.token_file") from None
        except (ConnectionError, RuntimeError, ValueError, requests.RequestException) as error:
            raise RefusedRun(f"{self._address} does not answer as a Ray dashboard ({type(error).__name__})") from None
