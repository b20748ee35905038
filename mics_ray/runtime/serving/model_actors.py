"""Models served on the cluster: starting their replicas on GPUs, and the way from a search worker to them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray._private.state import available_resources_per_node
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup, placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from mics_ray.assemble.locations import list_models, list_served, resolve_embedded
from mics_ray.config.keys import list_key_names
from mics_ray.config.schema import Config, ModelConfig
from mics_ray.errors import RefusedRun
from mics_ray.models.engine.vllm_settings import engine_args, is_cpu_build
from mics_ray.models.types import Pictures, Request
from mics_ray.runtime.serving.autoscaler import find_addable_nodes, request_nodes
from mics_ray.runtime.serving.picture_refs import PictureRefs
from mics_ray.runtime.serving.placement import (
    ClusterNode,
    Placement,
    ReplicaNeed,
    find_placement_problems,
    list_accelerators,
    list_needs,
    place_replicas,
    usable_nodes,
)
from mics_ray.runtime.serving.replica import ModelReplica, ReplicaSpec, secret_names
from mics_ray.runtime.serving.replica_state import ReplicaAnswer, ReplicaDown, StartFailed
from mics_ray.runtime.serving.router import Router
from mics_ray.runtime.serving.weights import read_hub_variables

HEAD, NODE_ID = "node:__internal_head__", "ray.io/node-id"
"""Ray's resource that only the head node has, and its label with a node's id."""
MAX_CONCURRENCY = 1000
"""Calls that one replica holds open; the engine's own queue does the rest."""


def plan_placement(config: Config) -> tuple[list[ReplicaNeed], bool]:
    """What the models served here take of the cluster, and whether they run on GPUs.

    Their least number must fit, on what is there or on what an autoscaler can add. Raises :class:`RefusedRun`.
    """
    nodes = cluster_nodes()
    nodes += find_addable_nodes(nodes)  # those that an autoscaler would add: a run may begin before they are there
    on_gpu = has_gpus(nodes)
    served = list_served(config)
    wanted = list_needs(served, on_gpu)
    if problems := _find_setting_problems(served, on_gpu) + find_placement_problems(wanted, nodes):
        raise RefusedRun("; ".join(problems))
    return wanted, on_gpu


def has_gpus(nodes: Sequence[ClusterNode]) -> bool:
    """Whether the engines run on GPUs: of what is installed here, and of the cluster's nodes."""
    return not is_cpu_build() and any(node.gpus for node in nodes)


def start_replicas(config: Config, cache_folder: str | None, log_folder: str | None) -> dict[str, list[Any]]:
    """Start every replica that vLLM serves, and return their handles by entry at once; their ``ready()`` takes long.

    Raises :class:`RefusedRun` when the cluster cannot hold them or a model's settings are not allowed.
    """
    wanted, on_gpu = plan_placement(config)
    placements = place_replicas(wanted, cluster_nodes()) if on_gpu else None
    if placements is None:  # no room at the moment, or no GPU needed; Ray starts them where and when it can
        request_nodes(wanted)
    free = iter(placements or [])
    secrets = list_key_variables(config)
    return {
        need.entry: [
            start_replica(
                replica_spec(config, need, number, on_gpu, cache_folder, log_folder), need, secrets, next(free, None)
            )
            for number in range(need.replicas)
        ]
        for need in wanted
    }


def list_key_variables(config: Config) -> list[str]:
    """The names of the variables that hold keys; replicas must not have them."""
    return [name for entry in list_models(config).values() for name in list_key_names(entry)]


def replica_spec(
    config: Config, need: ReplicaNeed, number: int, on_gpu: bool, cache_folder: str | None, log_folder: str | None
) -> ReplicaSpec:
    """What a replica is made from; ``number`` names its files."""
    entry = list_served(config)[need.entry]
    entry = replace(entry, model=resolve_embedded(entry.model))
    return ReplicaSpec(need.entry, number, entry, on_gpu, cache_folder, log_folder)


def _find_setting_problems(served: Mapping[str, ModelConfig], on_gpu: bool) -> list[str]:
    """What is wrong with the settings of the models that are ``served``, in words."""
    problems = []
    for name, entry in served.items():
        try:
            engine_args(entry, on_gpu)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    return problems


def start_replica(
    spec: ReplicaSpec,
    need: ReplicaNeed,
    secrets: Iterable[str] = (),
    placement: Placement | None = None,
    group: PlacementGroup | None = None,
) -> Any:
    """Start one replica and return its actor handle at once. ``secrets`` are names of variables it must not have.

    It goes to ``placement``; when that node is lost, wherever there is room. A pipeline's stages go into ``group``.
    """
    options: dict[str, Any] = {
        "max_restarts": -1,  # a replica ends its own process when its engine is beyond repair
        "max_task_retries": 0,  # the router decides what is asked again, and where
        "max_concurrency": MAX_CONCURRENCY,
        "runtime_env": build_environment(secrets),
        **_scheduling_options(need, placement, group),
    }
    return ray.remote(ModelReplica).options(**options).remote(spec)


def build_environment(secrets: Iterable[str]) -> dict[str, Any]:
    """Ray's ``runtime_env`` of processes that read or serve a model; ``secrets`` are variables they must not have."""
    # Blank from the start of the process; `ModelReplica` then removes them.
    return {"env_vars": dict.fromkeys(secret_names(os.environ, secrets), "") | read_hub_variables()}


def _scheduling_options(need: ReplicaNeed, placement: Placement | None, group: PlacementGroup | None) -> dict[str, Any]:
    """Ray's options that bring a replica to its place."""
    if need.stages > 1 and need.gpus:
        # The engine's own workers take the GPUs of the group; the actor only leads them, on the first stage's node.
        strategy = PlacementGroupSchedulingStrategy(group or reserve_pipeline(need, placement), 0, True)
        return {"num_gpus": 0, "num_cpus": 0, "scheduling_strategy": strategy}
    if placement is not None and placement.nodes:
        return {
            **need.ray_options,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(placement.nodes[0].id, soft=True),
        }
    return need.ray_options


def reserve_pipeline(need: ReplicaNeed, placement: Placement | None) -> PlacementGroup:
    """The placement group of a replica of several stages.

    vLLM takes GPUs one by one, so a stage of several is held together by its node's id; such a group waits for that
    node when it is lost. Stages of one GPU go where there is room, the head kept free.
    """
    nodes = cluster_nodes()
    # A head that is itself usable is the only node with GPUs: then there is nothing to keep free.
    heads = [node.id for node in nodes if node.head and node not in usable_nodes(nodes)]
    anywhere = {NODE_ID: f"!{heads[0]}"} if heads else {}
    if placement is None or need.gpus == 1:
        return placement_group(need.bundles, "PACK", bundle_label_selector=[anywhere] * len(need.bundles))
    pinned = [{NODE_ID: node.id} for node in placement.nodes for _ in range(int(need.gpus))]
    return placement_group(need.bundles, "PACK", bundle_label_selector=pinned)


def cluster_nodes() -> list[ClusterNode]:
    """The live machines of the cluster that Ray is connected to."""
    return [_parse_node(node, node["Resources"]) for node in ray.nodes() if node["Alive"]]


def free_nodes() -> list[ClusterNode]:
    """The same machines with what nobody uses at the moment."""
    free = available_resources_per_node()
    return [_parse_node(node, free.get(node["NodeID"], {})) for node in ray.nodes() if node["Alive"]]


def _parse_node(node: Mapping[str, Any], resources: Mapping[str, float]) -> ClusterNode:
    gpus, cpus = resources.get("GPU", 0.0), resources.get("CPU", 0.0)
    kinds = list_accelerators(node["Resources"])
    return ClusterNode(node["NodeManagerHostname"], gpus, cpus, node["NodeID"], HEAD in node["Resources"], kinds)


@dataclass(frozen=True, slots=True)
class RayReplica:
    """The router's :class:`~mics_ray.runtime.serving.router.Replica` on an actor handle."""

    handle: Any
    pictures: PictureRefs

    async def ready(self) -> None:
        """See the protocol."""
        await _await_reply(self.handle.ready.remote())

    async def generate(self, requests: Sequence[Request], pictures: Pictures | None) -> list[ReplicaAnswer]:
        """See the protocol."""
        reference = self.pictures.put_once(pictures)
        shown = [] if reference is None else [reference]
        answers: list[ReplicaAnswer] = await _await_reply(self.handle.generate.remote(list(requests), shown))
        return answers

    async def probe(self) -> None:
        """See the protocol."""
        await _await_reply(self.handle.probe.remote())

    async def replace(self) -> None:
        """See the protocol."""
        ray.kill(self.handle, no_restart=False)  # a hung process answers no request to end itself


async def _await_reply(reference: Any) -> Any:
    """Await a reply; every error of Ray's, and every error raised in the actor, is the replica's."""
    try:
        return await reference
    except RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, RefusedRun):
            raise StartFailed(str(cause)) from None
        raise ReplicaDown(type(error).__name__) from None  # its text may quote a prompt


def connect_routers(replicas: Mapping[str, Sequence[Any]], pictures: PictureRefs) -> dict[str, Router]:
    """A router for each model from its actor handles; call it in the process that will ask."""
    return {name: Router(name, remote_replicas(handles, pictures)) for name, handles in replicas.items()}


def remote_replicas(handles: Sequence[Any], pictures: PictureRefs) -> list[RayReplica]:
    """The router's view of actor handles; equal handles are equal replicas."""
    return [RayReplica(handle, pictures) for handle in handles]
