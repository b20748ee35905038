"""The models of a job as actors: every job's driver starts them, each process that asks connects to them."""

import asyncio
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from mics_ray.assemble.locations import group_by_provider
from mics_ray.config.schema import Config
from mics_ray.models.replies.closing import tidy_folder
from mics_ray.models.types import Model
from mics_ray.runtime.driver.remote_endpoint import RemoteEndpoint
from mics_ray.runtime.serving.model_actors import connect_routers, remote_replicas, start_replicas
from mics_ray.runtime.serving.picture_refs import PictureRefs
from mics_ray.runtime.serving.router import Router

StartReplicas = Callable[[Config, str, str], Mapping[str, list[Any]]]
"""Starts what is served here, from the configuration, the folder of replies and the log folder: handles by entry."""
DRAIN_S = 15.0
"""How long paid calls in flight may take to be answered and stored when a job ends or is stopped."""
ANSWER_S = 2.0
"""How long endpoints may take to tell what they counted."""


@dataclass(frozen=True, slots=True)
class ActorHandles:
    """The actors that a job works with: endpoints by provider, replicas by entry, the writer where there is one."""

    endpoints: Mapping[str, Any]
    replicas: Mapping[str, list[Any]]
    writer: Any = None


def start_models(
    config: Config,
    cache_folder: str,
    log_folder: str,
    replicas: StartReplicas = start_replicas,
    budget_usd: float | None = None,
    max_gb: float | None = None,
    proven: Container[str] = (),
) -> ActorHandles:
    """Start the actors of every model of ``config`` and return at once; the replicas' ``ready()`` takes long.

    ``proven`` are the providers that have answered the probe. The caller holds the job's folder.

    Raises :class:`~mics_ray.errors.RefusedRun` when the cluster cannot hold the replicas.
    """
    # Here: a search worker connects to endpoints only, and their HTTP client takes half a second of CPU to load.
    from mics_ray.runtime.driver.endpoint_actor import ENDPOINT, start_endpoint

    tidy_folder(Path(cache_folder))
    endpoints = {
        provider: start_endpoint(entries, cache_folder, f"{ENDPOINT}{number}", budget_usd, max_gb, provider in proven)
        for number, (provider, entries) in enumerate(group_by_provider(config).items())
    }
    return ActorHandles(endpoints, replicas(config, cache_folder, log_folder))


def read_waiting(handles: ActorHandles) -> dict[str, float]:
    """Seconds that the calls of each entry waited for a permit; of providers that answer."""
    asked = [endpoint.read_waiting.remote() for endpoint in handles.endpoints.values()]
    waited: dict[str, float] = {}
    with suppress(RayError):
        for one in ray.get(ray.wait(asked, num_returns=len(asked), timeout=ANSWER_S)[0]) if asked else []:
            waited |= one
    return waited


class ModelClients:
    """One process' connections to the models. They keep track of the calls in flight, so a process has one object."""

    def __init__(self, config: Config) -> None:
        self._config = config
        # Shared: a case's pictures are put into the object store once, whichever models look at them.
        self._pictures = PictureRefs()
        self._endpoints: dict[str, Model] = {}
        self._routers: dict[str, Router] = {}

    def connect(self, handles: ActorHandles) -> None:
        """Connect to the actors; only the first call does anything, as the calls in flight are bound to its handles."""
        if self._endpoints or self._routers:
            return
        for provider, entries in group_by_provider(self._config).items():
            endpoint = RemoteEndpoint(handles.endpoints[provider], self._pictures)
            self._endpoints |= dict.fromkeys(entries, endpoint)
        self._routers = connect_routers(handles.replicas, self._pictures)

    def bind_case(self, case_id: str) -> dict[str, Model]:
        """Every model by its name, for the calls of one case."""
        return self._endpoints | {name: router.bind_case(case_id) for name, router in self._routers.items()}

    def count_queued(self) -> dict[str, int]:
        """Requests without an answer yet, by entry."""
        return {name: router.queued for name, router in self._routers.items()}

    async def update_replicas(self, replicas: Mapping[str, list[Any]]) -> None:
        """Send calls to these replicas from here on; returns when those left out have answered everything."""
        views = {name: remote_replicas(handles, self._pictures) for name, handles in replicas.items()}
        await asyncio.gather(*(router.update_replicas(views[name]) for name, router in self._routers.items()))
