"""Which nodes fetch a model of the hub, and in which order."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mics_ray.config.schema import ModelConfig
from mics_ray.errors import RefusedRun
from mics_ray.runtime.serving import fetching
from mics_ray.runtime.serving.fetching import _Fetcher
from mics_ray.runtime.serving.weights import Copy

ENTRY = ModelConfig(model="owner/tiny")
NEW, OLD = "a" * 40, "b" * 40


@dataclass
class Cluster:
    """Nodes, of which ``sees`` see the cache of `own`; ``lacks`` cannot fetch; ``asked`` is what they were asked."""

    sees: set[str] = field(default_factory=set)
    lacks: set[str] = field(default_factory=set)
    main: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def fetch(self, node: str, entry: ModelConfig, whole: bool = True, token: str | None = None) -> Copy:
        self.asked.append(node if whole else f"{node} (small)")
        if node in self.lacks:
            return Copy(node, refusal="owner/tiny: gated on the hub")
        commit = entry.revision or self.main.get(node, NEW)
        return Copy(node, f"/hub/snapshots/{commit}")

    def fetch_entry(self, nodes: list[str], shared: str, entry: ModelConfig = ENTRY) -> ModelConfig:
        return _Fetcher(shared, None, lambda: None).fetch_entry("tiny", entry, nodes)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(fetching, "start_fetch", made.fetch)
    monkeypatch.setattr(fetching, "start_look", lambda node, folder: node in made.sees)
    monkeypatch.setattr(fetching, "_own_node", lambda: "own")
    monkeypatch.setattr(_Fetcher, "_ask", lambda self, references: references)
    return made


@pytest.mark.parametrize(
    ("nodes", "sees", "whole"),
    [
        (["own"], set(), ["own"]),
        (["a", "b"], {"a", "b"}, ["own", "a", "b"]),
        (["a", "b"], {"b"}, ["a", "own", "b"]),
        (["a", "b"], set(), ["a", "b"]),
        (["a", "own"], {"a"}, ["own", "a"]),
        ([], set(), []),
    ],
)
def test_the_drivers_node_fetches_for_those_that_see_its_cache(
    cluster: Cluster, tmp_path: Path, nodes: list[str], sees: set[str], whole: list[str]
) -> None:
    cluster.sees = sees
    assert cluster.fetch_entry(nodes, str(tmp_path)).revision == NEW
    assert cluster.asked == ["own (small)", *whole]


def test_nodes_that_are_not_there_yet_find_what_lies_on_the_runs_disk(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / NEW
    folder.mkdir()
    monkeypatch.setattr(fetching, "start_fetch", lambda *_, **__: Copy("own", str(folder)))
    fetched: list[Any] = []
    monkeypatch.setattr(_Fetcher, "_ask", lambda self, references: fetched.extend(references) or references)
    assert cluster.fetch_entry([], str(tmp_path)).revision == NEW
    assert len(fetched) == 2


def test_a_node_without_its_model_is_named(cluster: Cluster, tmp_path: Path) -> None:
    cluster.lacks = {"b"}
    with pytest.raises(RefusedRun, match=r"^tiny on b: owner/tiny: gated on the hub$"):
        cluster.fetch_entry(["a", "b"], str(tmp_path))
    cluster.lacks = {"own"}  # a driver without a network is no matter where the others have the model
    assert cluster.fetch_entry(["a", "b"], str(tmp_path)).revision == NEW
    for nodes in (["own"], []):
        with pytest.raises(RefusedRun, match=r"^tiny on own: "):
            cluster.fetch_entry(nodes, str(tmp_path))


def test_nodes_with_two_commits_are_refused_unless_one_is_given(cluster: Cluster, tmp_path: Path) -> None:
    cluster.lacks, cluster.main = {"own"}, {"a": NEW, "b": OLD}
    with pytest.raises(RefusedRun, match=f"nodes hold {NEW} and {OLD} of it; give one as `revision`"):
        cluster.fetch_entry(["a", "b"], str(tmp_path))
    assert cluster.fetch_entry(["a", "b"], str(tmp_path), replace(ENTRY, revision=OLD)).revision == OLD
