"""Pinning and placement on a cluster whose GPUs are pretended and whose engine is a stand-in."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.fake_gpu_program import SLICES

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    program = Path(__file__).with_name("fake_gpu_program.py")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def gpus(seen: dict[str, Any], intern: str) -> list[tuple[str, list[str]]]:
    return [(node, visible.split(",")) for name, node, visible in seen["replicas"] if name == intern]


def test_stub_replicas_on_pretended_gpus_never_share_one(seen: dict[str, Any]) -> None:
    taken = [(node, gpu) for name in ("wide", "narrow") for node, visible in gpus(seen, name) for gpu in visible]
    assert len(taken) == 4
    assert len(set(taken)) == 4
    assert seen["fits"] == []


def test_a_stub_replica_of_tensor_parallel_2_has_two_pretended_gpus_of_one_node(seen: dict[str, Any]) -> None:
    ((_, visible),) = gpus(seen, "wide")
    assert sorted(visible) in (["0", "1"], SLICES)
    assert all(len(visible) == 1 for _, visible in gpus(seen, "narrow"))


def test_what_no_pretended_node_can_hold_is_refused_with_the_biggest(seen: dict[str, Any]) -> None:
    (problem,) = seen["too wide"]
    assert problem.startswith("huge needs 3 GPUs on one node: the cluster has 4, the biggest node")
    assert problem.endswith(" 2; 1 of the head node stay free")


def test_more_than_the_pretended_gpus_in_all_is_refused_with_the_sum(seen: dict[str, Any]) -> None:
    (problem,) = seen["too many"]
    assert problem.startswith("the models need 5 GPUs (many 5 x 1)")
    assert "the cluster has 4" in problem


def test_the_head_does_no_gpu_work_where_others_have_gpus(seen: dict[str, Any]) -> None:
    nodes = [node for _, node, _ in seen["replicas"] + seen["shared"]] + seen["stages"]
    assert len(nodes) == 7
    assert seen["head"] not in nodes


def test_an_intern_that_names_its_accelerator_is_on_a_node_that_has_it_and_sees_one_slice(seen: dict[str, Any]) -> None:
    ((_, node, visible),) = seen["named"]
    assert [node] == seen["H100"]
    assert visible in SLICES
    (problem,) = seen["absent"]
    assert problem.startswith("absent needs 1 GPUs of B200 on one node: the cluster has 4 (")
    assert "2 H100" in problem


def test_two_small_stub_replicas_share_a_pretended_gpu(seen: dict[str, Any]) -> None:
    (first, second) = [(node, visible) for _, node, visible in seen["shared"]]
    assert first == second
