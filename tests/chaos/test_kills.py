"""Real processes of a real run are killed; every case still ends as exactly one row, and little is paid twice.

The provider holds its answers in the middle of the run until the test has acted: no run is over too soon.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.conftest import CASES, LATENCY_S, PATIENT, Calm
from tests.support.faulty_provider import FaultyProvider
from tests.support.killer import Killer
from tests.support.processes import until
from tests.support.program import rows
from tests.support.whole_run import WholeRun

pytestmark = pytest.mark.chaos

WINDOW = 4
"""At a third of the calls more cases are through than this holds open, so that a row waits to be committed."""

STOPPED_S = 3.0
"""By then a stop has reached everybody: a second is what is promised, and a slow machine has three."""


@contextmanager
def serving(run: WholeRun) -> Iterator[FaultyProvider]:
    with FaultyProvider(latency_s=LATENCY_S) as provider:
        provider.write_groups(run.folder / "conf", **PATIENT)
        yield provider


def whole_run(folder: Path) -> WholeRun:
    return WholeRun(folder, CASES, WINDOW, extra=("ray.workers=2",))


def wait_mid_run(run: WholeRun, driver: "subprocess.Popen[str]", provider: FaultyProvider, committed: int = 0) -> None:
    """Until the provider holds and more than so many shards are committed."""
    until(lambda: provider.held or driver.poll() is not None, 300)
    until(lambda: run.committed() > committed or driver.poll() is not None)
    assert driver.poll() is None, f"the run ended before it could be struck: {run.messages()}"


def hold_after(provider: FaultyProvider, calls: float) -> None:
    """Hold once that many more calls have come in."""
    goal = len(provider.times) + calls
    provider.hold_when = lambda: len(provider.times) >= goal


def test_the_driver_killed_twice_and_resumed(tmp_path: Path, calm_run: Calm) -> None:
    run = whole_run(tmp_path)
    with serving(run) as provider:
        for kills in (1, 2):
            hold_after(provider, calm_run.calls / 3)
            provider.release()
            with run.start() as driver:
                wait_mid_run(run, driver, provider, run.committed() if kills == 2 else 0)
                assert Killer(driver).strike("driver")
        provider.release()
        resumed = run.to_end()
        assert resumed.returncode == 0, resumed.stderr
    assert run.result() == calm_run.result
    assert provider.repaid() <= 2 * provider.permits


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_keeps_what_was_done_and_the_same_command_goes_on(
    tmp_path: Path, number: signal.Signals, calm_run: Calm
) -> None:
    run = whole_run(tmp_path)
    with serving(run) as provider:
        hold_after(provider, calm_run.calls / 3)
        with run.start() as driver:
            wait_mid_run(run, driver, provider)
            # As a terminal does: Ctrl-C goes to the whole process group.
            os.killpg(driver.pid, number) if number == signal.SIGINT else driver.send_signal(number)
            time.sleep(STOPPED_S)
            calls = len(provider.times)
            provider.release()
            assert driver.wait(60) == 75
        assert len(provider.times) == calls, "a call was made after the stop"
        before = len(rows(run.dir))
        assert 0 < before < CASES
        resumed = run.to_end()
        assert resumed.returncode == 0, resumed.stderr
    assert run.result() == calm_run.result
    assert provider.repaid() == 0, "a clean stop waits for the replies that are paid for"


@pytest.mark.parametrize(
    "actor",
    ["worker", pytest.param("writer", marks=pytest.mark.slow), pytest.param("endpoint", marks=pytest.mark.slow)],
)
def test_an_actor_killed_mid_run(tmp_path: Path, actor: str, calm_run: Calm) -> None:
    run = whole_run(tmp_path)
    with serving(run) as provider:
        hold_after(provider, calm_run.calls / 3)
        with run.start() as driver:
            wait_mid_run(run, driver, provider)
            assert Killer(driver).strike(actor), "nothing to kill"
            provider.release()
            assert driver.wait(300) == 0, run.messages()
    assert run.result() == calm_run.result
    assert provider.repaid() <= provider.permits


@pytest.mark.slow
def test_a_second_driver_is_turned_away(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    with serving(run) as provider:
        hold_after(provider, 1)  # the first run outlasts the second's start, however long that takes
        with run.start() as driver:
            until(lambda: provider.held or driver.poll() is not None, 300)
            second = run.to_end()
            assert second.returncode == 73
            assert "another run is writing" in second.stderr
            driver.send_signal(signal.SIGINT)
            provider.release()
            assert driver.wait(60) == 75
