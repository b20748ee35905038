"""A Ray cluster with Ray's own autoscaler and no GPU node yet, and a fleet on it with a stand-in for the engine.

Nodes are pretended: the autoscaler's fake provider starts each as a further Ray node of this machine, with one GPU in
its books. Prints what it saw. A program of its own, since a process can hold one cluster only.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16), "RAY_USAGE_STATS_ENABLED": "0"}

import ray
from ray._private.services import get_node_ip_address

from mics_ray.config.schema import Config, InternDefaults, ModelConfig
from mics_ray.models.types import Pictures, Reply, Request
from mics_ray.runtime.serving import autoscaler
from mics_ray.runtime.serving import fleet as fleet_module
from mics_ray.runtime.serving import model_actors as interns_module
from mics_ray.runtime.serving.fleet import Fleet
from mics_ray.runtime.serving.model_actors import cluster_nodes, start_replicas
from mics_ray.runtime.serving.placement import ReplicaNeed
from mics_ray.runtime.serving.replica import ReplicaSpec
from mics_ray.runtime.serving.replica_policy import QueueDepths
from tests.support.processes import descendants, kill, until

HEAD_ID, HEAD_KIND = "f" * 51 + "00000", "ray.head.default"
"""What the fake provider calls the head."""
NAME = "small"
DEPTHS = QueueDepths(high=8, goal=4, low=4, up_s=1, down_s=1, cool_s=2)
PATIENCE_S = 300


class StubEngine:
    """Stands in for vLLM, which would need the GPUs to be real."""

    prompt_tokens = prefix_hits = 0

    @classmethod
    async def start(cls, config: ModelConfig, on_gpu: bool) -> "StubEngine":
        assert on_gpu
        return cls()

    async def complete(self, request: Request, pictures: Pictures | None) -> Reply:
        return Reply("stub")

    async def probe(self) -> None:
        return None


def stub_spec(config: Config, need: ReplicaNeed, number: int, on_gpu: bool, *_: Any) -> ReplicaSpec:
    """A replica's specification with the stand-in."""
    return ReplicaSpec(need.entry, number, config.interns[need.entry], on_gpu, start=StubEngine.start)


@contextmanager
def autoscaled(folder: Path) -> Iterator[str]:
    """A head whose autoscaler may add two nodes with one GPU each; yields its address."""
    port = 20_000 + secrets.randbelow(10_000)
    address = f"{get_node_ip_address()}:{port}"
    kinds = {
        HEAD_KIND: {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
        "gpu": {"resources": {"CPU": 2, "GPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2},
    }
    # Not by its own name, "fake_multinode": the defaults of that are not in Ray's wheel.
    module = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
    provider: dict[str, Any] = {"type": "external", "module": module, "gcs_address": address, "head_node_id": HEAD_ID}
    # Its nodes are processes: nothing is to be installed on them, nor their processes watched over ssh.
    provider |= dict.fromkeys(("launch_multiple", "disable_node_updaters", "disable_launch_config_check"), True)
    config = {
        "cluster_name": "pretended", "max_workers": 2, "idle_timeout_minutes": 0.05, "provider": provider,
        "head_node_type": HEAD_KIND, "available_node_types": kinds, "auth": {}, "file_mounts": {},
        **{f"{who}_start_ray_commands": [] for who in ("head", "worker")},
        **{f"{who}setup_commands": [] for who in ("", "head_", "worker_")}, "initialization_commands": [],
        "docker": {}, "cluster_synced_files": [], "file_mounts_sync_continuously": False,
        "rsync_exclude": [], "rsync_filter": [],
    }  # fmt: skip
    launched = folder / "ray_bootstrap_config.yaml"
    launched.write_text(json.dumps(config))
    autoscaler.LAUNCHER_FILE = launched  # where `ray up` leaves it: in the home folder of the head
    names = {f"RAY_{name}": HEAD_ID for name in ("CLOUD_INSTANCE_ID", "OVERRIDE_NODE_ID_FOR_TESTING")}
    switches = {"RAY_FAKE_CLUSTER": "1", "RAY_enable_autoscaler_v2": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    switches["RAY_NODE_TYPE_NAME"] = HEAD_KIND
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}", "--num-cpus=1",
        "--num-gpus=0", "--include-dashboard=false", "--include-log-monitor=false", f"--temp-dir={folder}",
        "--object-store-memory=100000000", f"--autoscaling-config={launched}",
    ]  # fmt: skip
    log = folder / "head.log"
    with log.open("wb") as file:
        head = subprocess.Popen(command, env={**os.environ, **switches, **names}, stdout=file, stderr=file)
        try:
            until(lambda: head.poll() is not None or "Ray runtime started" in log.read_text(), PATIENCE_S)
            assert head.poll() is None, log.read_text()
            yield address
        finally:
            for pid in [head.pid, *descendants(head.pid)]:  # the added nodes too, which Ray's own stop would leave
                with suppress(ProcessLookupError):
                    kill(pid)
            head.wait(30)


def gpu_nodes() -> list[str]:
    """The nodes with a GPU that are there."""
    return [node.id for node in cluster_nodes() if node.gpus]


def seen() -> dict[str, Any]:
    """Have the fleet grow and shrink, and say which nodes were there and where its replicas were."""
    interns_module.is_cpu_build = lambda: False  # type: ignore[attr-defined]
    interns_module.replica_spec = fleet_module.replica_spec = stub_spec  # type: ignore[attr-defined]
    model = ModelConfig(model="m", base_url="local")
    interns = {NAME: InternDefaults(model="m", replicas={"min": 1, "max": 2})}
    config = Config(mentors={"a": model, "b": model}, interns=interns, judge=model)
    steps: dict[str, Any] = {"before": gpu_nodes()}
    handles = start_replicas(config, None, None)
    fleet = Fleet(config, handles, "", "", DEPTHS)
    ray.get([handle.ready.remote() for handle in handles[NAME]], timeout=PATIENCE_S)
    steps["first"] = gpu_nodes()

    def step(queued: int) -> list[Any]:
        fleet.adjust_replicas(time.monotonic(), {NAME: queued}, [])
        return fleet.replicas[NAME]

    until(lambda: len(step(100)) == 2, PATIENCE_S)
    steps["grown"] = gpu_nodes()
    steps["replicas"] = [ray.get(handle.read_facts.remote(), timeout=60).node for handle in fleet.replicas[NAME]]
    until(lambda: len(step(0)) == 1, PATIENCE_S)
    until(lambda: len(step(0)) == 1 and len(gpu_nodes()) == 1, PATIENCE_S)
    steps["shrunk"] = gpu_nodes()
    steps["still there"] = ray.get(fleet.replicas[NAME][0].read_facts.remote(), timeout=60).node
    fleet.close()
    ray.kill(handles[NAME][0])
    until(lambda: not gpu_nodes(), PATIENCE_S)
    return {**steps, "after": gpu_nodes(), "changes": fleet.changes}


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory(prefix="ma", dir="/tmp", ignore_cleanup_errors=True) as name,
        autoscaled(Path(name)) as address,
    ):
        try:
            ray.init(address, log_to_driver=False)
            print(json.dumps(seen()))
        finally:
            ray.shutdown()
