"""`budget_usd` against the provider's own bill."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.chaos.conftest import CASES, LATENCY_S, PRICE, SETTINGS, Calm
from tests.support.faulty_provider import FaultyProvider
from tests.support.killer import Killer
from tests.support.processes import until
from tests.support.whole_run import WholeRun

pytestmark = [pytest.mark.chaos, pytest.mark.slow]


def test_the_bill_stays_within_the_budget_and_a_larger_one_goes_on(
    tmp_path: Path, joined_run: WholeRun, calm_run: Calm
) -> None:
    run, budget = joined_run, round(calm_run.bill_usd / 2, 3)
    with FaultyProvider(latency_s=LATENCY_S, price=PRICE) as provider:
        provider.write_groups(tmp_path / "conf", **SETTINGS)
        stopped = run.to_end(f"budget_usd={budget}")
        assert stopped.returncode == 75, stopped.stderr
        assert "budget_usd" in stopped.stderr.strip().splitlines()[-1]
        assert 0.8 * budget <= provider.bill_usd <= budget
        whole = run.result()
        assert all(row in calm_run.result for row in whole)
        calls = len(provider.times)

        done = run.to_end(f"budget_usd={2.5 * budget}")
        assert done.returncode == 0, done.stderr
    assert calls < len(provider.times)
    assert run.result() == calm_run.result
    assert provider.repaid() == 0
    assert run.summary()["spent_usd"] == pytest.approx(provider.bill_usd, rel=0.02)


@pytest.mark.long
def test_kills_in_the_middle_cost_no_more_than_the_budget(tmp_path: Path, calm_run: Calm) -> None:
    # Actors outlive a driver for a moment and go on paying: less might be spent before the second kill.
    run, budget = WholeRun(tmp_path, CASES), round(0.9 * calm_run.bill_usd, 3)
    with FaultyProvider(latency_s=LATENCY_S, price=PRICE) as provider:
        provider.write_groups(tmp_path / "conf", **SETTINGS)
        for target in ("driver", "endpoint"):
            with run.start(f"budget_usd={budget}") as started:
                _strike_mid_run(started, provider, target)
                started.wait(120)
        assert provider.bill_usd <= budget
        again = run.to_end(f"budget_usd={budget}")
        assert again.returncode in (75, 78), again.stderr
        assert provider.bill_usd <= budget
        done = run.to_end(f"budget_usd={4 * budget}")
        assert done.returncode == 0, done.stderr
    assert run.result() == calm_run.result
    assert provider.repaid() <= 2 * provider.permits


def _strike_mid_run(started: "subprocess.Popen[str]", provider: FaultyProvider, target: str) -> None:
    """SIGKILL ``target`` two hundred calls after this session began to search."""
    killer = Killer(started)
    # Actors of the run that was killed before may still be asking.
    until(lambda: killer.pids("endpoint") or not killer.alive)
    goal = len(provider.times) + 200
    provider.hold_when = lambda: len(provider.times) >= goal
    until(lambda: provider.held or not killer.alive, 300)
    assert killer.strike(target, signal.SIGKILL), "nothing to kill"
    provider.release()
