"""Whether the models that are served here can be: looked at on the nodes that would serve them, nothing loaded."""

import socket
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mics_ray.assemble.locations import list_served, resolve_embedded
from mics_ray.config.schema import Config, ModelConfig
from mics_ray.errors import RefusedRun
from mics_ray.models.engine.checkpoint import check_checkpoint
from mics_ray.models.engine.hub import is_hub_id
from mics_ray.models.engine.vllm_settings import engine_args
from mics_ray.runtime.serving.fetching import choose_token
from mics_ray.runtime.serving.model_actors import build_environment, cluster_nodes, list_key_variables
from mics_ray.runtime.serving.placement import ClusterNode, ReplicaNeed, place_replicas, usable_nodes
from mics_ray.runtime.serving.weights import Copy, start_fetch


def check_models(config: Config, wanted: Sequence[ReplicaNeed], on_gpu: bool) -> list[str]:
    """Look at the files of every model that is ``wanted`` on each node that would serve it.

    Returns the entries whose nodes are not there yet. Raises :class:`RefusedRun` that names entry, node and problem.
    """
    nodes, by_node = cluster_nodes(), defaultdict[str, dict[str, ModelConfig]](dict)
    for need in wanted:
        entry = list_served(config)[need.entry]
        for node in list_serving_nodes(need, wanted, nodes, on_gpu):
            by_node[node.id][need.entry] = replace(entry, model=resolve_embedded(entry.model))
    environment = build_environment(list_key_variables(config))
    look = ray.remote(list_model_problems)
    # One process a node: to start one takes longer than to look at the files.
    asked = [
        look.options(
            num_cpus=0,
            max_retries=0,
            runtime_env=environment,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        ).remote(entries, on_gpu)
        for node, entries in by_node.items()
    ]
    try:
        problems = [problem for found in ray.get(asked) for problem in found] + _look_at_hub(config, by_node)
    except RayError as error:
        raise RefusedRun(f"a node that would serve cannot be looked at ({type(error).__name__})") from None
    if problems:
        raise RefusedRun("; ".join(problems))
    seen = {name for entries in by_node.values() for name in entries}
    return [need.entry for need in wanted if need.entry not in seen]


def _look_at_hub(config: Config, by_node: Mapping[str, Mapping[str, ModelConfig]]) -> list[str]:
    """What is wrong with models of the hub, as far as their small files tell.

    This node begins to fetch them; where it cannot, those that would serve them may have them, or fetch for themselves.
    """
    own, token = ray.get_runtime_context().get_node_id(), choose_token(config)
    problems: list[str] = []
    for name, entry in list_served(config).items():
        if not is_hub_id(entry.model):
            continue
        nodes = [node for node, entries in by_node.items() if name in entries]
        found: list[Copy] = ray.get([start_fetch(own, entry, whole=False, token=token)])
        if found[0].refusal and nodes and own not in nodes:
            found = ray.get([start_fetch(node, entry, whole=False) for node in nodes])
        problems += [f"{name} on {one.node}: {one.refusal}" for one in found if one.refusal]
    return problems


def list_model_problems(entries: Mapping[str, ModelConfig], on_gpu: bool) -> list[str]:
    """Why this machine cannot serve some of ``entries``, as far as their files tell."""
    problems = []
    for name, entry in entries.items():
        try:
            if not is_hub_id(entry.model):
                check_checkpoint(entry.model, entry.revision, entry.processor_kwargs)
            engine_args(entry, on_gpu)
        except (RefusedRun, ValueError) as error:
            problems.append(f"{name} on {socket.gethostname()}: {error}")
    return problems


def list_serving_nodes(
    need: ReplicaNeed, wanted: Sequence[ReplicaNeed], nodes: Sequence[ClusterNode], on_gpu: bool
) -> list[ClusterNode]:
    """Where replicas of ``need`` would run: their places where there is room, else every node that may hold them."""
    if not on_gpu:
        return list(nodes)
    if (placements := place_replicas(wanted, nodes)) is None:
        return [node for node in usable_nodes(nodes) if node.can_hold(need)]
    return list({node.id: node for one in placements if one.entry == need.entry for node in one.nodes}.values())
