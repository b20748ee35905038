"""The intern replicas of a run as its driver sees them: more as a queue grows, fewer as it empties.

Replicas come and go at the end of an intern's list, so the others keep their places and their cases. Workers are asked
to `update_replicas` with a list; a replica that left it is ended when every worker has had its last answer from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup, remove_placement_group

from mics_ray.config.schema import Config, Replicas, replica_range
from mics_ray.runtime.serving.autoscaler import addable, ask_for, ask_for_nothing
from mics_ray.runtime.serving.model_actors import (
    cluster_nodes,
    free_nodes,
    gpus_there,
    key_variables,
    pipeline,
    replica_spec,
    start_replica,
)
from mics_ray.runtime.serving.placement import Need, Spot, needs, place
from mics_ray.runtime.serving.replica_policy import Depths, Scaler


@dataclass(slots=True, eq=False)
class _Member:
    """One replica; ``ready`` is the reply that is waited for until it takes calls."""

    handle: Any
    ready: Any = None
    group: PlacementGroup | None = None

    def end(self) -> None:
        """End its process and give its GPUs back."""
        ray.kill(self.handle)
        if self.group is not None:
            remove_placement_group(self.group)


@dataclass(slots=True, eq=False)
class _Crew:
    """One intern's replicas: those that serve, in order, and those that load; ``next`` numbers their files."""

    need: Need
    serving: list[_Member]
    loading: list[_Member]
    next: int
    scaler: Scaler


class Fleet:
    """Lives in the driver. ``changes`` are lines for the person, since the last look at them."""

    def __init__(
        self,
        config: Config,
        replicas: Mapping[str, Sequence[Any]],
        cache_folder: str,
        log_folder: str,
        depths: Depths | None = None,
    ) -> None:
        self._config, self._folders = config, (cache_folder, log_folder)
        nodes = cluster_nodes()
        # The nodes of the first replicas may be on their way.
        self._on_gpu = gpus_there([*nodes, *addable(nodes)])
        self._depths = depths or Depths()
        self._crews = {
            need.intern: self._crew(need, replicas[need.intern])
            for need in needs(config.interns, self._on_gpu)
            if need.intern in replicas
        }
        self._leaving: list[tuple[_Member, list[Any]]] = []
        self._told: list[Any] = []
        self._mine: list[_Member] = []
        self.changes: list[str] = []

    @property
    def elastic(self) -> bool:
        """Whether the number of any intern's replicas may change."""
        return any(crew.need.limit > crew.need.replicas for crew in self._crews.values())

    @property
    def replicas(self) -> dict[str, list[Any]]:
        """The handles that take calls, by intern."""
        return {name: [member.handle for member in crew.serving] for name, crew in self._crews.items()}

    def step(self, now: float, queued: Mapping[str, int], workers: Sequence[Any]) -> bool:
        """Look at the queues, start and retire; ``workers`` are told. Returns whether :attr:`replicas` changed."""
        self._end_drained()
        gone: list[_Member] = []
        changed = False
        for name, crew in self._crews.items():
            before = list(crew.serving)
            self._arrived(crew)
            gone += self._resize(crew, now, queued.get(name, 0))
            changed |= before != crew.serving
        if changed:
            self._told = [worker.update_replicas.remote(self.replicas) for worker in workers]
            self._leaving += [(member, self._told) for member in gone]
        return changed

    def close(self) -> None:
        """End the replicas that were started here, and ask for no nodes any more."""
        for member in self._mine:
            member.end()
        self._mine = []
        if self._on_gpu:
            ask_for_nothing()

    def _crew(self, need: Need, handles: Sequence[Any]) -> _Crew:
        within = replica_range(self._config.interns[need.intern].replicas)
        scaler = Scaler(within, self._depths)
        return _Crew(need, [_Member(handle) for handle in handles], [], len(handles), scaler)

    def _arrived(self, crew: _Crew) -> None:
        """Replicas that have loaded begin to serve; one that cannot start is the last that is tried."""
        for member in list(crew.loading):
            if not ray.wait([member.ready], timeout=0)[0]:
                continue
            crew.loading.remove(member)
            try:
                ray.get(member.ready)
                crew.serving.append(member)
            except RayError as error:
                self._end(member)
                count = len(crew.serving)
                crew.scaler = Scaler(Replicas(min(crew.need.replicas, count), count), self._depths)
                self.changes.append(f"intern {crew.need.intern}: a replica did not start ({type(error).__name__})")

    def _resize(self, crew: _Crew, now: float, queued: int) -> list[_Member]:
        """Start or retire as the policy says; returns the replicas that leave the list."""
        count = len(crew.serving) + len(crew.loading)
        wanted = crew.scaler.target(now, count, queued)
        if wanted == count:
            return []
        gone: list[_Member] = []
        if wanted > count:
            wanted = count + self._start(crew, wanted - count)
        elif crew.loading:
            self._end(crew.loading.pop())
        else:
            gone = [crew.serving.pop()]
        if wanted != count:
            crew.scaler.changed(now)
            self.changes.append(f"intern {crew.need.intern}: {count} -> {wanted} replicas, {queued} requests queued")
        return gone

    def _start(self, crew: _Crew, more: int) -> int:
        """Start up to ``more`` replicas, as many as have room or can be given it; returns how many."""
        free = free_nodes()
        for count in range(more, 0, -1):
            extra = replace(crew.need, replicas=count)
            if (spots := place([extra], free)) is not None:
                return self._launch(crew, spots)
            if place([extra], [*free, *addable(cluster_nodes())]) is not None:
                ask_for([extra, *self._staffed()])
                return self._launch(crew, [None] * count)
        return 0

    def _staffed(self) -> list[Need]:
        """What the replicas that are there, or loading, take of the cluster."""
        return [replace(crew.need, replicas=len(crew.serving) + len(crew.loading)) for crew in self._crews.values()]

    def _launch(self, crew: _Crew, spots: Sequence[Spot | None]) -> int:
        secrets = key_variables(self._config)
        for spot in spots:
            need = crew.need
            group = pipeline(need, spot) if need.stages > 1 and need.gpus else None
            made = replica_spec(self._config, need, crew.next, self._on_gpu, *self._folders)
            member = _Member(start_replica(made, need, secrets, spot, group), group=group)
            member.ready = member.handle.ready.remote()
            crew.next += 1
            crew.loading.append(member)
            self._mine.append(member)
        return len(spots)

    def _end_drained(self) -> None:
        """End the replicas that no worker waits for any more; a worker that was lost waits for nothing."""
        for member, told in list(self._leaving):
            if len(ray.wait(told, num_returns=len(told), timeout=0)[0]) == len(told):
                self._leaving.remove((member, told))
                self._end(member)

    def _end(self, member: _Member) -> None:
        """End a replica that has left its crew; a node that stood for it may go."""
        member.end()
        if member in self._mine:
            self._mine.remove(member)
        if self._on_gpu:
            ask_for(self._staffed())
