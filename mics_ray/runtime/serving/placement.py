"""Where replicas go: what each needs of a node, and whether the nodes can hold them all. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mics_ray.config.schema import Engine, ModelConfig, replica_range

ACCELERATOR = "accelerator_type:"
"""Ray's resource of a node by the name of its GPUs: each node has one of it, and who is to run there takes a bit."""
ACCELERATOR_BIT = 0.001
ROUNDING = 1e-9
"""Shares of a GPU are added up in floating point; less than this is nothing."""


@dataclass(frozen=True, slots=True)
class ReplicaNeed:
    """``replicas`` of one entry at least, ``most`` as its queue grows (``None``: no more than those).

    A replica has ``stages``; each takes ``gpus`` GPUs (or a share of one) and ``cpus`` cores of a single node, whose
    GPUs are of the kind ``accelerator`` where one is named.
    """

    entry: str
    replicas: int
    gpus: float
    cpus: float
    most: int | None = None
    stages: int = 1
    accelerator: str | None = None

    @property
    def ray_options(self) -> dict[str, Any]:
        """Resources for ``.options(...)`` of a replica of one stage. One actor owns all its GPUs, so Ray keeps them on
        one node."""
        named = {"resources": self.accelerator_bit} if self.accelerator else {}
        return {"num_gpus": self.gpus, "num_cpus": self.cpus, **named}

    @property
    def accelerator_bit(self) -> dict[str, float]:
        """What keeps Ray, and its autoscaler, to nodes with these GPUs; nothing where any will do."""
        return {f"{ACCELERATOR}{self.accelerator}": ACCELERATOR_BIT} if self.accelerator else {}

    @property
    def limit(self) -> int:
        """The largest number of replicas."""
        return self.replicas if self.most is None else self.most

    @property
    def bundles(self) -> list[dict[str, float]]:
        """A pipeline's placement group: a stage's GPUs one by one, as vLLM takes them, the stages one after another."""
        bundle = {"GPU": 1.0, "CPU": self.cpus / self.gpus, **self.accelerator_bit}
        return [dict(bundle) for _ in range(int(self.gpus) * self.stages)]


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """What one machine of the cluster has; ``head`` runs the cluster's own services. ``accelerators`` are Ray's names
    of its GPUs: one, but for names that somebody gave a node besides."""

    name: str
    gpus: float
    cpus: float
    id: str = ""
    head: bool = False
    accelerators: tuple[str, ...] = ()

    def can_hold(self, need: ReplicaNeed) -> bool:
        """Whether its GPUs are of the kind that ``need`` asks for; how many are free is not looked at."""
        return need.accelerator is None or need.accelerator in self.accelerators


@dataclass(frozen=True, slots=True)
class Placement:
    """The place of one replica: the node of each of its stages; none for a replica that runs without GPUs."""

    entry: str
    nodes: tuple[ClusterNode, ...]


def list_accelerators(resources: Iterable[str]) -> tuple[str, ...]:
    """The names of a node's GPUs, of the names of its resources."""
    return tuple(sorted(name.removeprefix(ACCELERATOR) for name in resources if name.startswith(ACCELERATOR)))


def list_needs(entries: Mapping[str, ModelConfig], on_gpu: bool) -> list[ReplicaNeed]:
    """What the ``entries`` that are served here need, in their order; endpoints need nothing.

    Without GPUs a replica reserves nothing, so that any machine can hold the embedded models.
    """
    return [_entry_need(name, config, on_gpu) for name, config in entries.items() if config.engine is Engine.vllm]


def _entry_need(name: str, config: ModelConfig, on_gpu: bool) -> ReplicaNeed:
    count = replica_range(config.replicas)
    if not on_gpu:
        # No core either: the embedded models share two.
        return ReplicaNeed(name, count.min, 0, 0.0, count.max, accelerator=config.accelerator)
    gpus = config.tensor_parallel if config.gpus is None else config.gpus  # `gpus` is for shares of one
    return ReplicaNeed(name, count.min, gpus, 1.0, count.max, config.pipeline_parallel, config.accelerator)


def usable_nodes(nodes: Sequence[ClusterNode]) -> list[ClusterNode]:
    """The nodes that GPU work may go to: the head stays free of it where another node has GPUs."""
    others = [node for node in nodes if node.gpus and not node.head]
    return others or [node for node in nodes if node.gpus]  # a single machine is its own head


def find_placement_problems(wanted: Sequence[ReplicaNeed], nodes: Sequence[ClusterNode]) -> list[str]:
    """Problems in words, empty where everything can be placed: what is needed, what is there, the biggest node."""
    if on_cpus := [need for need in wanted if need.accelerator and not need.gpus]:
        return [f"{need.entry} asks for {need.accelerator}, and models run on CPUs here" for need in on_cpus]
    if place_replicas(wanted, nodes) is not None:
        return []
    named = any(need.accelerator for need in wanted)
    if wide := [need for need in wanted if need.gpus > _find_biggest(need, nodes).gpus]:
        return [
            f"{need.entry} needs {need.gpus:g} GPUs{_of_kind(need)} on one node: {_describe_nodes(need, nodes, named)}"
            for need in wide
        ]
    terms = " + ".join(f"{need.entry} {need.replicas} x {_describe_gpus(need)}{_of_kind(need)}" for need in wanted)
    total = sum(need.replicas * need.gpus * need.stages for need in wanted)
    there = _describe_nodes(ReplicaNeed("any", 1, 0, 0), nodes, named)
    return [f"the models need {total:g} GPUs ({terms}), each replica's on one node with a core to spare: {there}"]


def _find_biggest(need: ReplicaNeed, nodes: Sequence[ClusterNode]) -> ClusterNode:
    """The node with most GPUs of the kind that ``need`` asks for."""
    fitting = [node for node in usable_nodes(nodes) if node.can_hold(need)]
    return max(fitting, key=lambda node: node.gpus, default=ClusterNode("none", 0, 0))


def _describe_nodes(need: ReplicaNeed, nodes: Sequence[ClusterNode], named: bool) -> str:
    """What there is, by the names of GPUs where ``named``, and the biggest node for ``need``."""
    open_nodes, biggest = usable_nodes(nodes), _find_biggest(need, nodes)
    kinds: dict[str, float] = {}
    for node in open_nodes if named else ():
        name = "/".join(node.accelerators) or "of no name"
        kinds[name] = kinds.get(name, 0) + node.gpus
    there = f"the cluster has {sum(node.gpus for node in open_nodes):g}"
    there += f" ({', '.join(f'{gpus:g} {name}' for name, gpus in kinds.items())})" if kinds else ""
    there += f", the biggest node{_of_kind(need)} ({biggest.name}) {biggest.gpus:g}"
    kept = sum(node.gpus for node in nodes if node not in open_nodes)
    return f"{there}; {kept:g} of the head node stay free" if kept else there


def _of_kind(need: ReplicaNeed) -> str:
    return f" of {need.accelerator}" if need.accelerator else ""


def _describe_gpus(need: ReplicaNeed) -> str:
    return f"{need.stages} stages of {need.gpus:g}" if need.stages > 1 else f"{need.gpus:g}"


def place_replicas(wanted: Sequence[ReplicaNeed], nodes: Sequence[ClusterNode]) -> list[Placement] | None:
    """A place for the least number of replicas of each need, in their order. ``None`` when there is no room.

    Widest first, each stage on the fullest node that still has room; where that fails, first those that ask for a
    kind of GPU, which others may have taken from them.
    """
    # Widest first: a narrow replica fits into what is left, a wide one needs a node that nobody has broken into.
    placements = _place_in_order(wanted, nodes, lambda need: (False, -need.gpus))
    if placements is None and any(need.accelerator for need in wanted):
        return _place_in_order(wanted, nodes, lambda need: (need.accelerator is None, -need.gpus))
    return placements


def _place_in_order(
    wanted: Sequence[ReplicaNeed], nodes: Sequence[ClusterNode], order: Callable[[ReplicaNeed], tuple[bool, float]]
) -> list[Placement] | None:
    rooms = [_FreeNode(node) for node in usable_nodes(nodes)]
    each = [need for need in wanted for _ in range(need.replicas)]
    placements: dict[int, Placement] = {}
    for number in sorted(range(len(each)), key=lambda number: order(each[number])):
        found = _place_replica(each[number], rooms)
        if found is None:
            return None
        placements[number] = found
    return [placements[number] for number in range(len(each))]


def _place_replica(need: ReplicaNeed, rooms: Sequence["_FreeNode"]) -> Placement | None:
    """The place of one replica, taken at once."""
    stages = []
    for _ in range(need.stages if need.gpus else 0):
        fitting = [room for room in rooms if room.node.can_hold(need) and room.has_room(need)]
        if not fitting:
            return None
        # The fullest that has room: whole nodes stay free for wide replicas.
        best = min(fitting, key=lambda room: (sum(room.free), room.cpus))
        best.take_room(need)
        stages.append(best.node)
    return Placement(need.entry, tuple(stages))


class _FreeNode:
    """What is left of one node, GPU by GPU: a share of a GPU comes from a single one."""

    def __init__(self, node: ClusterNode) -> None:
        self.node, self.cpus = node, node.cpus
        gpus = round(node.gpus, 4)  # Ray counts in ten-thousandths
        self.free = [1.0] * int(gpus) + [gpus % 1] * (gpus % 1 > 0)

    def has_room(self, need: ReplicaNeed) -> bool:
        """Whether one stage of ``need`` has room."""
        return self.cpus + ROUNDING >= need.cpus and len(self._pick_gpus(need)) == max(1, int(need.gpus))

    def take_room(self, need: ReplicaNeed) -> None:
        """Give room to one stage of ``need``."""
        self.cpus -= need.cpus
        for number in self._pick_gpus(need):
            self.free[number] -= min(need.gpus, 1.0)

    def _pick_gpus(self, need: ReplicaNeed) -> list[int]:
        """The GPUs of one stage: of a share the fullest that has room, else whole ones."""
        each = min(need.gpus, 1.0)
        room = [number for number, free in enumerate(self.free) if free + ROUNDING >= each]
        return sorted(room, key=lambda number: self.free[number])[: max(1, int(need.gpus))]
