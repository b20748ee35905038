"""A Ray cluster that pretends to have GPUs, and replicas on it with a stand-in for the engine; prints what it saw.

The head has no GPU, two nodes have two each. A program of its own, since a process can hold one cluster only.
"""

import json
import tempfile
from typing import Any

import ray
from ray.cluster_utils import Cluster

from mics_ray.config import InternConfig
from mics_ray.models.types import Pictures, Reply, Request
from mics_ray.runtime.interns import cluster_nodes, start_replica
from mics_ray.runtime.placement import fits, needs
from mics_ray.runtime.replica import ReplicaSpec

INTERNS = {"wide": InternConfig(model="w", tensor_parallel=2), "narrow": InternConfig(model="n", replicas=2)}
TOO_WIDE = {"huge": InternConfig(model="h", tensor_parallel=3)}
TOO_MANY = {"many": InternConfig(model="m", replicas=5)}


class StubEngine:
    """Stands in for vLLM, which would need the GPUs to be real."""

    @classmethod
    async def start(cls, config: InternConfig, on_gpu: bool) -> "StubEngine":
        return cls()

    async def ask(self, request: Request, pictures: Pictures | None) -> Reply:
        return Reply("stub")

    async def probe(self) -> None:
        return None


def seen() -> dict[str, Any]:
    """Start the replicas and say where each is and what it sees."""
    wanted = needs(INTERNS, on_gpu=True)
    specs = [
        (ReplicaSpec(need.intern, n, INTERNS[need.intern], True, start=StubEngine.start), need)
        for need in wanted
        for n in range(need.replicas)
    ]
    handles = [start_replica(spec, need) for spec, need in specs]
    ray.get([handle.ready.remote() for handle in handles], timeout=120)
    facts = ray.get([handle.facts.remote() for handle in handles])
    return {
        "fits": fits(wanted, cluster_nodes()),
        "replicas": [[spec.name, one.node, one.gpus] for (spec, _), one in zip(specs, facts, strict=True)],
        "too wide": fits(needs(TOO_WIDE, on_gpu=True), cluster_nodes()),
        "too many": fits(needs(TOO_MANY, on_gpu=True), cluster_nodes()),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="mr", dir="/tmp") as folder:
        head = {"num_cpus": 1, "num_gpus": 0, "include_dashboard": False, "temp_dir": folder}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=4, num_gpus=2)
            ray.init(cluster.address, log_to_driver=False)
            print(json.dumps(seen()))
        finally:
            ray.shutdown()
            cluster.shutdown()
