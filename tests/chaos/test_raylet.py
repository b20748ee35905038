"""Nodes other than the head are lost again and again, and others take their place."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.conftest import CASES, LATENCY_S, PATIENT, PRICE, Calm
from tests.support.faulty_provider import FaultyProvider
from tests.support.processes import named, until
from tests.support.ray_nodes import Node, ray_nodes
from tests.support.whole_run import WholeRun

pytestmark = [pytest.mark.chaos, pytest.mark.long]

WORKERS = 6
"""Ray puts each on a node that it draws; the driver, the writer and the endpoints stay with the head."""
LOSSES = 3


def test_lost_raylets_change_no_row(
    tmp_path: Path, calm_run: Calm, record_property: Callable[[str, object], None]
) -> None:
    at_losses: list[int] = []
    with ray_nodes() as nodes, FaultyProvider(latency_s=LATENCY_S, price=PRICE) as provider:
        nodes.start_head(cpus=1)
        others = [nodes.add(), nodes.add()]
        join = (f"ray.address={nodes.address}", f"ray.workers={WORKERS}")
        run = WholeRun(tmp_path, CASES, WORKERS, extra=join, environment=nodes.environment)
        provider.write_groups(run.folder / "conf", **PATIENT | {"max_in_flight": 48})
        with run.start() as driver:
            for loss in range(LOSSES):
                # Nobody is answered from here until the node is gone: a quick run does not end before it.
                provider.hold_when = lambda loss=loss: len(provider.times) >= (loss + 1) * calm_run.calls // 8
                provider.release()
                until(lambda: provider.held or driver.poll() is not None, 300)
                assert driver.poll() is None, f"the run ended before loss {loss + 1}: {run.messages()}"
                victim = max(others, key=_workers)
                at_losses.append(_workers(victim))
                _lose(victim)
                provider.release()
                others.remove(victim)
                others.append(nodes.add())
            assert driver.wait(600) == 0, run.messages()
    assert sum(at_losses) > 0, "no worker was on a node that was lost"
    assert run.result() == calm_run.result
    assert provider.repaid() <= LOSSES * provider.permits
    found = f"{LOSSES} raylets with {at_losses} workers, {provider.repaid()} calls paid again"
    record_property("raylets lost", found)
    print(found)


def _workers(node: Node) -> int:
    return len(named(node.keeper.pid, "ray::SearchWorker"))


def _lose(node: Node) -> None:
    (raylet,) = node.pids("raylet")
    os.kill(raylet, signal.SIGKILL)
    node.keeper.wait(60)
