"""A job over three Ray hosts with addresses of their own, one of them cut off in the middle of it and healed."""

import contextlib
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mics_ray.errors import EXIT_OK, EXIT_STOPPED
from tests.support.netns import Host, Network, network, possible
from tests.support.processes import until
from tests.support.program import ROOT, rows

pytestmark = [
    pytest.mark.outside,
    pytest.mark.skipif(not possible(), reason="needs root and iproute2"),
]

GCS_PORT, PROVIDER_PORT = 6379, 8123
CASES = 32
RAY = str(Path(sys.executable).with_name("ray"))
DEAD = "is dead because the health check failed"
PATIENCE_S = 600
"""For each stage; a busy machine takes minutes to start three Rays and two engines."""


@dataclass
class Cluster:
    """A Ray of three hosts: the driver's, and one for each intern."""

    net: Network
    environment: dict[str, str]

    @property
    def hosts(self) -> list[Host]:
        return self.net.hosts

    def log(self, name: str) -> Path:
        return self.net.folder / f"{name}.log"

    def up(self) -> None:
        """Start a provider on the loopback of every host, the head, and the others under a supervisor."""
        for host in self.hosts:
            serve = f"sleep infinity | {sys.executable} -m mics_ray.local.server --port {PROVIDER_PORT}"
            self.net.start(host, ["sh", "-c", serve], self.log(f"provider-{host.number}"), self.environment)
        head, *others = self.hosts
        options = ["--head", f"--port={GCS_PORT}", "--include-dashboard=false", f"--temp-dir={self.net.private}"]
        self._ray(head, *options)
        until(lambda: b"Ray runtime started" in self.log("ray-0").read_bytes(), PATIENCE_S)
        for host in others:
            self._ray(host, f"--address={head.address}:{GCS_PORT}")
        until(lambda: all(self.starts(host) == 1 for host in others), PATIENCE_S)

    def _ray(self, host: Host, *options: str) -> None:
        """Start Ray on ``host`` again and again, as a cluster's own supervisor does for a node that was lost."""
        sizes = ["--num-cpus=2", "--num-gpus=0", "--include-log-monitor=false", f"--object-store-memory={128 << 20}"]
        start = [
            RAY,
            "start",
            "--block",
            f"--node-ip-address={host.address}",
            "--disable-usage-stats",
            *sizes,
            *options,
        ]
        loop = ["sh", "-c", 'while :; do "$@"; sleep 1; done', "sh", *start]
        self.net.start(host, loop, self.log(f"ray-{host.number}"), self.environment)

    def starts(self, host: Host) -> int:
        """How often Ray came up on ``host``."""
        path = self.log(f"ray-{host.number}")
        return path.read_bytes().count(b"Ray runtime started") if path.exists() else 0

    def lost(self) -> int:
        """How many hosts the head has given up."""
        logs = (self.net.folder / "private-0").glob("session_*/logs/gcs_server.out")
        return sum(path.read_text(errors="replace").count(DEAD) for path in logs)

    def job(self, folder: Path) -> "subprocess.Popen[bytes]":
        """The job on the head, its two interns on the two other hosts."""
        head, *others = self.hosts
        interns = dict(zip(("tiny_internvl", "tiny_qwen25vl"), (host.address for host in others), strict=True))
        url = f"http://127.0.0.1:{PROVIDER_PORT}/v1"
        names = ("attending", "resident", "student")
        overrides = [
            "experiment=demo", f"ray.address={head.address}:{GCS_PORT}", f"run.dir={folder}", "window=8",
            "ray.workers=2", f"judge.base_url={url}", *(f"mentors.simulated_{name}.base_url={url}" for name in names),
        ]  # fmt: skip
        program = str(Path(__file__).with_name("host_driver.py"))
        arguments = [sys.executable, program, json.dumps(interns), *overrides]
        return self.net.start(head, arguments, self.log("driver"), self.environment)


@pytest.fixture
def ray_hosts() -> Iterator[Cluster]:
    with network(3) as net:
        token = net.folder / "token"
        token.write_text(secrets.token_hex(16))
        token.chmod(0o600)
        auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0"}
        auth |= {"RAY_raylet_start_wait_time_s": str(PATIENCE_S)}
        # Ray's own health checks: with shorter ones a busy machine loses hosts that nobody cut off.
        cluster = Cluster(net, {**auth, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"})
        try:
            cluster.up()
            yield cluster
        finally:
            for path in sorted(net.folder.glob("*.log")):
                print(f"--- {path.name}", path.read_text(errors="replace")[-2000:], sep="\n")


def committed(folder: Path) -> int:
    return len(rows(folder)) if (folder / "results").is_dir() else 0


def test_a_host_that_is_cut_off_and_healed_costs_no_row_and_doubles_none(ray_hosts: Cluster, tmp_path: Path) -> None:
    run, victim = tmp_path / "run", ray_hosts.hosts[2]
    job = ray_hosts.job(run)
    until(lambda: committed(run) or job.poll() is not None, 2 * PATIENCE_S, 0.2)
    before = committed(run)
    assert job.poll() is None, "the job ended before a host could be cut off"
    assert 0 < before < CASES

    ray_hosts.net.cut(victim)
    until(ray_hosts.lost, PATIENCE_S, 0.2)
    assert job.poll() is None
    ray_hosts.net.heal(victim)
    until(lambda: ray_hosts.starts(victim) == 2, PATIENCE_S, 0.5)

    code = job.wait(2 * PATIENCE_S)
    if code == EXIT_STOPPED:
        code = ray_hosts.job(run).wait(2 * PATIENCE_S)
    assert code == EXIT_OK
    found = rows(run)
    assert [row["case_id"] for row in found] == [f"phantom-{number:03}" for number in range(1, CASES + 1)]
    assert {row["outcome"] for row in found} <= {"solved", "depth", "dead_end"}
    print_account(ray_hosts, before)


def print_account(ray_hosts: Cluster, before: int) -> None:
    """For the person who looks: where the interns stood, and what the cut met."""
    with contextlib.suppress(OSError):
        print(ray_hosts.log("driver").read_text(errors="replace"))
    print(f"{before} of {CASES} cases were committed when the host was cut off; {ray_hosts.lost()} host lost")
