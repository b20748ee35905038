"""What an autoscaler can add, from what the cluster says of itself."""

from pathlib import Path

from mics_ray.runtime.serving.autoscaler import UNLIMITED_NODES, list_missing_nodes, read_launcher_file
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
    assert read_launcher_file(file) == [("gpu", 4.0, 16.0, 3)]
    assert read_launcher_file(tmp_path / "none.yaml") == []


def test_what_is_there_is_not_to_come_again() -> None:
    live = [ClusterNode("h", 0, 8, head=True), ClusterNode("n1", 4, 16), ClusterNode("other", 8, 64)]
    assert [(node.gpus, node.cpus) for node in list_missing_nodes([("gpu", 4.0, 16.0, 3)], live)] == [(4, 16)] * 2
    assert len(list_missing_nodes([("gpu", 4.0, 16.0, UNLIMITED_NODES)], live)) == UNLIMITED_NODES - 1
    assert list_missing_nodes([], live) == []


def test_what_may_come_lets_a_run_begin_that_what_is_there_cannot_hold() -> None:
    live, wanted = [ClusterNode("n1", 4, 16)], [ReplicaNeed("a", 2, 4, 1)]
    assert find_placement_problems(wanted, live)
    assert find_placement_problems(wanted, [*live, *list_missing_nodes([("gpu", 4.0, 16.0, 2)], live)]) == []
    assert find_placement_problems(wanted, [*live, *list_missing_nodes([("gpu", 4.0, 16.0, 1)], live)])
