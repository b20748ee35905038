"""Interns on the cluster: starting their replicas on GPUs, and the way from a search worker to them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import RayError

from mics_ray.assemble import embedded
from mics_ray.config import Config, InternConfig
from mics_ray.errors import RefusedRun
from mics_ray.models.types import Pictures, Request
from mics_ray.models.vllm_engine import cpu_build, engine_args
from mics_ray.runtime.pictures import PictureRefs
from mics_ray.runtime.placement import Need, Node, fits, needs
from mics_ray.runtime.replica import InternReplica, ReplicaSpec, secret_names
from mics_ray.runtime.router import Answer, ReplicaDown, Router

MAX_CONCURRENCY = 1000
"""Calls that one replica holds open; the engine's own queue does the rest."""


def places(config: Config) -> tuple[list[Need], bool]:
    """What the interns served here take of the cluster, and whether they run on GPUs. Raises :class:`RefusedRun`."""
    nodes = cluster_nodes()
    on_gpu = not cpu_build() and any(node.gpus for node in nodes)
    wanted = needs(config.interns, on_gpu)
    interns = {need.intern: config.interns[need.intern] for need in wanted}
    if problems := _settings(interns, on_gpu) + fits(wanted, nodes):
        raise RefusedRun("; ".join(problems))
    return wanted, on_gpu


def start_interns(config: Config, cache_folder: str | None, log_folder: str | None) -> dict[str, list[Any]]:
    """Start every replica that vLLM serves, and return their handles by intern at once; their ``ready()`` takes long.

    Raises :class:`RefusedRun` when the cluster cannot hold them or an intern's settings are not allowed.
    """
    wanted, on_gpu = places(config)
    endpoints = [config.judge, *config.mentors.values()]
    keys = [entry.api_key_env for entry in endpoints] + [intern.api_key_env for intern in config.interns.values()]
    secrets = [name for name in keys if name]
    started: dict[str, list[Any]] = {}
    for need in wanted:
        intern = config.interns[need.intern]
        intern = replace(intern, model=embedded(intern.model))
        specs = [ReplicaSpec(need.intern, n, intern, on_gpu, cache_folder, log_folder) for n in range(need.replicas)]
        started[need.intern] = [start_replica(spec, need, secrets) for spec in specs]
    return started


def _settings(interns: Mapping[str, InternConfig], on_gpu: bool) -> list[str]:
    """What is wrong with the interns' settings, in words."""
    problems = []
    for name, intern in interns.items():
        try:
            engine_args(intern, on_gpu)
        except ValueError as error:
            problems.append(f"interns.{name}: {error}")
    return problems


def start_replica(spec: ReplicaSpec, need: Need, secrets: Iterable[str] = ()) -> Any:
    """Start one replica and return its actor handle at once. ``secrets`` are names of variables it must not have."""
    options: dict[str, Any] = {
        "max_restarts": -1,
        "max_task_retries": 0,
        "max_concurrency": MAX_CONCURRENCY,
        # Blank from the start of the process; `InternReplica` then removes them.
        "runtime_env": {"env_vars": dict.fromkeys(secret_names(os.environ, secrets), "")},
        **need.ray_options,
    }
    return ray.remote(InternReplica).options(**options).remote(spec)


def cluster_nodes() -> list[Node]:
    """The live machines of the cluster that Ray is connected to."""
    return [
        Node(node["NodeManagerHostname"], node["Resources"].get("GPU", 0.0), node["Resources"].get("CPU", 0.0))
        for node in ray.nodes()
        if node["Alive"]
    ]


@dataclass(frozen=True, slots=True)
class RayReplica:
    """The router's :class:`~mics_ray.runtime.router.Replica` on an actor handle."""

    handle: Any
    pictures: PictureRefs

    async def ready(self) -> None:
        """See the protocol."""
        await _call(self.handle.ready.remote())

    async def ask_many(self, requests: Sequence[Request], pictures: Pictures | None) -> list[Answer]:
        """See the protocol."""
        reference = self.pictures.ref(pictures)
        shown = [] if reference is None else [reference]
        answers: list[Answer] = await _call(self.handle.ask_many.remote(list(requests), shown))
        return answers

    async def probe(self) -> None:
        """See the protocol."""
        await _call(self.handle.probe.remote())

    async def replace(self) -> None:
        """See the protocol."""
        ray.kill(self.handle, no_restart=False)


async def _call(reference: Any) -> Any:
    """Await a reply; every error of Ray's, and every error raised in the actor, is the replica's."""
    try:
        return await reference
    except RayError as error:
        raise ReplicaDown(type(error).__name__) from None


def connect(replicas: Mapping[str, Sequence[Any]], pictures: PictureRefs) -> dict[str, Router]:
    """A router for each intern from its actor handles; call it in the process that will ask."""
    return {name: Router(name, [RayReplica(one, pictures) for one in handles]) for name, handles in replicas.items()}
