"""Where intern replicas go: what each needs of a node, and whether the nodes can hold them all. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mics_ray.config.schema import Engine, ModelConfig, replica_range

CRUMB = 1e-9
"""Shares of a GPU are added up in floating point; less than this is nothing."""


@dataclass(frozen=True, slots=True)
class Need:
    """``replicas`` of one intern at least, ``most`` as its queue grows (``None``: no more than those).

    A replica has ``stages``; each takes ``gpus`` GPUs (or a share of one) and ``cpus`` cores of a single node.
    """

    intern: str
    replicas: int
    gpus: float
    cpus: float
    most: int | None = None
    stages: int = 1

    @property
    def ray_options(self) -> dict[str, float]:
        """Resources for ``.options(...)`` of a replica of one stage. One actor owns all its GPUs, so Ray keeps them on
        one node."""
        return {"num_gpus": self.gpus, "num_cpus": self.cpus}

    @property
    def limit(self) -> int:
        """The largest number of replicas."""
        return self.replicas if self.most is None else self.most

    @property
    def bundles(self) -> list[dict[str, float]]:
        """A pipeline's placement group: a stage's GPUs one by one, as vLLM takes them, the stages one after another."""
        return [{"GPU": 1.0, "CPU": self.cpus / self.gpus} for _ in range(int(self.gpus) * self.stages)]


@dataclass(frozen=True, slots=True)
class Node:
    """What one machine of the cluster has; ``head`` runs the cluster's own services."""

    name: str
    gpus: float
    cpus: float
    id: str = ""
    head: bool = False


@dataclass(frozen=True, slots=True)
class Spot:
    """The place of one replica: the node of each of its stages; none for a replica that runs without GPUs."""

    intern: str
    nodes: tuple[Node, ...]


def needs(interns: Mapping[str, ModelConfig], on_gpu: bool) -> list[Need]:
    """What the interns served here need, in the order of the configuration; endpoints need nothing.

    Without GPUs a replica reserves nothing, so that any machine can hold the embedded interns.
    """
    return [_need(name, config, on_gpu) for name, config in interns.items() if config.engine is Engine.vllm]


def _need(name: str, config: ModelConfig, on_gpu: bool) -> Need:
    count = replica_range(config.replicas)
    if not on_gpu:
        return Need(name, count.min, 0, 0.0, count.max)
    gpus = config.tensor_parallel if config.gpus is None else config.gpus
    return Need(name, count.min, gpus, 1.0, count.max, config.pipeline_parallel)


def usable(nodes: Sequence[Node]) -> list[Node]:
    """The nodes that GPU work may go to: the head stays free of it where another node has GPUs."""
    others = [node for node in nodes if node.gpus and not node.head]
    return others or [node for node in nodes if node.gpus]


def fits(wanted: Sequence[Need], nodes: Sequence[Node]) -> list[str]:
    """Problems in words, empty where everything can be placed: what is needed, what is there, the biggest node."""
    if not any(need.gpus for need in wanted) or place(wanted, nodes) is not None:
        return []
    open_nodes = usable(nodes)
    biggest = max(open_nodes, key=lambda node: node.gpus, default=Node("none", 0, 0))
    there = f"the cluster has {sum(node.gpus for node in open_nodes):g}, the biggest node ({biggest.name}) "
    there += f"{biggest.gpus:g}"
    if kept := sum(node.gpus for node in nodes if node not in open_nodes):
        there += f"; {kept:g} of the head node stay free"
    wide = [need for need in wanted if need.gpus > biggest.gpus]
    if wide:
        return [f"intern {need.intern} needs {need.gpus:g} GPUs on one node: {there}" for need in wide]
    terms = " + ".join(f"{need.intern} {need.replicas} x {_shape(need)}" for need in wanted)
    total = sum(need.replicas * need.gpus * need.stages for need in wanted)
    return [f"interns need {total:g} GPUs ({terms}), each replica's on one node with a core to spare: {there}"]


def _shape(need: Need) -> str:
    return f"{need.stages} stages of {need.gpus:g}" if need.stages > 1 else f"{need.gpus:g}"


def place(wanted: Sequence[Need], nodes: Sequence[Node]) -> list[Spot] | None:
    """A place for the least number of replicas of each need, in their order. ``None`` when there is no room.

    Widest first, each stage on the fullest node that still has room.
    """
    rooms = [_Room(node) for node in usable(nodes)]
    each = [need for need in wanted for _ in range(need.replicas)]
    spots: dict[int, Spot] = {}
    for number in sorted(range(len(each)), key=lambda number: -each[number].gpus):
        found = _seat(each[number], rooms)
        if found is None:
            return None
        spots[number] = found
    return [spots[number] for number in range(len(each))]


def _seat(need: Need, rooms: Sequence["_Room"]) -> Spot | None:
    """The place of one replica, taken at once."""
    stages = []
    for _ in range(need.stages if need.gpus else 0):
        fitting = [room for room in rooms if room.holds(need)]
        if not fitting:
            return None
        best = min(fitting, key=lambda room: (sum(room.free), room.cpus))
        best.take(need)
        stages.append(best.node)
    return Spot(need.intern, tuple(stages))


class _Room:
    """What is left of one node, GPU by GPU: a share of a GPU comes from a single one."""

    def __init__(self, node: Node) -> None:
        self.node, self.cpus = node, node.cpus
        gpus = round(node.gpus, 4)  # Ray counts in ten-thousandths
        self.free = [1.0] * int(gpus) + [gpus % 1] * (gpus % 1 > 0)

    def holds(self, need: Need) -> bool:
        """Whether one stage of ``need`` has room."""
        return self.cpus + CRUMB >= need.cpus and len(self._pick(need)) == max(1, int(need.gpus))

    def take(self, need: Need) -> None:
        """Give room to one stage of ``need``."""
        self.cpus -= need.cpus
        for number in self._pick(need):
            self.free[number] -= min(need.gpus, 1.0)

    def _pick(self, need: Need) -> list[int]:
        """The GPUs of one stage: of a share the fullest that has room, else whole ones."""
        each = min(need.gpus, 1.0)
        room = [number for number, free in enumerate(self.free) if free + CRUMB >= each]
        return sorted(room, key=lambda number: self.free[number])[: max(1, int(need.gpus))]
