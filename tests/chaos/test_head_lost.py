"""The head of the cluster is killed in the middle of a run: the driver leaves in time, and its successor goes on."""

import os
import signal
from pathlib import Path

import pytest

from tests.chaos.conftest import CASES, LATENCY_S, PATIENT, PRICE, Calm
from tests.support.faulty_provider import FaultyProvider
from tests.support.processes import alive, descendants, until
from tests.support.ray_nodes import Node, RayNodes, ray_nodes
from tests.support.whole_run import WholeRun

pytestmark = [pytest.mark.chaos, pytest.mark.long]

AT_MOST_S = 60.0
WINDOW = 4


def test_a_driver_whose_head_is_lost_ends_75_and_its_successor_goes_on(tmp_path: Path, calm_run: Calm) -> None:
    with FaultyProvider(latency_s=LATENCY_S, price=PRICE) as provider:
        provider.write_groups(tmp_path / "conf", **PATIENT)
        with ray_nodes() as nodes:
            head, run = nodes.start_head(), _run(tmp_path, nodes)
            provider.hold_when = lambda: len(provider.times) >= calm_run.calls / 4
            with run.start() as driver:
                until(lambda: provider.held or driver.poll() is not None, 300)
                assert driver.poll() is None, run.messages()
                of_ours = [pid for pid in descendants(head.keeper.pid) if _is_actor(pid)]
                assert len(of_ours) >= 3, "worker, endpoint and writer"
                _lose(head)
                provider.release()
                assert driver.wait(AT_MOST_S) == 75, run.messages()
            assert _last_line(run).endswith("the same command goes on when there is one again")
            assert "Traceback" not in run.messages()
            until(lambda: not any(map(alive, of_ours)), AT_MOST_S)
        paid = len(provider.times)
        assert paid < calm_run.calls

        with ray_nodes() as nodes:
            nodes.start_head()
            again = _run(tmp_path, nodes).to_end()
        assert again.returncode == 0, again.stderr
    assert run.result() == calm_run.result
    assert provider.repaid() <= provider.permits


def _run(folder: Path, nodes: RayNodes) -> WholeRun:
    return WholeRun(folder, CASES, WINDOW, extra=(f"ray.address={nodes.address}",), environment=nodes.environment)


def _lose(head: Node) -> None:
    (gcs,) = head.pids("gcs_server")
    os.kill(gcs, signal.SIGKILL)


def _is_actor(pid: int) -> bool:
    title = Path(f"/proc/{pid}/cmdline").read_bytes()
    return any(title.startswith(f"ray::{name}".encode()) for name in ("SearchWorker", "EndpointActor", "WriterActor"))


def _last_line(run: WholeRun) -> str:
    """Of what the driver said; where its progress is no terminal's, each message is a line."""
    return run.messages().rstrip().splitlines()[-1]
