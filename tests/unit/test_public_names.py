"""What a user imports: the names of the package, the example of the README, the rows of a run folder."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mics_ray
from mics_ray.io.shards.store import ShardStore
from tests.support.run_folders import row

REPO = Path(__file__).parents[2]
EXAMPLE = re.compile(r"## In Python\n.*?```python\n(.*?)```", re.S)


def test_every_public_name_is_there_and_no_other_is_made_up() -> None:
    assert len(mics_ray.__all__) >= 10
    assert dir(mics_ray) == sorted([*mics_ray.__all__, "__version__"])
    for name in mics_ray.__all__:
        assert getattr(mics_ray, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'search_cases'"):
        getattr(mics_ray, "search_cases")  # noqa: B009


@pytest.mark.parametrize("demo", [False, True])
def test_the_example_of_the_readme_runs(tmp_path: Path, demo: bool) -> None:
    """For a newcomer who has run nothing, too."""
    (example,) = EXAMPLE.findall((REPO / "README.md").read_text(encoding="utf-8"))
    assert len(example.splitlines()) <= 20
    if demo:
        ShardStore(tmp_path / "runs/demo-20261128-220000/results").commit([row("case-9")])
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(REPO)},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines()[:5] == [
        "solved: every known vote right in round 2",
        "round 1: step b1 of mentor b, score 0.50",
        "round 2: step c2 of mentor c, score 1.00",
        "chain: b1 c2 c3 c4 c5 c6, answer: answer of c",
        "5 mentor calls, 36 judge calls",
    ]
    rows = [line for line in done.stdout.splitlines()[5:] if line.startswith("case-9 solved ### Step 1: ")]
    assert len(rows) == int(demo)


def test_a_folder_that_is_no_run_has_no_rows_to_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not the folder of a run"):
        mics_ray.read_rows(tmp_path)
    ShardStore(tmp_path / "results").commit([row("a"), row("b")])
    assert [one["case_id"] for one in mics_ray.read_rows(str(tmp_path))] == ["a", "b"]
