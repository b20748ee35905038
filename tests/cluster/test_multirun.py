"""`mics generate -m` on the demo's models: a run for each combination, in folders that say what was swept."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mics_ray
from tests.support.program import rows

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

REPO = Path(__file__).parents[2]
EMBEDDED = Path(mics_ray.__file__).parent / "local" / "cases"
COMBINATIONS = ("search=paper,seed=3", "search=best_of_n,seed=3")


def mics(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mics_ray.cli", *arguments]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False, timeout=500)


def test_two_combinations_of_two_cases_and_the_same_command_again(tmp_path: Path) -> None:
    cases = tmp_path / "cases.jsonl"
    cases.write_text("".join((EMBEDDED / "cases.jsonl").read_text().splitlines(keepends=True)[:2]))
    arguments = [
        "generate", "-m", "experiment=demo", "search=paper,best_of_n", "seed=choice(3)", f"data.cases={cases}",
        f"data.image_root={EMBEDDED}", f"run.dir={tmp_path}/runs",
    ]  # fmt: skip
    done = mics(*arguments)
    assert done.returncode == 0, done.stderr
    found = {name: rows(tmp_path / "runs" / name) for name in COMBINATIONS}
    for name, run in found.items():
        assert [row["seed"] for row in run] == [3, 3], name
        assert json.loads((tmp_path / "runs" / name / "summary.json").read_text())["cases"] == 2
    digests = {name: {row["config_digest"] for row in run} for name, run in found.items()}
    assert digests[COMBINATIONS[0]].isdisjoint(digests[COMBINATIONS[1]])
    table = [line.split("│") for line in done.stdout.splitlines() if line.startswith("│ search=")]
    assert [[cell.strip() for cell in row[1:4]] for row in table] == [[name, "0", "2"] for name in COMBINATIONS]

    again = mics(*arguments)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("0 to do") + again.stderr.count("0 to do") == 2
    assert {name: rows(tmp_path / "runs" / name) for name in COMBINATIONS} == found
    checked = mics("verify", f"run.dir={tmp_path}/runs/{COMBINATIONS[0]}")
    assert checked.returncode == 0, checked.stdout
