"""Nodes other than the head are lost again and again, and others take their place."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.conftest import CASES, PRICE, SETTINGS, Calm
from tests.support.faulty_provider import FaultyProvider
from tests.support.processes import named, until
from tests.support.ray_nodes import Node, ray_nodes
from tests.support.whole_run import WholeRun

pytestmark = [pytest.mark.chaos, pytest.mark.long]

WORKERS = 6
"""Ray puts each on a node that it draws; the driver, the writer and the endpoints stay with the head."""
LATENCY_S = 0.7
"""A run must outlast the start of three nodes."""
LOSSES, EVERY_S = 3, 5.0
PATIENT = SETTINGS | {"deadline_s": 60, "max_in_flight": 48}


def test_lost_raylets_change_no_row(
    tmp_path: Path, calm_run: Calm, record_property: Callable[[str, object], None]
) -> None:
    at_losses: list[int] = []
    with ray_nodes() as nodes, FaultyProvider(latency_s=LATENCY_S, price=PRICE) as provider:
        nodes.start_head(cpus=1)
        others = [nodes.add(), nodes.add()]
        join = (f"ray.address={nodes.address}", f"ray.workers={WORKERS}")
        run = WholeRun(tmp_path, CASES, WORKERS, extra=join, environment=nodes.environment)
        provider.write_groups(run.folder / "conf", **PATIENT)
        with run.start() as driver:
            for loss in range(LOSSES):
                _wait(driver, provider, (loss + 1) * calm_run.calls // 8)
                assert driver.poll() is None, f"the run ended before loss {loss + 1}: {run.messages()}"
                victim = max(others, key=_workers)
                at_losses.append(_workers(victim))
                _lose(victim)
                others.remove(victim)
                others.append(nodes.add())
            provider.latency_s = 0.05  # nothing else is to come: the rest may be quick
            assert driver.wait(600) == 0, run.messages()
    assert sum(at_losses) > 0, "no worker was on a node that was lost"
    assert run.result() == calm_run.result
    assert provider.repaid() <= LOSSES * provider.permits
    found = f"{LOSSES} raylets with {at_losses} workers, {provider.repaid()} calls paid again"
    record_property("raylets lost", found)
    print(found)


def _wait(driver: "subprocess.Popen[str]", provider: FaultyProvider, calls: int) -> None:
    """Until that many calls have come in and some seconds are over, or the run is."""
    due = time.monotonic() + EVERY_S
    until(lambda: driver.poll() is not None or (len(provider.times) >= calls and time.monotonic() >= due), 300)


def _workers(node: Node) -> int:
    return len(named(node.keeper.pid, "ray::SearchWorker"))


def _lose(node: Node) -> None:
    (raylet,) = node.pids("raylet")
    os.kill(raylet, signal.SIGKILL)
    node.keeper.wait(60)
