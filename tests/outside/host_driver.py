"""Program of ``test_hosts``: a generation job whose interns stand on hosts that are named by their addresses.

``host_driver.py '{"INTERN": "ADDRESS", …}' override …``; else it is ``scripts/generate.py``, exit code included.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import ray

from mics_ray.assemble.checks import check_job
from mics_ray.assemble.probe import probe_models
from mics_ray.command_line import run_program
from mics_ray.config.compose import compose_config
from mics_ray.config.schema import Config
from mics_ray.jobs.generation import prepare_generation
from mics_ray.runtime.driver.cluster import join_cluster
from mics_ray.runtime.driver.model_clients import StartReplicas
from mics_ray.runtime.driver.run import search_job
from mics_ray.runtime.monitor.logs import log_into_folder
from mics_ray.runtime.monitor.progress import Progress
from mics_ray.runtime.serving.model_actors import (
    cluster_nodes,
    list_key_variables,
    plan_placement,
    replica_spec,
    start_replica,
)
from mics_ray.runtime.serving.placement import ClusterNode, Placement

ATTEMPTS = 10


def node_at(address: str) -> ClusterNode:
    """The live node of the cluster with this address."""
    (found,) = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeManagerAddress"] == address]
    (node,) = [node for node in cluster_nodes() if node.id == found]
    return node


def pinned(addresses: Mapping[str, str]) -> StartReplicas:
    """Start each intern's replica on its host; Ray restarts it elsewhere when the host is lost."""

    def start(config: Config, cache: str | None, logs: str | None) -> dict[str, list[Any]]:
        wanted, on_gpu = plan_placement(config)
        started: dict[str, list[Any]] = {}
        for need in wanted:
            made, node = replica_spec(config, need, 0, on_gpu, cache, logs), node_at(addresses[need.entry])
            started[need.entry] = [_on(node, lambda made=made, need=need, node=node: start_replica(
                made, need, list_key_variables(config), Placement(need.entry, (node,))
            ))]  # fmt: skip
            print("intern", need.entry, "at", addresses[need.entry], flush=True)
        return started

    return start


def _on(node: ClusterNode, start: Callable[[], Any]) -> Any:
    """The actor that ``start`` starts, on ``node``: a wish that Ray may pass over while it gets to know nodes."""
    for _ in range(ATTEMPTS):
        handle = start()
        if ray.get(handle.read_facts.remote()).node == node.id:
            return handle
        ray.kill(handle)
    raise RuntimeError(f"Ray does not start actors on {node.name}")


def run(config: Config, addresses: Mapping[str, str]) -> int:
    """Check, probe, search; returns the exit code."""
    check_job(config)
    with prepare_generation(config) as job:
        log_into_folder(job.folder.logs, "driver")
        asyncio.run(probe_models(config))
        with join_cluster(config.ray):
            end = search_job(job, Progress(), pinned(addresses))
    print("ended", end.code, end.message, flush=True)
    return end.code


def main() -> int:
    """Read the command line."""
    addresses, overrides = json.loads(sys.argv[1]), sys.argv[2:]
    return run_program(lambda: run(compose_config(overrides), addresses))


if __name__ == "__main__":
    sys.exit(main())
