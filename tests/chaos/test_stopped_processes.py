"""What is stopped for a minute (a process, a machine that is frozen) loses no vote and makes no burst afterwards."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.conftest import LATENCY_S, SETTINGS, Calm
from tests.chaos.endpoint_program import DEADLINE_S
from tests.chaos.endpoint_program import PER_MINUTE as ASKED_PER_MINUTE
from tests.support.faulty_provider import FaultyProvider
from tests.support.killer import Killer
from tests.support.processes import until
from tests.support.program import ROOT
from tests.support.whole_run import WholeRun

pytestmark = [pytest.mark.chaos, pytest.mark.long]

CASES = 16
PER_MINUTE = 3000
PAUSE_S = 60.0


@pytest.mark.parametrize("targets", [("endpoint",), ("endpoint", "worker", "writer", "driver")])
def test_a_minute_asleep_changes_nothing_and_is_no_credit(
    tmp_path: Path, targets: tuple[str, ...], calm_run: Calm
) -> None:
    assert 2 * SETTINGS["deadline_s"] < PAUSE_S
    run = WholeRun(tmp_path, CASES)
    with FaultyProvider(latency_s=LATENCY_S) as provider:
        provider.write_groups(tmp_path / "conf", **SETTINGS, requests_per_minute=PER_MINUTE)
        provider.hold_when = lambda: len(provider.times) >= 300
        with run.start() as started:
            killer = Killer(started)
            until(lambda: provider.held or not killer.alive, 300)
            killer.pause(PAUSE_S, *targets, meanwhile=provider.release)
            assert started.wait(240) == 0, run.messages()
    assert killer.sent == {(target, name): 1 for target in targets for name in ("SIGSTOP", "SIGCONT")}
    assert run.result() == calm_run.result[:CASES]
    assert provider.repaid() <= provider.permits, "what was under way is repeated once at most"
    # A second's worth of slack: this provider reads its sockets late on a busy machine.
    assert provider.densest(10.0) <= PER_MINUTE / 6 + PER_MINUTE / 60


def test_an_endpoint_asleep_for_a_minute_gets_every_reply_and_asks_nothing_twice() -> None:
    assert 2 * DEADLINE_S < PAUSE_S
    # Slow replies: at every moment some are under way.
    with FaultyProvider(latency_s=1.5) as provider:
        program = [sys.executable, "-m", "tests.chaos.endpoint_program", provider.url, "200"]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=ROOT) as asking:
            until(lambda: len(provider.times) >= 60 or asking.poll() is not None)
            under_way = provider.open
            asking.send_signal(signal.SIGSTOP)
            time.sleep(PAUSE_S)
            asking.send_signal(signal.SIGCONT)
            answered, _ = asking.communicate(timeout=240)
    assert under_way > 0, "nothing was under way"
    assert int(answered) == 200
    assert provider.repaid() == 0
    assert provider.densest(10.0) <= ASKED_PER_MINUTE / 6 + 1
