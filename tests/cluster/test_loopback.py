"""Security: a Ray that is started on this machine is reachable from this machine alone."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.cluster

PROGRAM = """
import psutil, ray
from mics_ray.config.schema import RayConfig
from mics_ray.runtime.driver.cluster import join_cluster

with join_cluster(RayConfig()):
    ray.get(ray.remote(lambda: 1).remote())
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        for connection in process.net_connections("tcp"):
            if connection.status == "LISTEN":
                print(process.name(), connection.laddr.ip)
"""


def test_every_port_of_a_cluster_of_ours_is_on_loopback() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    listening = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
    assert {"gcs_server", "raylet"} <= {name for name, _ in listening}
    loopback = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert [(name, ip) for name, ip in listening if ip not in loopback] == []
