"""A Ray cluster that pretends to have GPUs, and replicas on it with a stand-in for the engine; prints what it saw.

The head has one GPU, two nodes have two each, those of the second slices of an H100. A program of its own, since a
process can hold one cluster only.
"""

import json
import os
import tempfile
from typing import Any

import ray
from ray.cluster_utils import Cluster
from ray.util.placement_group import placement_group_table

from mics_ray.config.schema import InternDefaults, ModelConfig
from mics_ray.models.types import Pictures, Reply, Request
from mics_ray.runtime.serving.model_actors import cluster_nodes, reserve_pipeline, start_replica
from mics_ray.runtime.serving.placement import find_placement_problems, list_needs, place_replicas
from mics_ray.runtime.serving.replica import ReplicaSpec

INTERNS = {"wide": InternDefaults(model="w", tensor_parallel=2), "narrow": InternDefaults(model="n", replicas=2)}
SHARED = {"shared": InternDefaults(model="s", replicas=2, gpus=0.5)}
DEEP = {"deep": InternDefaults(model="d", pipeline_parallel=2)}
NAMED = {"named": InternDefaults(model="n", accelerator="H100")}
ABSENT = {"absent": InternDefaults(model="n", accelerator="B200")}
SLICES = ["MIG-5b3f9f4c-1f0e-5d1e-8d4e-0d6a2b1c9e77", "MIG-GPU-5b3f9f4c-1f0e-5d1e-8d4e-0d6a2b1c9e78/1/0"]
"""What SLURM puts into CUDA_VISIBLE_DEVICES where GPUs are cut into slices, in the form of either driver."""
TOO_WIDE = {"huge": InternDefaults(model="h", tensor_parallel=3)}
TOO_MANY = {"many": InternDefaults(model="m", replicas=5)}


class StubEngine:
    """Stands in for vLLM, which would need the GPUs to be real."""

    prompt_tokens = prefix_hits = 0

    @classmethod
    async def start(cls, config: ModelConfig, on_gpu: bool) -> "StubEngine":
        return cls()

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        return Reply("stub")

    async def probe(self) -> None:
        return None


def started(interns: dict[str, ModelConfig]) -> tuple[list[Any], list[list[str]]]:
    """Start all replicas; their handles, and intern, node and GPUs of each."""
    wanted = list_needs(interns, on_gpu=True)
    each = [need for need in wanted for _ in range(need.replicas)]
    handles = [
        start_replica(ReplicaSpec(need.entry, n, interns[need.entry], True, start=StubEngine.start), need, (), spot)
        for n, (need, spot) in enumerate(zip(each, place_replicas(wanted, cluster_nodes()) or [], strict=True))
    ]
    ray.get([handle.ready.remote() for handle in handles], timeout=120)
    facts = ray.get([handle.read_facts.remote() for handle in handles])
    return handles, [[need.entry, one.node, one.gpus] for need, one in zip(each, facts, strict=True)]


def seen() -> dict[str, Any]:
    """Start the replicas and say where each is and what it sees."""
    nodes = cluster_nodes()
    (head,) = (node.id for node in nodes if node.head)
    handles, first = started(INTERNS)
    for handle in handles:
        ray.kill(handle)
    handles, third = started(NAMED)
    ray.kill(handles[0])
    handles, second = started(SHARED)
    (deep,) = list_needs(DEEP, on_gpu=True)
    (spot,) = place_replicas([deep], nodes) or []
    group = reserve_pipeline(deep, spot)
    ray.get(group.ready(), timeout=60)
    return {
        "head": head,
        "fits": find_placement_problems(list_needs(INTERNS, on_gpu=True), nodes),
        "replicas": first,
        "shared": second,
        "named": third,
        "H100": [node.id for node in nodes if node.accelerators == ("H100",)],
        "absent": find_placement_problems(list_needs(ABSENT, on_gpu=True), nodes),
        "stages": list(placement_group_table(group)["bundles_to_node_id"].values()),
        "too wide": find_placement_problems(list_needs(TOO_WIDE, on_gpu=True), cluster_nodes()),
        "too many": find_placement_problems(list_needs(TOO_MANY, on_gpu=True), cluster_nodes()),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="mr", dir="/tmp") as folder:
        head = {"num_cpus": 1, "num_gpus": 1, "include_dashboard": False, "temp_dir": folder}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            cluster.add_node(num_cpus=4, num_gpus=2)
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(SLICES)
            cluster.add_node(num_cpus=4, num_gpus=2, resources={"accelerator_type:H100": 1})
            del os.environ["CUDA_VISIBLE_DEVICES"]
            ray.init(cluster.address, log_to_driver=False)
            print(json.dumps(seen()))
        finally:
            ray.shutdown()
            cluster.shutdown()
