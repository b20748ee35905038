"""On which nodes the files of a model are looked at."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import ray

from mics_ray.config.schema import Config, InternDefaults, ModelConfig
from mics_ray.runtime.serving import model_checks
from mics_ray.runtime.serving.model_checks import list_serving_nodes
from mics_ray.runtime.serving.placement import ClusterNode, ReplicaNeed
from mics_ray.runtime.serving.weights import Copy

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


@pytest.mark.parametrize(
    ("nodes", "lacking", "asked", "said"),
    [
        (["own"], {"own"}, ["own"], ["tiny on own: gated"]),
        ([], {"own"}, ["own"], ["tiny on own: gated"]),
        (["a", "b"], set(), ["own"], []),
        (["a", "b"], {"own"}, ["own", "a", "b"], []),
        (["a", "b"], {"own", "b"}, ["own", "a", "b"], ["tiny on b: gated"]),
    ],
)
def test_a_model_of_the_hub_is_looked_at_here_or_where_it_is_served(
    monkeypatch: pytest.MonkeyPatch, nodes: list[str], lacking: set[str], asked: list[str], said: list[str]
) -> None:
    seen: list[str] = []

    def look(node: str, *_: object, **__: object) -> Copy:
        seen.append(node)
        return Copy(node, refusal="gated" if node in lacking else "")

    entry = InternDefaults(model="owner/tiny")
    monkeypatch.setattr(model_checks, "start_fetch", look)
    monkeypatch.setattr(ray, "get", lambda found: found)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "own"))
    config = Config(mentors={}, interns={"tiny": entry}, judge=ModelConfig(model="j"))
    assert model_checks._look_at_hub(config, {node: {"tiny": entry} for node in nodes}) == said
    assert seen == asked
