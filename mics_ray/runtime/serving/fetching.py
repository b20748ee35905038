"""The models of the hub that a job serves, fetched before its replicas start: once for each cache of the cluster.

The driver's node begins. Nodes that see its cache wait for it, so where HF_HOME is a shared disk that node alone
downloads, and alone needs the token; the others fetch for themselves meanwhile.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from mics_ray.assemble.locations import list_served, use_served
from mics_ray.config.keys import read_hub_token
from mics_ray.config.schema import Config, ModelConfig
from mics_ray.errors import RefusedRun
from mics_ray.models.engine.hub import is_hub_id
from mics_ray.runtime.serving.model_actors import cluster_nodes, plan_placement
from mics_ray.runtime.serving.placement import ReplicaNeed, place_replicas
from mics_ray.runtime.serving.weights import Copy, start_fetch, start_look

POLL_S = 0.5


class LostFetch(RefusedRun):
    """A download ended with its process, or its node."""


def fetch_models(config: Config, shared: str, check: Callable[[], None], say: Callable[[str], None]) -> Config:
    """``config`` with the commit of each model of the hub as its revision, when it is on every node that will serve it.

    A node that joins later fetches that commit when a replica starts there. ``shared``: a folder that every node sees.
    ``check`` is called all the while and raises what ends the job. Raises :class:`RefusedRun`.
    """
    entries = {name: entry for name, entry in list_served(config).items() if is_hub_id(entry.model)}
    if not entries:
        return config
    wanted, on_gpu = plan_placement(config)  # settings are refused before anything is fetched
    fetcher = _Fetcher(shared, choose_token(config), check)
    for name, entry in entries.items():
        say(f"{name}: {entry.model} from the hub, at {entry.revision or 'main'}")
        entries[name] = fetcher.fetch_entry(name, entry, _list_nodes(name, wanted, on_gpu))
    return use_served(config, entries)


def _list_nodes(name: str, wanted: Sequence[ReplicaNeed], on_gpu: bool) -> list[str]:
    """The ids of the nodes that the replicas of an entry go to, as far as it is known."""
    if not on_gpu:
        return [_own_node()]
    placed = place_replicas(wanted, cluster_nodes()) or []
    return sorted({node.id for one in placed if one.entry == name for node in one.nodes})


def _own_node() -> str:
    return str(ray.get_runtime_context().get_node_id())


class _Fetcher:
    def __init__(self, shared: str, token: str | None, check: Callable[[], None]) -> None:
        self._shared, self._token, self._check = shared, token, check

    def fetch_entry(self, name: str, entry: ModelConfig, nodes: list[str]) -> ModelConfig:
        """``entry`` at the commit that each of ``nodes`` has."""
        own = _own_node()
        (first,) = self._ask([start_fetch(own, entry, whole=False, token=self._token)])
        if first.refusal and (own in nodes or not nodes):
            _refuse_lacking(name, [first])
        if first.folder:
            entry = replace(entry, revision=Path(first.folder).name)
        others = [node for node in nodes if node != own]
        sees = self._ask([start_look(node, first.folder) for node in others]) if first.folder else []
        later = [node for node, seen in zip(others, sees, strict=False) if seen]
        begin = [node for node in others if node not in later]
        if later or own in nodes or (not nodes and _is_on_one_disk(first.folder, self._shared)):
            begin.append(own)
        copies = [copy for group in (begin, later) for copy in self._fetch_copies(name, entry, group)]
        return replace(entry, revision=_find_commit(entry, copies))

    def _fetch_copies(self, name: str, entry: ModelConfig, nodes: Sequence[str]) -> list[Copy]:
        copies: list[Copy] = self._ask([start_fetch(node, entry, token=self._token) for node in nodes])
        _refuse_lacking(name, copies)
        return copies

    def _ask(self, references: list[Any]) -> list[Any]:
        left = references
        while left:
            _, left = ray.wait(left, num_returns=len(left), timeout=POLL_S)
            self._check()
        try:
            answers: list[Any] = ray.get(references)
        except RayError as error:
            said = "a download from the hub ended with its process or its node; the same command goes on"
            raise LostFetch(f"{said} ({type(error).__name__})") from None
        return answers


def choose_token(config: Config) -> str | None:
    """The token to be handed to downloads: a Ray that was started here has none in its environment (`join_cluster`)."""
    return read_hub_token() if config.ray.address is None else None


def _refuse_lacking(name: str, copies: Sequence[Copy]) -> None:
    for copy in copies:
        if copy.refusal:
            raise RefusedRun(f"{name} on {copy.node}: {copy.refusal}")


def _find_commit(entry: ModelConfig, copies: Sequence[Copy]) -> str | None:
    """The one commit of all ``copies``; where there are none, what is known of it."""
    commits = {Path(copy.folder).name for copy in copies}
    if len(commits) > 1:
        raise RefusedRun(f"{entry.model}: nodes hold {' and '.join(sorted(commits))} of it; give one as `revision`")
    return commits.pop() if commits else entry.revision


def _is_on_one_disk(folder: str, shared: str) -> bool:
    """Whether every node sees ``folder``, as it sees ``shared``."""
    try:
        return os.stat(folder).st_dev == os.stat(shared).st_dev
    except OSError:
        return False
