"""Evaluations on Ray: the tiny intern on real vLLM, a simulated judge; stopped, killed and continued."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eval.examine import answer_pending
from eval.prepare import prepare_evaluation
from eval.rows import ANSWERS
from eval.run import evaluate_model
from mics_ray.errors import EXIT_OK, EXIT_STOPPED, RefusedRun
from mics_ray.io.shards.reading import iter_rows
from mics_ray.jobs.generation import serve_simulated_models
from mics_ray.local.findings import FINDINGS
from mics_ray.local.phantoms import write_cases
from mics_ray.runtime.monitor.progress import Progress
from tests.support.evaluation_jobs import job
from tests.support.processes import kill, until
from tests.support.provider import Provider

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]
REPLICAS = {"model": "tiny_internvl", "tiny_internvl": "tiny_internvl", "tiny_qwen25vl": "tiny_qwen25vl"}


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    found = list(iter_rows(folder / "out/results", kind=ANSWERS))
    by_id = {row["item_id"]: row for row in found}
    assert len(by_id) == len(found), "an item has two rows"
    return by_id


def evaluated(replicas: dict[str, list[Any]], folder: Path, *overrides: str) -> dict[str, dict[str, Any]]:
    """Evaluate on the engines that all tests share."""

    def answering(work: Any, progress: Progress) -> Any:
        with serve_simulated_models(work.config, work.folder) as served:
            shared = {name: replicas[REPLICAS[name]] for name in served.interns}
            return answer_pending(work.use_config(served), progress, lambda *_: shared)

    assert evaluate_model(job(folder, *overrides, count=24), answering) == EXIT_OK
    return rows(folder)


def test_the_tiny_intern_is_better_than_chance_and_its_report_says_so(
    replicas: dict[str, list[Any]], tmp_path: Path
) -> None:
    found = evaluated(replicas, tmp_path)
    assert sorted(found) == [f"phantom/phantom-{n:03}" for n in range(1, 25)]
    answers = {finding.answer for finding in FINDINGS}
    for row in found.values():
        assert row["failure"] is None
        assert row["lenient"] in ("right", "wrong")
        assert row["completion_tokens"] > 0
        if not row["judge_reply"]:  # a rule has decided
            assert row["lenient"] == ("right" if row["parsed"] in answers else "wrong")
    assert sum(row["parsed"] in answers for row in found.values()) >= 20
    report = json.loads((tmp_path / "out/report.json").read_text())["benchmarks"]["phantom"]
    assert report["accuracy"] == sum(row["lenient"] == "right" for row in found.values()) / 24
    assert report["accuracy"] > 0.25, "chance is 0.125"


@pytest.mark.slow
def test_mics_score_comes_from_both_interns(replicas: dict[str, list[Any]], tmp_path: Path) -> None:
    """The tiny intern writes no steps of its own: those rows say so by having no score, and nothing is lost."""
    found = evaluated(replicas, tmp_path, "eval.mics_score=true", "interns=tiny", "eval.limit=6")
    assert len(found) == 6
    for row in found.values():
        assert row["failure"] is None
        assert (row["mics_score"] is not None) == ("### Step" in row["output"])


def command(folder: Path, *more: str) -> list[str]:
    return [
        sys.executable, str(ROOT / "scripts/evaluate.py"), "--config-dir", str(folder / "conf"), "eval=phantom",
        "judge=test", "serve.engine=endpoint", "model=intern-0", f"eval.root={folder}/sets", f"eval.dir={folder}/out",
        "window=4", *more,
    ]  # fmt: skip


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("end", ["asked to stop", "killed"])
@pytest.mark.slow
def test_an_evaluation_that_ended_early_goes_on(tmp_path: Path, end: str) -> None:
    """A model behind an API, so that every call is seen: after a stop none is made twice, after a kill only those
    that were under way."""
    write_cases(tmp_path / "sets/phantom", 40, seed=3)
    with Provider(latency_s=0.1) as provider:
        provider.write_groups(tmp_path / "conf", interns=False)
        line = command(tmp_path, f"serve.base_url={provider.url}")
        provider.hold_when = lambda: provider.calls()["intern"] >= 12
        with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as first:
            until(lambda: provider.held or first.poll() is not None)
            if end == "killed":
                kill(first.pid)
            else:
                os.kill(first.pid, signal.SIGINT)
            provider.release()
            _, errors = first.communicate(timeout=60)
        assert first.returncode == (EXIT_STOPPED if end == "asked to stop" else -signal.SIGKILL), errors
        done = rows(tmp_path)
        assert len(done) < 40
        again = run(*line)
        assert again.returncode == EXIT_OK, again.stderr
        found = rows(tmp_path)
        assert len(found) == 40
        assert {name: found[name] for name in done} == done
        assert provider.repeated() <= (0 if end == "asked to stop" else 8)
        assert all(row["lenient"] in ("right", "wrong") for row in found.values())
        calls = provider.calls()
        third = run(*line)
        assert third.returncode == EXIT_OK
        assert provider.calls() == calls
        assert "40 items of phantom: 0 to answer" in third.stderr


@pytest.mark.slow
def test_a_wrong_key_of_the_judge_is_refused_before_ray_starts(tmp_path: Path) -> None:
    write_cases(tmp_path / "sets/phantom", 4, seed=3)
    with Provider(key="right-key") as provider:
        provider.write_groups(tmp_path / "conf", interns=False)
        done = run(*command(tmp_path, f"serve.base_url={provider.url}"))
    assert done.returncode == 78
    assert "401" in done.stderr
    assert "loading" not in done.stderr


def test_interns_that_the_cluster_cannot_hold_are_refused(ray_cluster: None, tmp_path: Path) -> None:
    def nothing(*_: object) -> dict[str, list[Any]]:
        raise RefusedRun("the models need 4 GPUs")

    with prepare_evaluation(job(tmp_path)) as work, pytest.raises(RefusedRun, match="4 GPUs"):
        answer_pending(work, Progress(), nothing)
