"""Placement of intern replicas, without Ray."""

from mics_ray.config import Engine, InternConfig
from mics_ray.runtime.placement import Need, Node, fits, needs

INTERNS = {
    "small": InternConfig(model="a", replicas=2),
    "elsewhere": InternConfig(engine=Engine.endpoint, model="b"),
    "large": InternConfig(model="c", tensor_parallel=4),
}
NODE = Node("n1", gpus=4, cpus=16)


def test_a_replica_takes_as_many_gpus_as_it_is_parallel_and_endpoints_take_none() -> None:
    wanted = needs(INTERNS, on_gpu=True)
    assert [(need.intern, need.replicas, need.gpus) for need in wanted] == [("small", 2, 1), ("large", 1, 4)]
    assert wanted[1].ray_options == {"num_gpus": 4, "num_cpus": 1.0}


def test_without_gpus_a_replica_reserves_nothing() -> None:
    assert [need.ray_options for need in needs(INTERNS, on_gpu=False)] == [{"num_gpus": 0, "num_cpus": 0.0}] * 2
    assert fits(needs(INTERNS, on_gpu=False), [Node("n1", 0, 2)]) == []


def test_what_fits_is_no_problem_even_to_the_last_gpu() -> None:
    assert fits([Need("a", 2, 2, 1), Need("b", 1, 4, 1)], [NODE, Node("n2", 4, 16)]) == []


def test_too_many_replicas_are_named_with_the_sum_and_what_is_there() -> None:
    (problem,) = fits([Need("a", 3, 2, 1), Need("b", 1, 1, 1)], [NODE])
    assert "7 GPUs (a 3 x 2 + b 1 x 1)" in problem
    assert "the cluster has 4, the biggest node (n1) 4" in problem


def test_a_replica_wider_than_every_node_is_named() -> None:
    (problem,) = fits([Need("a", 1, 8, 1)], [NODE, Node("n2", 4, 16)])
    assert problem == "intern a needs 8 GPUs on one node: the cluster has 8, the biggest node (n1) 4"


def test_gpus_that_are_enough_only_in_sum_are_a_problem() -> None:
    assert fits([Need("a", 2, 3, 1)], [Node("n1", 4, 9), Node("n2", 2, 9)])


def test_a_node_without_cores_holds_no_replica() -> None:
    assert fits([Need("a", 2, 1, 1)], [Node("n1", 2, 1)])


def test_gpus_wanted_of_a_cluster_without_nodes() -> None:
    assert "the cluster has 0" in fits([Need("a", 1, 1, 1)], [])[0]
