"""One of two providers is gone for a minute in the middle of a run."""

import shutil
import time
from pathlib import Path

import pytest

from tests.chaos.conftest import CASES, LATENCY_S, SETTINGS, Calm
from tests.support.faulty_provider import FaultyProvider
from tests.support.processes import until
from tests.support.whole_run import WholeRun

pytestmark = [pytest.mark.chaos, pytest.mark.long]

OUTAGE_S = 60.0
SETTLED_S = 5.0
"""What was under way when the outage began has failed by then, and the breaker is open."""


def test_an_outage_costs_an_attempt_a_second_and_no_result(tmp_path: Path, calm_run: Calm) -> None:
    run = WholeRun(tmp_path, CASES)
    with FaultyProvider(latency_s=LATENCY_S) as judge, FaultyProvider(latency_s=LATENCY_S) as others:
        others.write_groups(tmp_path / "conf", **SETTINGS)
        judge.write_groups(tmp_path / "away", **SETTINGS)
        shutil.copy(tmp_path / "away/judge/test.yaml", tmp_path / "conf/judge/test.yaml")
        judge.hold_when = lambda: len(judge.times) >= 100
        with run.start() as started:
            until(lambda: judge.held or started.poll() is not None, 300)
            began = time.monotonic()
            judge.out.set()
            judge.release()
            time.sleep(OUTAGE_S)
            judge.out.clear()
            ended = time.monotonic()
            assert started.wait(240) == 0, run.messages()
    assert judge.injected["outage"] > 0
    assert run.result() == calm_run.result
    attempts = [at for at in judge.times if began + SETTLED_S < at < ended]
    assert 1 <= len(attempts) <= ended - began
    assert len(judge.times) + len(others.times) <= calm_run.calls + judge.injected.total()
    assert judge.repaid() + others.repaid() == 0
