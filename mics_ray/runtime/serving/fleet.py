"""The replicas of a run as its driver sees them: more as a queue grows, fewer as it empties.

Replicas come and go at the end of an entry's list, so the others keep their places and their cases. Workers are asked
to `update_replicas` with a list; a replica that left it is ended when every worker has had its last answer from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup, remove_placement_group

from mics_ray.assemble.locations import list_served
from mics_ray.config.schema import Config, Replicas, replica_range
from mics_ray.errors import RefusedRun
from mics_ray.runtime.serving.autoscaler import cancel_request, find_addable_nodes, request_nodes
from mics_ray.runtime.serving.model_actors import (
    cluster_nodes,
    free_nodes,
    has_gpus,
    list_key_variables,
    replica_spec,
    reserve_pipeline,
    start_replica,
)
from mics_ray.runtime.serving.placement import Placement, ReplicaNeed, list_needs, place_replicas
from mics_ray.runtime.serving.replica_policy import QueueDepths, ReplicaPolicy


@dataclass(slots=True, eq=False)
class _Member:
    """One replica; ``ready`` is the reply that is waited for until it takes calls."""

    handle: Any
    ready: Any = None
    group: PlacementGroup | None = None

    def end_process(self) -> None:
        """End its process and give its GPUs back."""
        ray.kill(self.handle)
        if self.group is not None:
            remove_placement_group(self.group)


@dataclass(slots=True, eq=False)
class _EntryReplicas:
    """One entry's replicas: those that serve, in order, and those that load; ``next`` numbers their files."""

    need: ReplicaNeed
    serving: list[_Member]
    loading: list[_Member]
    next: int
    policy: ReplicaPolicy


class Fleet:
    """Lives in the driver. ``changes`` are lines for the person, since the last look at them."""

    def __init__(
        self,
        config: Config,
        replicas: Mapping[str, Sequence[Any]],
        cache_folder: str,
        log_folder: str,
        depths: QueueDepths | None = None,
    ) -> None:
        self._config, self._folders = config, (cache_folder, log_folder)
        nodes = cluster_nodes()
        # The nodes of the first replicas may still be booting.
        self._on_gpu = has_gpus([*nodes, *find_addable_nodes(nodes)])
        self._depths = depths or QueueDepths()
        self._entries = {
            need.entry: self._track_replicas(need, replicas[need.entry])
            for need in list_needs(list_served(config), self._on_gpu)
            if need.entry in replicas
        }
        self._leaving: list[tuple[_Member, list[Any]]] = []
        self._updates: list[Any] = []
        self._started: list[_Member] = []
        self.changes: list[str] = []

    @property
    def elastic(self) -> bool:
        """Whether the number of any entry's replicas may change."""
        return any(entry.need.limit > entry.need.replicas for entry in self._entries.values())

    @property
    def replicas(self) -> dict[str, list[Any]]:
        """The handles that take calls, by entry."""
        return {name: [member.handle for member in entry.serving] for name, entry in self._entries.items()}

    def adjust_replicas(self, now: float, queued: Mapping[str, int], workers: Sequence[Any]) -> bool:
        """Start and retire replicas as the queues say and send ``workers`` the list; returns whether it changed."""
        self._end_drained()
        gone: list[_Member] = []
        changed = False
        for name, entry in self._entries.items():
            before = list(entry.serving)
            self._admit_loaded(entry)
            gone += self._resize_entry(entry, now, queued.get(name, 0))
            changed |= before != entry.serving
        if changed:
            self._updates = [worker.update_replicas.remote(self.replicas) for worker in workers]
            self._leaving += [(member, self._updates) for member in gone]
        return changed

    def close(self) -> None:
        """End the replicas that were started here, and ask for no nodes any more."""
        for member in self._started:
            member.end_process()
        self._started = []
        if self._on_gpu:
            cancel_request()

    def _track_replicas(self, need: ReplicaNeed, handles: Sequence[Any]) -> _EntryReplicas:
        within = replica_range(list_served(self._config)[need.entry].replicas)
        policy = ReplicaPolicy(within, self._depths)
        return _EntryReplicas(need, [_Member(handle) for handle in handles], [], len(handles), policy)

    def _admit_loaded(self, entry: _EntryReplicas) -> None:
        """Replicas that have loaded begin to serve; one that cannot start is the last that is tried."""
        for member in list(entry.loading):
            if not ray.wait([member.ready], timeout=0)[0]:
                continue
            entry.loading.remove(member)
            try:
                ray.get(member.ready)
                entry.serving.append(member)
            except RayError as error:
                self._end_member(member)
                # What failed once would fail again every minute, so this entry grows no more.
                count = len(entry.serving)
                entry.policy = ReplicaPolicy(Replicas(min(entry.need.replicas, count), count), self._depths)
                cause = getattr(error, "cause", None)
                said = str(cause) if isinstance(cause, RefusedRun) else type(error).__name__
                self.changes.append(f"{entry.need.entry}: a replica did not start ({said})")

    def _resize_entry(self, entry: _EntryReplicas, now: float, queued: int) -> list[_Member]:
        """Start or retire as the policy says; returns the replicas that leave the list."""
        count = len(entry.serving) + len(entry.loading)
        wanted = entry.policy.choose_count(now, count, queued)
        if wanted == count:
            return []
        gone: list[_Member] = []
        if wanted > count:
            wanted = count + self._start_replicas(entry, wanted - count)
        elif entry.loading:  # it serves nobody yet
            self._end_member(entry.loading.pop())
        else:
            gone = [entry.serving.pop()]  # from the end: the others keep their numbers, and with them their cases
        if wanted != count:
            entry.policy.note_change(now)
            self.changes.append(f"{entry.need.entry}: {count} -> {wanted} replicas, {queued} requests queued")
        return gone

    def _start_replicas(self, entry: _EntryReplicas, more: int) -> int:
        """Start up to ``more`` replicas, as many as have room or can be given it; returns how many."""
        free = free_nodes()
        for count in range(more, 0, -1):  # all at once where they fit: their engines load side by side
            extra = replace(entry.need, replicas=count)
            if (placements := place_replicas([extra], free)) is not None:
                return self._launch_replicas(entry, placements)
            if place_replicas([extra], [*free, *find_addable_nodes(cluster_nodes())]) is not None:
                # Together with what runs: a request replaces the one before it, and nodes beyond it are ended.
                request_nodes([extra, *self._current_needs()])
                return self._launch_replicas(entry, [None] * count)
        return 0

    def _current_needs(self) -> list[ReplicaNeed]:
        """What the replicas that are there, or loading, take of the cluster."""
        return [
            replace(entry.need, replicas=len(entry.serving) + len(entry.loading)) for entry in self._entries.values()
        ]

    def _launch_replicas(self, entry: _EntryReplicas, placements: Sequence[Placement | None]) -> int:
        secrets = list_key_variables(self._config)
        for placement in placements:
            need = entry.need
            stages = reserve_pipeline(need, placement) if need.stages > 1 and need.gpus else None
            made = replica_spec(self._config, need, entry.next, self._on_gpu, *self._folders)
            member = _Member(start_replica(made, need, secrets, placement, stages), group=stages)
            member.ready = member.handle.ready.remote()
            entry.next += 1
            entry.loading.append(member)
            self._started.append(member)
        return len(placements)

    def _end_drained(self) -> None:
        """End the replicas that no worker waits for any more; a worker that was lost waits for nothing."""
        for member, updates in list(self._leaving):
            # A reply that is an error counts as well: that worker is gone, and its calls with it.
            if len(ray.wait(updates, num_returns=len(updates), timeout=0)[0]) == len(updates):
                self._leaving.remove((member, updates))
                self._end_member(member)

    def _end_member(self, member: _Member) -> None:
        """End a replica that no list holds any more; a node that was asked for it may go."""
        member.end_process()
        if member in self._started:
            self._started.remove(member)
        if self._on_gpu:
            request_nodes(self._current_needs())
