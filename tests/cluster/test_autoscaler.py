"""Ray's own autoscaler, on pretended nodes: it is asked for what a queue needs, and for less when the queue is gone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    program = Path(__file__).with_name("autoscaled_program.py")
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True, text=True, timeout=600, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_a_cluster_without_a_gpu_node_gets_one_for_the_least_number(seen: dict[str, Any]) -> None:
    assert seen["before"] == []
    assert len(seen["first"]) == 1


def test_a_deep_queue_brings_a_node_and_the_second_replica_goes_there(seen: dict[str, Any]) -> None:
    assert len(seen["grown"]) == 2
    assert sorted(seen["replicas"]) == sorted(seen["grown"])
    assert seen["changes"][0].startswith("small: 1 -> 2 replicas, 100 requests queued")


def test_an_empty_queue_gives_the_node_back_and_the_first_replica_keeps_its_own(seen: dict[str, Any]) -> None:
    assert seen["shrunk"] == [seen["still there"]] == seen["first"]
    assert seen["changes"][1].startswith("small: 2 -> 1 replicas")


def test_nothing_is_asked_for_after_the_run(seen: dict[str, Any]) -> None:
    assert seen["after"] == []
