"""docs/results.md: its snippets run as they stand there, offline, and its table has every column."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mics_ray.io.row_schema import SCHEMA
from tests.support.recorded_run import recorded_run
from tests.support.version_2 import rewrite_as_version_2

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs/results.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", DOCS, re.M | re.S)
OPENED = """
import json
print("opened", json.dumps([kind.__module__.partition(".")[0] for kind in map(type, found)], default=str))
print("rows", json.dumps([len(one) for one in found]))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder in which `runs/first` is a run."""
    folder = tmp_path_factory.mktemp("documented")
    recorded_run(folder / "made", 4)
    (folder / "runs").mkdir()
    (folder / "made/run").rename(folder / "runs/first")
    return folder


def run_python(folder: Path, code: str) -> dict[str, list[object]]:
    """Run ``code`` there; what it printed, by the first word of a line of JSON."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr[-2000:]
    return {word: json.loads(rest) for word, _, rest in (line.partition(" ") for line in told.stdout.splitlines())}


def keep_all(snippet: str) -> str:
    """The snippet with what each of its lines opens collected in ``found``."""
    return re.sub(r"^rows = (.*)$", r"found.append(\1)", snippet, flags=re.M)


COSTS = """
costs = in_sql.fetchall(), in_polars.drop_nulls().rows(), in_pandas.items()
print("costs", json.dumps([{model: round(usd, 6) for model, usd in one} for one in costs]))
"""


def test_each_library_opens_a_run_in_one_line_and_tells_the_same_costs(run: Path) -> None:
    found = run_python(run, f"found = []\n{keep_all(SNIPPETS[0])}{OPENED}{SNIPPETS[1]}{COSTS}")
    assert found["opened"] == ["datasets", "pandas", "polars", "duckdb"]
    assert found["rows"] == [5] * 4
    costs = found["costs"]
    assert costs[0] == costs[1] == costs[2]
    assert len(dict(costs[0])) == 6


def test_what_a_repair_set_aside_is_not_in_the_way(run: Path, tmp_path: Path) -> None:
    first = shutil.copytree(run / "runs/first", tmp_path / "runs/first")
    (first / "results/part-000007.parquet.damaged").write_bytes(b"cut")
    head, *lines = SNIPPETS[0].strip().splitlines()
    sql = lines[-1].removeprefix("rows = ")
    others = [line.removeprefix("rows = ") for line in lines if "datasets" in line or "polars" in line]
    found = run_python(tmp_path, f"{head}\nfound = [{sql}.df(), {', '.join(others)}]{OPENED}")
    assert (found["opened"], found["rows"]) == (["pandas", "datasets", "polars"], [5] * 3)


def test_rows_of_either_version_open_through_read_rows(run: Path, tmp_path: Path) -> None:
    rewrite_as_version_2(shutil.copytree(run / "runs/first", tmp_path / "runs/first"))
    head, opening = SNIPPETS[0].splitlines()[0], keep_all(SNIPPETS[2])
    found = run_python(run, f"import os\n{head}\nfound = []\n{opening}\nos.chdir({str(tmp_path)!r})\n{opening}{OPENED}")
    assert (found["opened"], found["rows"]) == (["pandas", "datasets"] * 2, [5] * 4)


def test_the_table_names_every_column() -> None:
    table = DOCS[DOCS.index("| column | what |") :].partition("\n\n")[0]
    named = [name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert sorted(named) == sorted(SCHEMA.names)
    fields = {
        field.name
        for column in ("leaks", "leak_checks", "scores", "nodes", "usage")
        for field in SCHEMA.field(column).type.value_type
    }
    assert [name for name in fields if not re.search(rf"\b{name}\b", table)] == []
