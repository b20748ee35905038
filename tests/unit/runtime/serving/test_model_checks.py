"""On which nodes the files of a model are looked at."""

from dataclasses import replace

from mics_ray.runtime.serving.model_checks import list_serving_nodes
from mics_ray.runtime.serving.placement import ClusterNode, ReplicaNeed

HEAD = ClusterNode("head", 8, 16, "h", True)
SMALL, LARGE = ClusterNode("small", 2, 8, "s"), ClusterNode("large", 8, 32, "l")


def names(
    need: ReplicaNeed, *nodes: ClusterNode, beside: tuple[ReplicaNeed, ...] = (), on_gpu: bool = True
) -> set[str]:
    return {node.name for node in list_serving_nodes(need, [need, *beside], nodes, on_gpu)}


def test_where_the_replicas_will_be_their_files_must_be() -> None:
    assert names(ReplicaNeed("wide", 1, 4, 1.0), HEAD, SMALL, LARGE) == {"large"}
    assert names(ReplicaNeed("many", 5, 2, 1.0), HEAD, SMALL, LARGE) == {"small", "large"}
    staged = ReplicaNeed("staged", 1, 2, 1.0, 1, 3)
    assert names(staged, HEAD, SMALL, LARGE) == {"small", "large"}
    assert names(ReplicaNeed("one", 1, 2, 1.0), LARGE, SMALL, beside=(ReplicaNeed("wide", 1, 8, 1.0),)) == {"small"}


def test_a_replica_that_needs_no_gpu_may_be_anywhere() -> None:
    assert names(ReplicaNeed("any", 1, 0, 0.0), HEAD, SMALL, on_gpu=False) == {"head", "small"}


def test_without_room_all_that_may_hold_it_are_looked_at() -> None:
    assert names(ReplicaNeed("many", 9, 2, 1.0), HEAD, SMALL, LARGE) == {"small", "large"}
    h200 = ReplicaNeed("many", 9, 2, 1.0, accelerator="H200")
    assert names(h200, HEAD, SMALL, replace(LARGE, accelerators=("H200",))) == {"large"}
    assert names(ReplicaNeed("one", 1, 1, 1.0), ClusterNode("boot", 0, 4, "b", True)) == set()
