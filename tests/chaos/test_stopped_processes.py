"""A process that is stopped for a while (a suspended machine, a debugger) makes no burst when it goes on."""

from pathlib import Path

import pytest

from tests.chaos.conftest import LATENCY_S, SETTINGS, Calm
from tests.support.faulty_provider import FaultyProvider
from tests.support.killer import Killer
from tests.support.processes import until
from tests.support.whole_run import WholeRun

pytestmark = [pytest.mark.chaos, pytest.mark.long]

CASES = 16
PER_MINUTE = 3000
PAUSE_S = 10.0
PATIENT = {"deadline_s": 60}
"""Sleeping counts as waiting: a call under way must be allowed more than the pause."""


@pytest.mark.parametrize("target", ["endpoint", "driver"])
def test_ten_seconds_asleep_are_no_credit(tmp_path: Path, target: str, calm_run: Calm) -> None:
    run = WholeRun(tmp_path, CASES)
    with FaultyProvider(latency_s=LATENCY_S) as provider:
        provider.write_groups(tmp_path / "conf", **(SETTINGS | PATIENT), requests_per_minute=PER_MINUTE)
        with run.start() as started:
            killer = Killer(started)
            until(lambda: len(provider.times) >= 300 or not killer.alive)
            killer.pause(target, PAUSE_S)
            assert started.wait(240) == 0, run.messages()
    assert killer.sent == {(target, "SIGSTOP"): 1, (target, "SIGCONT"): 1}
    assert run.result() == calm_run.result[:CASES]
    assert provider.repaid() == 0
    # A second's worth of slack: this provider reads its sockets late on a busy machine.
    assert provider.densest(10.0) <= PER_MINUTE / 6 + PER_MINUTE / 60
