"""What an autoscaler can add, from what the cluster says of itself."""

from pathlib import Path

import pytest
from ray.core.generated.autoscaler_pb2 import ClusterConfig

from mics_ray.runtime.serving import autoscaler
from mics_ray.runtime.serving.autoscaler import UNLIMITED_NODES, Group, list_missing_nodes, read_launcher_file
from mics_ray.runtime.serving.placement import ClusterNode, ReplicaNeed, find_placement_problems

LAUNCHER = """
head_node_type: head
available_node_types:
  head: {resources: {CPU: 8}, node_config: {}}
  gpu: {resources: {CPU: 16, GPU: 4}, min_workers: 0, max_workers: 3, node_config: {}}
"""


def test_the_launchers_file_says_how_many_nodes_may_come(tmp_path: Path) -> None:
    file = tmp_path / "ray_bootstrap_config.yaml"
    file.write_text(LAUNCHER)
    assert read_launcher_file(file) == [Group("gpu", 4.0, 16.0, 3)]
    assert read_launcher_file(tmp_path / "none.yaml") == []


def test_what_is_there_is_not_to_come_again() -> None:
    live = [ClusterNode("h", 0, 8, head=True), ClusterNode("n1", 4, 16), ClusterNode("other", 8, 64)]
    assert [(node.gpus, node.cpus) for node in list_missing_nodes([Group("gpu", 4.0, 16.0, 3)], live)] == [(4, 16)] * 2
    assert len(list_missing_nodes([Group("gpu", 4.0, 16.0, UNLIMITED_NODES)], live)) == UNLIMITED_NODES - 1
    assert list_missing_nodes([], live) == []


def test_what_may_come_lets_a_run_begin_that_what_is_there_cannot_hold() -> None:
    live, wanted = [ClusterNode("n1", 4, 16)], [ReplicaNeed("a", 2, 4, 1)]
    assert find_placement_problems(wanted, live)
    assert find_placement_problems(wanted, [*live, *list_missing_nodes([Group("gpu", 4.0, 16.0, 2)], live)]) == []
    assert find_placement_problems(wanted, [*live, *list_missing_nodes([Group("gpu", 4.0, 16.0, 1)], live)])


def test_a_launchers_file_may_leave_things_out(tmp_path: Path) -> None:
    file = tmp_path / "ray_bootstrap_config.yaml"
    file.write_text("")
    assert read_launcher_file(file) == []
    file.write_text(
        "available_node_types: {any: {}, cpu: {resources: {CPU: 2}, max_workers: -1}, big: {max_workers: 0}}"
    )
    assert read_launcher_file(file) == [
        Group("any", 0.0, 0.0, 0),
        Group("cpu", 0.0, 2.0, UNLIMITED_NODES),
        Group("big", 0.0, 0.0, 0),
    ]


@pytest.fixture
def stated(monkeypatch: pytest.MonkeyPatch) -> ClusterConfig:
    """What the cluster says of itself, in Ray's own form."""
    config = ClusterConfig()
    monkeypatch.setattr("mics_ray.runtime.serving.autoscaler.state.get_cluster_config", lambda: config)
    return config


def test_what_the_cluster_states_goes_before_the_launchers_file(
    stated: ClusterConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ray_bootstrap_config.yaml"
    file.write_text(LAUNCHER)
    monkeypatch.setattr(autoscaler, "LAUNCHER_FILE", file)
    live = [ClusterNode("n1", 4, 16)]
    assert [node.name for node in autoscaler.find_addable_nodes(live)] == ["gpu (by the autoscaler)"] * 2
    stated.node_group_configs.add(name="pods", resources={"GPU": 2, "CPU": 8}, max_count=1)
    assert autoscaler.find_addable_nodes(live) == [ClusterNode("pods (by the autoscaler)", 2.0, 8.0, "pods-0")]
    stated.node_group_configs[0].max_count = -1
    assert len(autoscaler.find_addable_nodes(live)) == UNLIMITED_NODES


def test_a_cluster_that_states_nothing_has_no_more_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoscaler, "LAUNCHER_FILE", tmp_path / "none.yaml")
    monkeypatch.setattr("mics_ray.runtime.serving.autoscaler.state.get_cluster_config", lambda: None)
    assert autoscaler.find_addable_nodes([]) == []


def test_rays_autoscaler_is_asked_for_every_stage_and_for_nothing_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(autoscaler, "_request_resources", lambda bundles: asked.append(bundles))
    on_cpu, small, deep = (
        ReplicaNeed("c", 3, 0, 1.0),
        ReplicaNeed("a", 2, 0.5, 1.0),
        ReplicaNeed("b", 2, 4, 1.0, stages=3),
    )
    autoscaler.request_nodes([on_cpu])
    assert asked == []
    autoscaler.request_nodes([on_cpu, small, deep])
    autoscaler.cancel_request()
    assert asked == [[{"GPU": 0.5, "CPU": 1.0}] * 2 + [{"GPU": 4, "CPU": 1.0}] * 6, []]


def test_a_head_of_a_groups_size_is_none_of_the_groups_nodes() -> None:
    head = ClusterNode("head", 2, 8, head=True)
    assert len(list_missing_nodes([Group("pods", 2.0, 8.0, 1)], [head])) == 1
    assert list_missing_nodes([Group("pods", 2.0, 8.0, 1)], [head, ClusterNode("pod", 2, 8)]) == []


def test_nodes_of_a_named_accelerator_are_told_apart_and_asked_for(
    stated: ClusterConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    h100 = {"GPU": 2, "CPU": 8, "accelerator_type:H100": 1}
    stated.node_group_configs.add(name="new", resources=h100, max_count=2)
    stated.node_group_configs.add(name="old", resources={"GPU": 2, "CPU": 8, "accelerator_type:L4": 1}, max_count=1)
    live = [ClusterNode("n1", 2, 8, accelerators=("H100",))]
    more = autoscaler.find_addable_nodes(live)
    assert [(node.name, node.accelerators) for node in more] == [
        ("new (by the autoscaler)", ("H100",)),
        ("old (by the autoscaler)", ("L4",)),
    ]
    wanted = ReplicaNeed("a", 2, 2, 1.0, accelerator="H100")
    assert find_placement_problems([wanted], live)
    assert find_placement_problems([wanted], [*live, *more]) == []
    asked: list[object] = []
    monkeypatch.setattr(autoscaler, "_request_resources", lambda bundles: asked.extend(bundles))
    autoscaler.request_nodes([wanted])
    assert asked == [{"GPU": 2, "CPU": 1.0, "accelerator_type:H100": 0.001}] * 2


def test_a_group_that_does_not_name_its_gpus_has_the_live_nodes_of_its_size() -> None:
    live = [ClusterNode("n1", 2, 8, accelerators=("L4",))]
    assert list_missing_nodes([Group("pods", 2.0, 8.0, 1)], live) == []
