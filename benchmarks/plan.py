"""The plan against the clock: a run is recorded, then runs of another window and quota are predicted and timed.

``python -m benchmarks.plan``, from the project's folder.

Every run has a provider of its own with the latencies of `harness/provider.py` times ``--slower``, so that they, and
not this machine's cores, decide. The error is (predicted - measured) / measured of the search phase.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from rich.console import Console
from rich.table import Table

from benchmarks.harness.provider import LATENCY_S, serve_provider
from benchmarks.harness.runs import write_cases, write_groups
from mics_ray.assemble.locations import JUDGE
from mics_ray.config.compose import compose_job
from mics_ray.plan.config import PlanJob
from mics_ray.plan.measured_run import build_services, load_basis
from mics_ray.plan.simulate import simulate

ROOT = Path(__file__).resolve().parents[1]
STARTS = 8  # attempts: Ray gives a raylet 30 s, which a loaded machine may exceed
PREDICTED: tuple[tuple[str, float, list[str]], ...] = (
    ("window doubled", 2.0, []),
    ("window doubled, a mentor's quota binds", 2.0, ["mentors.mentor_0.requests_per_minute={calls}"]),
    ("the judge's quota binds", 1.0, ["judge.requests_per_minute={verdicts}"]),
)
"""Name, window over the recorded one, overrides; quotas are chosen to hold the recorded run back to half its pace."""


@contextmanager
def start_ray() -> Iterator[str]:
    """The address of one Ray for all runs; on a loaded machine its start can time out."""
    for attempt in range(STARTS):
        try:
            ray.init("local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
            break
        except Exception:  # Ray says no more than that
            ray.shutdown()
            if attempt == STARTS - 1:
                raise
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def job_arguments(folder: Path, window: int, extra: list[str]) -> list[str]:
    """What `generate.py` and the plan have in common."""
    groups = ["mentors=bench", "interns=bench", "judge=bench"]
    return [*groups, f"data.cases={folder}/cases.jsonl", f"window={window}", *extra]


def run_timed(address: str, folder: Path, name: str, window: int, slower: float, extra: list[str]) -> dict[str, Any]:
    """One run's summary."""
    latency_s = {kind: seconds * slower for kind, seconds in LATENCY_S.items()}
    with serve_provider(latency_s=latency_s) as provider:
        write_groups(folder / "conf", provider.url)
        command = [sys.executable, str(ROOT / "scripts/generate.py"), "--config-dir", str(folder / "conf")]
        command += [
            *job_arguments(folder, window, extra),
            f"run.dir={folder}/{name}",
            "ray.workers=1",  # one, so that the window is one window
            f"ray.address={address}",
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    summary: dict[str, Any] = json.loads((folder / name / "summary.json").read_text())
    return summary


def predict_seconds(folder: Path, window: int, extra: list[str], cases: int) -> float:
    """Seconds of the search phase, from the recorded run alone."""
    overrides = [*job_arguments(folder, window, extra), f"plan.run={folder}/recorded"]
    job = compose_job("plan", PlanJob, overrides, folder / "conf")
    basis = load_basis(job, job.plan)
    return simulate(build_services(job, basis, {}), basis.shapes, JUDGE, cases, window, job.seed).seconds


def measure_runs(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Record, predict, run."""
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name, start_ray() as address:
        folder = Path(name)
        write_cases(folder / "cases.jsonl", options.cases)
        summary = run_timed(address, folder, "recorded", options.window, options.slower, [])
        # Half the pace of the recorded run, as a quota of each minute.
        pace = 60 / summary["search_seconds"] / 2
        quotas = {
            "calls": round(summary["usage"]["mentor_0"]["calls"] * pace),
            "verdicts": round(summary["usage"]["judge"]["calls"] * pace),
        }
        for label, wider, extra in PREDICTED:
            window = int(options.window * wider)
            overrides = [override.format(**quotas) for override in extra]
            expected = predict_seconds(folder, window, overrides, options.cases)
            summary = run_timed(address, folder, f"run-{len(found)}", window, options.slower, overrides)
            seconds = summary["search_seconds"]
            found.append(
                {"run": label, "predicted_s": expected, "measured_s": seconds, "error": expected / seconds - 1}
            )
    return found


def main() -> None:
    """Run, print the table, write it as JSON beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--window", type=int, default=10)
    parser.add_argument("--slower", type=float, default=10.0)
    options = parser.parse_args()
    found = measure_runs(options)
    table = Table("run", "predicted s", "measured s", "error")
    for one in found:
        table.add_row(one["run"], f"{one['predicted_s']:.1f}", f"{one['measured_s']:.1f}", f"{one['error']:+.1%}")
    Console().print(table, f"load {os.getloadavg()[0]:.1f}")
    result = {"runs": found, "cases": options.cases, "slower": options.slower, "load": os.getloadavg()[0]}
    (ROOT / "benchmarks/plan.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
