"""Placement of replicas, without Ray."""

import pytest

from mics_ray.config.schema import Engine, InternDefaults
from mics_ray.runtime.serving.placement import (
    ClusterNode,
    Placement,
    ReplicaNeed,
    find_placement_problems,
    list_needs,
    place_replicas,
    usable_nodes,
)

INTERNS = {
    "small": InternDefaults(model="a", replicas=2),
    "elsewhere": InternDefaults(engine=Engine.endpoint, model="b"),
    "large": InternDefaults(model="c", tensor_parallel=4),
}
NODE = ClusterNode("n1", gpus=4, cpus=16)


def test_a_replica_takes_as_many_gpus_as_it_is_parallel_and_endpoints_take_none() -> None:
    wanted = list_needs(INTERNS, on_gpu=True)
    assert [(need.entry, need.replicas, need.gpus) for need in wanted] == [("small", 2, 1), ("large", 1, 4)]
    assert wanted[1].ray_options == {"num_gpus": 4, "num_cpus": 1.0}


def test_without_gpus_a_replica_reserves_nothing() -> None:
    assert [need.ray_options for need in list_needs(INTERNS, on_gpu=False)] == [{"num_gpus": 0, "num_cpus": 0.0}] * 2
    assert find_placement_problems(list_needs(INTERNS, on_gpu=False), [ClusterNode("n1", 0, 2)]) == []


def test_what_fits_is_no_problem_even_to_the_last_gpu() -> None:
    assert (
        find_placement_problems(
            [ReplicaNeed("a", 2, 2, 1), ReplicaNeed("b", 1, 4, 1)], [NODE, ClusterNode("n2", 4, 16)]
        )
        == []
    )


def test_too_many_replicas_are_named_with_the_sum_and_what_is_there() -> None:
    (problem,) = find_placement_problems([ReplicaNeed("a", 3, 2, 1), ReplicaNeed("b", 1, 1, 1)], [NODE])
    assert "7 GPUs (a 3 x 2 + b 1 x 1)" in problem
    assert "the cluster has 4, the biggest node (n1) 4" in problem


def test_a_replica_wider_than_every_node_is_named() -> None:
    (problem,) = find_placement_problems([ReplicaNeed("a", 1, 8, 1)], [NODE, ClusterNode("n2", 4, 16)])
    assert problem == "a needs 8 GPUs on one node: the cluster has 8, the biggest node (n1) 4"


def test_gpus_that_are_enough_only_in_sum_are_a_problem() -> None:
    assert find_placement_problems([ReplicaNeed("a", 2, 3, 1)], [ClusterNode("n1", 4, 9), ClusterNode("n2", 2, 9)])


def test_a_node_without_cores_holds_no_replica() -> None:
    assert find_placement_problems([ReplicaNeed("a", 2, 1, 1)], [ClusterNode("n1", 2, 1)])


def test_gpus_wanted_of_a_cluster_without_nodes() -> None:
    assert "the cluster has 0" in find_placement_problems([ReplicaNeed("a", 1, 1, 1)], [])[0]


HEAD = ClusterNode("head", gpus=4, cpus=16, head=True)


def names(spots: list[Placement] | None) -> list[tuple[str, list[str]]]:
    return [(spot.entry, [node.name for node in spot.nodes]) for spot in spots or []]


def test_the_least_number_must_fit_the_most_need_not() -> None:
    (need,) = list_needs({"a": InternDefaults(model="a", replicas={"min": 2, "max": 9})}, on_gpu=True)
    assert (need.replicas, need.limit) == (2, 9)
    assert find_placement_problems([need], [ClusterNode("n1", 2, 8)]) == []
    assert "the models need 2 GPUs (a 2 x 1)" in find_placement_problems([need], [ClusterNode("n1", 1, 8)])[0]


def test_the_head_stays_free_where_another_node_has_gpus() -> None:
    assert usable_nodes([HEAD, NODE]) == [NODE]
    assert usable_nodes([HEAD, ClusterNode("n2", 0, 8)]) == [HEAD]
    assert names(place_replicas([ReplicaNeed("a", 1, 4, 1)], [HEAD, NODE])) == [("a", ["n1"])]
    (problem,) = find_placement_problems([ReplicaNeed("a", 2, 4, 1)], [HEAD, NODE])
    assert problem.endswith("the cluster has 4, the biggest node (n1) 4; 4 of the head node stay free")


def test_wide_replicas_come_first_and_narrow_ones_fill_the_fullest_node() -> None:
    nodes = [ClusterNode("n1", 4, 16), ClusterNode("n2", 2, 16)]
    assert names(place_replicas([ReplicaNeed("a", 2, 1, 1), ReplicaNeed("b", 1, 4, 1)], nodes)) == [
        ("a", ["n2"]),
        ("a", ["n2"]),
        ("b", ["n1"]),
    ]


def test_shares_come_from_one_gpu_each() -> None:
    assert place_replicas([ReplicaNeed("a", 2, 0.6, 1)], [ClusterNode("n1", 2, 8)]) is not None
    assert place_replicas([ReplicaNeed("a", 3, 0.6, 1)], [ClusterNode("n1", 2, 8)]) is None, (
        "1.8 of 2, but no GPU has 0.6 left"
    )
    assert (
        place_replicas([ReplicaNeed("a", 4, 0.25, 1), ReplicaNeed("b", 1, 1, 1)], [ClusterNode("n1", 2, 8)]) is not None
    )
    assert place_replicas([ReplicaNeed("a", 10, 0.1, 0)], [ClusterNode("n1", 1, 8)]) is not None
    assert place_replicas([ReplicaNeed("a", 1, 0.5, 0)], [ClusterNode("n1", 0.5, 8)]) is not None
    assert place_replicas([ReplicaNeed("a", 1, 1, 0)], [ClusterNode("n1", 1.5, 8)]) is not None
    assert place_replicas([ReplicaNeed("a", 2, 0.75, 0)], [ClusterNode("n1", 1.5, 8)]) is None


def test_a_pipeline_has_each_stage_on_one_node() -> None:
    (need,) = list_needs({"a": InternDefaults(model="a", tensor_parallel=2, pipeline_parallel=2)}, on_gpu=True)
    assert need.bundles == [{"GPU": 1, "CPU": 0.5}] * 4
    assert names(place_replicas([need], [ClusterNode("n1", 3, 8), ClusterNode("n2", 2, 8)])) == [("a", ["n2", "n1"])]
    assert place_replicas([need], [ClusterNode("n1", 3, 8), ClusterNode("n2", 1, 8)]) is None
    (problem,) = find_placement_problems([need], [ClusterNode("n1", 3, 8)])
    assert problem.startswith("the models need 4 GPUs (a 1 x 2 stages of 2)")


def test_a_share_of_a_gpu_is_asked_of_ray_as_it_is() -> None:
    (need,) = list_needs({"a": InternDefaults(model="a", gpus=0.25)}, on_gpu=True)
    assert need.ray_options == {"num_gpus": 0.25, "num_cpus": 1.0}


def test_replicas_on_the_cpu_may_grow_as_those_on_gpus() -> None:
    (need,) = list_needs({"a": InternDefaults(model="a", replicas={"min": 2, "max": 9})}, on_gpu=False)
    assert (need.replicas, need.limit, need.gpus, need.cpus, need.stages) == (2, 9, 0, 0.0, 1)
    assert ReplicaNeed("a", 2, 0, 0.0).limit == 2


def test_wide_replicas_get_their_room_before_narrow_ones_fill_it() -> None:
    wanted = [ReplicaNeed("narrow", 1, 1, 1), ReplicaNeed("wide", 2, 2, 1)]
    placed = place_replicas(wanted, [ClusterNode("n1", 2, 8), ClusterNode("n2", 3, 8)])
    assert names(placed) == [("narrow", ["n2"]), ("wide", ["n1"]), ("wide", ["n2"])]


def test_a_stage_needs_its_cores_to_the_last_share() -> None:
    assert place_replicas([ReplicaNeed("a", 1, 1, 2)], [ClusterNode("n1", 1, 2)]) is not None
    assert place_replicas([ReplicaNeed("a", 1, 1, 2)], [ClusterNode("n1", 1, 1.9)]) is None
    assert place_replicas([ReplicaNeed("a", 10, 0.1, 0.1)], [ClusterNode("n1", 1, 1)]) is not None, "0.1 ten times"
    assert place_replicas([ReplicaNeed("a", 2, 1, 1)], [ClusterNode("n1", 2, 1), ClusterNode("n2", 1, 1)]) is not None


def test_a_stage_takes_all_its_gpus() -> None:
    assert place_replicas([ReplicaNeed("a", 2, 2, 0)], [ClusterNode("n1", 3, 8)]) is None
    assert place_replicas([ReplicaNeed("a", 2, 2, 0)], [ClusterNode("n1", 4, 8)]) is not None
    assert place_replicas([ReplicaNeed("a", 1, 2, 0)], [ClusterNode("n1", 1.5, 8)]) is None


def test_shares_fill_a_used_gpu_before_they_break_a_whole_one() -> None:
    wanted = [ReplicaNeed("half", 2, 0.5, 0), ReplicaNeed("whole", 1, 1, 0)]
    assert place_replicas(wanted, [ClusterNode("n1", 2, 8)]) is not None
    shares = [ReplicaNeed("most", 1, 0.6, 0), ReplicaNeed("rest", 1, 0.4, 0), ReplicaNeed("half", 2, 0.5, 0)]
    assert place_replicas(shares, [ClusterNode("n1", 2, 8)]) is not None


def test_of_two_nodes_with_as_many_free_gpus_the_one_with_fewer_cores_is_taken() -> None:
    assert names(place_replicas([ReplicaNeed("a", 1, 1, 1)], [ClusterNode("n1", 2, 9), ClusterNode("n2", 2, 8)])) == [
        ("a", ["n2"])
    ]
    nodes = [ClusterNode("n1", 2, 8), ClusterNode("n2", 2, 8)]
    assert names(place_replicas([ReplicaNeed("a", 2, 1, 1)], nodes)) == [("a", ["n1"]), ("a", ["n1"])]


def test_only_needs_of_gpus_are_problems_and_stages_count() -> None:
    assert find_placement_problems([], []) == []
    assert find_placement_problems([ReplicaNeed("cpu", 9, 0, 4.0)], []) == []
    wanted = [ReplicaNeed("cpu", 9, 0, 0.0), ReplicaNeed("deep", 2, 2, 1, stages=3), ReplicaNeed("small", 1, 0.5, 1)]
    (problem,) = find_placement_problems(wanted, [NODE, ClusterNode("cpus", 0, 64)])
    assert problem == (
        "the models need 12.5 GPUs (cpu 9 x 0 + deep 2 x 3 stages of 2 + small 1 x 0.5), each replica's on one node "
        "with a core to spare: the cluster has 4, the biggest node (n1) 4"
    )


def test_everything_that_is_too_wide_is_named() -> None:
    problems = find_placement_problems([ReplicaNeed("a", 1, 8, 1), ReplicaNeed("b", 1, 5, 1)], [NODE])
    assert [problem.split(":")[0] for problem in problems] == [
        "a needs 8 GPUs on one node",
        "b needs 5 GPUs on one node",
    ]
    assert find_placement_problems([ReplicaNeed("a", 2, 4, 1)], [NODE])[0].startswith("the models need 8 GPUs")


def test_a_bundle_is_one_gpu_with_its_part_of_the_cores() -> None:
    assert ReplicaNeed("a", 1, 4, 2.0, stages=2).bundles == [{"GPU": 1.0, "CPU": 0.5}] * 8


def test_a_node_whose_gpus_are_a_rounding_error_short_has_them_all() -> None:
    assert place_replicas([ReplicaNeed("a", 3, 1, 0)], [ClusterNode("n1", 2.9999999996, 8)]) is not None
    assert place_replicas([ReplicaNeed("a", 3, 1, 0)], [ClusterNode("n1", 2.9, 8)]) is None


def test_shares_that_fill_a_node_exactly_fit_whatever_floating_point_makes_of_them() -> None:
    cores = [ReplicaNeed("a", 3, 1, 0.1)]
    assert find_placement_problems(cores, [ClusterNode("n1", 3, 0.3)]) == []
    shares = [ReplicaNeed("a", 1, 0.8, 0), ReplicaNeed("b", 1, 0.2, 0)]
    assert find_placement_problems(shares, [ClusterNode("n1", 1, 4)]) == []
    assert find_placement_problems([ReplicaNeed("a", 4, 1, 1)], [ClusterNode("n1", 3.99999, 8)]) == []


def test_a_share_goes_to_the_fullest_gpu_that_has_room() -> None:
    shares = [ReplicaNeed(f"of {share}", 1, share, 0) for share in (0.7, 0.6, 0.3, 0.2, 0.2)]
    assert find_placement_problems(shares, [ClusterNode("n1", 2, 4)]) == []


MIXED = [
    ClusterNode("n1", 8, 64, accelerators=("H100",)),
    ClusterNode("n2", 4, 64, accelerators=("L4",)),
    ClusterNode("n3", 4, 64),
]


def of(kind: str | None, count: int = 1, gpus: float = 1, stages: int = 1) -> ReplicaNeed:
    return ReplicaNeed(f"on {kind}", count, gpus, 1, stages=stages, accelerator=kind)


def test_an_intern_that_names_its_accelerator_goes_to_nodes_that_have_it() -> None:
    assert names(place_replicas([of("H100", 2), of("L4"), of(None, 9)], MIXED)) == [
        ("on H100", ["n1"]), ("on H100", ["n1"]), ("on L4", ["n2"]),
        *[("on None", ["n2"])] * 3, *[("on None", ["n3"])] * 4, *[("on None", ["n1"])] * 2,
    ]  # fmt: skip
    (deep,) = place_replicas([of("L4", gpus=2, stages=2)], MIXED) or []
    assert [node.name for node in deep.nodes] == ["n2", "n2"]
    assert place_replicas([of("A100-80G", gpus=0.5)], [ClusterNode("n", 1, 1, accelerators=("A100", "A100-80G"))])


def test_a_wide_intern_does_not_take_the_accelerator_that_another_names() -> None:
    """Widest first would give it the only H100s; both fit."""
    two = [ClusterNode("n1", 4, 64, accelerators=("H100",)), ClusterNode("n2", 4, 64, accelerators=("L4",))]
    assert names(place_replicas([of(None, gpus=4), of("H100")], two)) == [("on None", ["n2"]), ("on H100", ["n1"])]


THERE = "the cluster has 16 (8 H100, 4 L4, 4 of no name), the biggest node"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (of("B200"), f"on B200 needs 1 GPUs of B200 on one node: {THERE} of B200 (none) 0"),
        (of("L4", gpus=8), f"on L4 needs 8 GPUs of L4 on one node: {THERE} of L4 (n2) 4"),
        (
            of("L4", 5),
            "the models need 5 GPUs (on L4 5 x 1 of L4), each replica's on one node with a core to spare: "
            f"{THERE} (n1) 8",
        ),
    ],
)
def test_an_accelerator_that_is_not_there_or_too_few_is_said_with_what_is_there(wanted: ReplicaNeed, said: str) -> None:
    assert find_placement_problems([wanted], MIXED) == [said]


def test_ray_is_told_the_accelerator_of_a_replica_and_of_each_bundle() -> None:
    (need,) = list_needs({"a": InternDefaults(model="a", accelerator="H100")}, on_gpu=True)
    assert need.ray_options == {"num_gpus": 1, "num_cpus": 1.0, "resources": {"accelerator_type:H100": 0.001}}
    (deep,) = list_needs({"a": InternDefaults(model="a", accelerator="L4", pipeline_parallel=2)}, on_gpu=True)
    assert deep.bundles == [{"GPU": 1.0, "CPU": 1.0, "accelerator_type:L4": 0.001}] * 2


def test_an_accelerator_that_is_named_is_never_quietly_a_cpu() -> None:
    wanted = list_needs({"a": InternDefaults(model="a", accelerator="H100")}, on_gpu=False)
    assert find_placement_problems(wanted, [ClusterNode("n1", 0, 2)]) == [
        "a asks for H100, and models run on CPUs here"
    ]
