"""The trainer on the cluster: one launcher process per node, inside an actor that holds the node's GPUs."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from mics_ray.errors import RefusedRun, Stopped
from mics_ray.private_files import open_append
from mics_ray.runtime.serving.model_actors import cluster_nodes
from mics_ray.runtime.serving.replica import secret_names
from train.backends.base import Say, TrainerFailed
from train.backends.internvl.commands import Rendezvous, chat_folder, trainer_environment
from train.backends.internvl.guard import signal_at_parents_end
from train.config import TrainConfig

POLL_S = 0.5
STOP_S = 45.0
"""From SIGTERM to SIGKILL: torch's launcher itself gives its workers 30 s, and they must not outlive it."""
TAIL_LINES = 60
TAIL_BYTES = 16384
GUARD = (sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")))


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node as its actor sees it: ``missing`` are the files asked for that are not there."""

    host: str
    address: str
    port: int
    missing: list[str]


class TrainerNode:
    """The actor of one node. Its calls return at once, all but :meth:`stop_process`."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path()

    def report_facts(self, needed: Sequence[str]) -> NodeFacts:
        """Where this node is, with a port that is free, and what it does not see of ``needed``."""
        with socket.socket() as probe:
            probe.bind(("", 0))
            port = int(probe.getsockname()[1])
        missing = [path for path in needed if not Path(path).exists()]
        return NodeFacts(socket.gethostname(), ray.util.get_node_ip_address(), port, missing)

    def start_process(self, command: Sequence[str], log: str) -> None:
        """Start ``command``; what it writes goes to the end of ``log``."""
        self._log = Path(log)
        ours = Path(sys.executable).parent
        variables = trainer_environment(self._config, os.environ, secret_names(os.environ), ours)
        with open(log, "ab", opener=open_append) as file:
            self._process = subprocess.Popen(
                [*GUARD, *command],
                cwd=chat_folder(self._config),
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a process group of its own, for killpg
                preexec_fn=partial(signal_at_parents_end, signal.SIGKILL),
            )

    def poll_process(self) -> int | None:
        """The exit code of the process; ``None`` while it runs."""
        return None if self._process is None else self._process.poll()

    def read_log_tail(self) -> list[str]:
        """The last lines of the log."""
        with self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]

    def stop_process(self) -> None:
        """End the process and what it started, in good order where it lets itself be ended."""
        if self._process is None or self._process.poll() is not None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class NodeGroup:
    """The actors of all nodes, in the order of their ranks."""

    def __init__(self, handles: Sequence[Any], asked: Callable[[], bool]) -> None:
        self._handles = list(handles)
        self._asked = asked
        self._facts: list[NodeFacts] = []

    def check_files(self, needed: Sequence[str]) -> None:
        """Wait for every node. Raises :class:`RefusedRun` where one does not see a file of ``needed``."""
        self._facts = self._gather([handle.report_facts.remote(list(needed)) for handle in self._handles])
        for facts in self._facts:
            if facts.missing:
                raise RefusedRun(
                    f"node {facts.host} does not see {facts.missing[0]}; "
                    "every node needs the same files at the same paths"
                )

    def choose_rendezvous(self) -> Rendezvous:
        """The first node's address and a port that is free there at this moment."""
        # Asked for before each stage: a port that was free at the start may be taken by then.
        (first,) = self._gather([self._handles[0].report_facts.remote([])])
        return Rendezvous(first.address if len(self._handles) > 1 else "127.0.0.1", str(first.port))

    def run_commands(self, what: str, commands: Mapping[int, Sequence[str]], logs: Mapping[int, Path]) -> None:
        """Run one command on each of some nodes, all at the same time, until all have ended.

        Raises :class:`TrainerFailed` with the log's last lines when one fails, :class:`Stopped`; the others are
        ended first.
        """
        used = {node: self._handles[node] for node in commands}
        try:
            self._gather(
                [used[node].start_process.remote(list(words), str(logs[node])) for node, words in commands.items()]
            )
            while True:
                codes = dict(
                    zip(used, self._gather([handle.poll_process.remote() for handle in used.values()]), strict=True)
                )
                for node in (node for node, code in codes.items() if code):
                    self._raise_failure(what, node, codes[node], logs[node])
                if all(code == 0 for code in codes.values()):
                    return
                self._wait_or_stop()
        finally:
            stops = [handle.stop_process.remote() for handle in used.values()]
            # Not ray.get, which would raise for a lost node and hide the error that ended the commands.
            ray.wait(stops, num_returns=len(stops), timeout=STOP_S + 5)

    def _raise_failure(self, what: str, node: int, code: int | None, log: Path) -> None:
        (lines,) = self._gather([self._handles[node].read_log_tail.remote()])
        shown = "\n".join(f"  {line}" for line in lines)
        raise TrainerFailed(
            f"{what} failed on node {node} ({self._facts[node].host}, exit code {code}); whole log: {log}\n{shown}"
        )

    def _wait_or_stop(self) -> None:
        time.sleep(POLL_S)
        if self._asked():
            raise Stopped("stopped; the same command goes on from the last checkpoint")

    def _gather(self, refs: Sequence[Any]) -> list[Any]:
        """Wait for replies, watching for a stop. Raises :class:`Stopped` when a node is lost."""
        waiting = list(refs)
        try:
            while waiting:
                _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=POLL_S)
                if waiting and self._asked():
                    raise Stopped("stopped; the same command goes on from the last checkpoint")
            return list(ray.get(list(refs)))
        except RayError as error:
            raise Stopped(
                f"a node was lost ({type(error).__name__}); the same command goes on from the last checkpoint"
            ) from None


@contextmanager
def open_node_group(config: TrainConfig, asked: Callable[[], bool], say: Say) -> Iterator[NodeGroup]:
    """One actor on each of ``upstream.nodes`` nodes with ``gpus_per_node`` GPUs of it, for a while.

    ``asked`` says whether the person wants a stop. Raises :class:`RefusedRun` when the cluster is too small.
    """
    nodes, gpus = config.upstream.nodes, config.upstream.gpus_per_node
    _refuse_small_cluster(nodes, gpus)
    say(f"asking the cluster for {nodes} node(s) with {gpus} GPU(s) each")
    # One core is for the actor, which only waits; Ray does not know of the trainer's own processes.
    bundle = {"GPU": float(gpus), "CPU": 1.0}
    group = placement_group([bundle] * nodes, strategy="STRICT_SPREAD")
    try:
        ready = group.ready()
        while not ray.wait([ready], timeout=POLL_S)[0]:
            if asked():
                raise Stopped("stopped while waiting for GPUs; the same command tries again")
        yield NodeGroup([_start_node(config, group, node) for node in range(nodes)], asked)
    finally:
        remove_placement_group(group)


def _start_node(config: TrainConfig, group: Any, node: int) -> Any:
    place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=node)
    options = {"num_gpus": config.upstream.gpus_per_node, "num_cpus": 1, "scheduling_strategy": place}
    return ray.remote(TrainerNode).options(**options).remote(config)


def _refuse_small_cluster(nodes: int, gpus: int) -> None:
    there = cluster_nodes()
    wide = [node for node in there if node.gpus >= gpus and node.cpus >= 1]
    if len(wide) < nodes:
        raise RefusedRun(
            f"training needs {nodes} node(s) with {gpus} GPU(s) and a core each: the cluster has {len(wide)} such "
            f"node(s), {sum(node.gpus for node in there):g} GPU(s) in all; set train.upstream.nodes and gpus_per_node"
        )
