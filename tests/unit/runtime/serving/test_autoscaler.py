"""What an autoscaler can add, from what the cluster says of itself."""

from pathlib import Path

from mics_ray.runtime.serving.autoscaler import MOST, launched, to_come
from mics_ray.runtime.serving.placement import Need, Node, fits

LAUNCHER = """
head_node_type: head
available_node_types:
  head: {resources: {CPU: 8}, node_config: {}}
  gpu: {resources: {CPU: 16, GPU: 4}, min_workers: 0, max_workers: 3, node_config: {}}
"""


def test_the_launchers_file_says_how_many_nodes_may_come(tmp_path: Path) -> None:
    file = tmp_path / "ray_bootstrap_config.yaml"
    file.write_text(LAUNCHER)
    assert launched(file) == [("gpu", 4.0, 16.0, 3)]
    assert launched(tmp_path / "none.yaml") == []


def test_what_is_there_is_not_to_come_again() -> None:
    live = [Node("h", 0, 8, head=True), Node("n1", 4, 16), Node("other", 8, 64)]
    assert [(node.gpus, node.cpus) for node in to_come([("gpu", 4.0, 16.0, 3)], live)] == [(4, 16)] * 2
    assert len(to_come([("gpu", 4.0, 16.0, MOST)], live)) == MOST - 1
    assert to_come([], live) == []


def test_what_may_come_lets_a_run_begin_that_what_is_there_cannot_hold() -> None:
    live, wanted = [Node("n1", 4, 16)], [Need("a", 2, 4, 1)]
    assert fits(wanted, live)
    assert fits(wanted, [*live, *to_come([("gpu", 4.0, 16.0, 2)], live)]) == []
    assert fits(wanted, [*live, *to_come([("gpu", 4.0, 16.0, 1)], live)])
