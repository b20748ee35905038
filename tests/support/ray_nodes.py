"""A Ray cluster that a test owns on loopback: `ray start --block` node by node, ports, folder and token its own."""

import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes import descendants, kill, until

START_S, ATTEMPTS = 60, 3
"""On a busy machine a raylet may end itself while it starts, as its agents are late: `ray start` then gives it up."""
HEALTH = {"initial_delay_ms": 1000, "period_ms": 1000, "timeout_ms": 10000, "failure_threshold": 3}
"""A raylet that is gone is given up after 3 s, one that is slow after 30 s."""


@dataclass(frozen=True)
class Node:
    """One node: the `ray start` that keeps it; everything of the node is a descendant of it."""

    keeper: "subprocess.Popen[bytes]"
    family: frozenset[int]

    def pids(self, program: str) -> list[int]:
        """Its processes of ``program``, such as ``raylet`` or ``gcs_server``."""
        return [pid for pid in self.family if _program(pid) == program]


@dataclass
class RayNodes:
    """A head without CPUs for others to join, and nodes; ``environment`` is what a driver needs to join it."""

    folder: Path
    environment: dict[str, str]
    nodes: list[Node] = field(default_factory=list)
    address: str = ""

    def start_head(self, cpus: int = 4) -> Node:
        """Start the head."""
        gcs, client = free_ports(2)
        self.address = f"127.0.0.1:{gcs}"
        options = ["--head", f"--port={gcs}", f"--ray-client-server-port={client}", "--include-dashboard=false"]
        return self._start(cpus, *options, f"--temp-dir={self.folder}/ray")

    def add(self, cpus: int = 2, **resources: float) -> Node:
        """Start one more node."""
        return self._start(cpus, f"--address={self.address}", f"--resources={json.dumps(resources)}")

    def down(self) -> None:
        """End every process of the cluster, whatever state it is in."""
        family = {pid for node in self.nodes for pid in (*node.family, *descendants(node.keeper.pid))}
        for node in self.nodes:
            node.keeper.kill()
            node.keeper.wait(40)
        for pid in family:
            if _of_folder(pid, self.folder):
                kill(pid)

    def _start(self, cpus: int, *options: str) -> Node:
        agent = free_ports(1)[0]
        log = self.folder / f"node-{len(self.nodes)}.log"
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats",
            "--node-ip-address=127.0.0.1", f"--dashboard-agent-listen-port={agent}", "--include-log-monitor=false",
            f"--num-cpus={cpus}", "--num-gpus=0", "--object-store-memory=150000000", *options,
        ]  # fmt: skip
        for _ in range(ATTEMPTS):
            keeper = _begun(command, {**os.environ, **self.environment}, log)
            if keeper.poll() is None:
                break
        else:
            raise RuntimeError(log.read_text(errors="replace")[-1000:])
        node = Node(keeper, frozenset([keeper.pid, *descendants(keeper.pid)]))
        self.nodes.append(node)
        return node


def _begun(command: list[str], environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """A `ray start` that is up or has ended."""
    with log.open("wb") as file:
        keeper = subprocess.Popen(command, env=environment, stdout=file, stderr=file, cwd="/")
    until(lambda: keeper.poll() is not None or b"Ray runtime started" in log.read_bytes(), 4 * START_S, 0.2)
    return keeper


@contextmanager
def ray_nodes(**variables: str) -> Iterator[RayNodes]:
    """An empty cluster in a folder with a short path; ``variables`` are its processes' environment."""
    folder = Path("/tmp") / f"mn{secrets.token_hex(3)}"
    folder.mkdir(mode=0o700)
    (folder / "token").write_text(secrets.token_hex(16))
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_raylet_start_wait_time_s": str(START_S), **_health(HEALTH), **variables,
    }  # fmt: skip
    cluster = RayNodes(folder, environment)
    try:
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses at the moment, and that the kernel gives to nobody: Ray takes many of those."""
    found: list[int] = []
    for port in random.Random(time.monotonic_ns()).sample(range(20000, 32000), 100):
        with socket.socket() as probe:
            if len(found) < count and probe.connect_ex(("127.0.0.1", port)):
                found.append(port)
    return found


def _health(settings: Mapping[str, int]) -> dict[str, str]:
    return {f"RAY_health_check_{name}": str(value) for name, value in settings.items()}


def _program(pid: int) -> str:
    try:
        return Path(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()).name
    except OSError:
        return ""


def _of_folder(pid: int, folder: Path) -> bool:
    """Whether a process was started with this cluster's token: numbers of processes are used again."""
    try:
        return str(folder).encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
