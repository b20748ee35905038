"""Where intern replicas go: what each needs of a node, and whether the nodes can hold them all. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mics_ray.config import Engine, InternConfig


@dataclass(frozen=True, slots=True)
class Need:
    """``replicas`` of one intern; each takes ``gpus`` GPUs and ``cpus`` cores of a single node."""

    intern: str
    replicas: int
    gpus: int
    cpus: float

    @property
    def ray_options(self) -> dict[str, float]:
        """Resources for ``.options(...)``. One actor owns all GPUs of its replica, so Ray keeps them on one node."""
        return {"num_gpus": self.gpus, "num_cpus": self.cpus}


@dataclass(frozen=True, slots=True)
class Node:
    """What one machine of the cluster has."""

    name: str
    gpus: float
    cpus: float


def needs(interns: Mapping[str, InternConfig], on_gpu: bool) -> list[Need]:
    """What the interns served here need, in the order of the configuration; endpoints need nothing.

    Without GPUs a replica reserves nothing, so that any machine can hold the embedded interns.
    """
    served = [(name, config) for name, config in interns.items() if config.engine is Engine.vllm]
    if not on_gpu:
        return [Need(name, config.replicas, 0, 0.0) for name, config in served]
    return [Need(name, config.replicas, config.tensor_parallel, 1.0) for name, config in served]


def fits(wanted: Sequence[Need], nodes: Sequence[Node]) -> list[str]:
    """Problems in words, empty where everything can be placed: what is needed, what is there, the biggest node."""
    if not any(need.gpus for need in wanted):
        return []
    biggest = max(nodes, key=lambda node: node.gpus, default=Node("none", 0, 0))
    there = f"the cluster has {sum(node.gpus for node in nodes):g}, the biggest node ({biggest.name}) {biggest.gpus:g}"
    wide = [need for need in wanted if need.gpus > biggest.gpus]
    if wide:
        return [f"intern {need.intern} needs {need.gpus} GPUs on one node: {there}" for need in wide]
    if _placed(wanted, nodes):
        return []
    terms = " + ".join(f"{need.intern} {need.replicas} x {need.gpus}" for need in wanted)
    total = sum(need.replicas * need.gpus for need in wanted)
    return [f"interns need {total} GPUs ({terms}), each replica's on one node with a core to spare: {there}"]


def _placed(wanted: Sequence[Need], nodes: Sequence[Node]) -> bool:
    """Whether the widest-first filling of the fullest nodes finds room for every replica."""
    free = [[node.gpus, node.cpus] for node in nodes]
    each = [need for need in wanted for _ in range(need.replicas)]
    for need in sorted(each, key=lambda need: need.gpus, reverse=True):
        room = [node for node in free if node[0] >= need.gpus and node[1] >= need.cpus]
        if not room:
            return False
        best = min(room)
        best[0] -= need.gpus
        best[1] -= need.cpus
    return True
