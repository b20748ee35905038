"""What an autoscaler can add to the cluster, and asking it for it. Ray has no public call for the first.

A cluster states its groups of nodes to Ray itself (the cluster configuration in its control store), or was started by
Ray's cluster launcher, which leaves its file on the head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ray._private.state import state

from mics_ray.runtime.serving.placement import ClusterNode, ReplicaNeed, list_accelerators

LAUNCHER_FILE = Path("~/ray_bootstrap_config.yaml")
UNLIMITED_NODES = 256
"""Nodes of a group without a limit."""


@dataclass(frozen=True, slots=True)
class Group:
    """A kind of node: its name, GPUs and cores of one, how many there may be, and Ray's names of the GPUs."""

    name: str
    gpus: float
    cpus: float
    most: int
    accelerators: tuple[str, ...] = ()

    def is_size_of(self, node: ClusterNode) -> bool:
        """Whether ``node`` could be one of the group. A live one knows its GPUs' name, a group need not say it."""
        same = (node.gpus, node.cpus) == (self.gpus, self.cpus)
        return same and set(self.accelerators) <= set(node.accelerators)


def find_addable_nodes(live: Sequence[ClusterNode]) -> list[ClusterNode]:
    """The nodes that an autoscaler may still add to those that are ``live``; none without an autoscaler."""
    return list_missing_nodes(_read_cluster_config() or read_launcher_file(LAUNCHER_FILE.expanduser()), live)


def list_missing_nodes(groups: Sequence[Group], live: Sequence[ClusterNode]) -> list[ClusterNode]:
    """What is missing of each group; a live node is one of the group whose size it has."""
    # By size: Ray does not say which group a live node belongs to.
    there = {group: sum(group.is_size_of(node) for node in live if not node.head) for group in groups}
    return [
        ClusterNode(
            f"{group.name} (by the autoscaler)",
            group.gpus,
            group.cpus,
            f"{group.name}-{number}",
            False,
            group.accelerators,
        )
        for group in groups
        for number in range(group.most - there[group])
    ]


def read_launcher_file(file: Path) -> list[Group]:
    """The groups of the cluster launcher's ``file``; none where there is no such file."""
    if not file.is_file():
        return []
    config = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    head = config.get("head_node_type")
    groups: Mapping[str, Mapping[str, Any]] = config.get("available_node_types", {})
    return [
        _parse_group(name, group.get("resources", {}), group.get("max_workers", 0))
        for name, group in groups.items()
        if name != head  # it is there already, and there is one
    ]


def _read_cluster_config() -> list[Group]:
    config = state.get_cluster_config()
    groups = config.node_group_configs if config is not None else []
    return [_parse_group(group.name, dict(group.resources), group.max_count) for group in groups]


def _parse_group(name: str, resources: Mapping[str, float], most: int) -> Group:
    gpus, cpus = float(resources.get("GPU", 0)), float(resources.get("CPU", 0))
    return Group(name, gpus, cpus, UNLIMITED_NODES if most < 0 else most, list_accelerators(resources))


def request_nodes(wanted: Sequence[ReplicaNeed]) -> None:
    """Have the autoscaler make room for the least number of replicas of each need; without one nothing happens.

    A later call replaces an earlier one.
    """
    bundles = [
        {"GPU": need.gpus, "CPU": need.cpus, **need.accelerator_bit}
        for need in wanted
        if need.gpus
        for _ in range(need.replicas * need.stages)
    ]
    if bundles:  # an empty request would take back an earlier one
        _request_resources(bundles)


def cancel_request() -> None:
    """Take back what was asked for; the autoscaler ends nodes that stand idle."""
    _request_resources([])


def _request_resources(bundles: list[dict[str, float]]) -> None:
    # Here: it loads the autoscaler, which most processes of a run never ask.
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=bundles)
