"""Every program that reads rows reads those of version 2: the same is found as in rows of version 3."""

import io
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

import mics_ray
from eval.commands import run_rejudge
from mics_ray.commands.verify import verify_run
from mics_ray.config.compose import compose_config, compose_job
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK
from mics_ray.io.results.failed_rows import set_failed_rows_aside, unfailed_ids
from mics_ray.io.results.results_check import check_results
from mics_ray.io.results.summary import ResultsTally, summarise_results
from mics_ray.io.shards.reading import list_shards
from mics_ray.jobs.generation import prepare_generation
from mics_ray.jobs.run_folder import IDENTITY, RunFolder
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.plan.config import PlanJob
from mics_ray.plan.measured_run import load_basis
from mics_ray.replay.replay_config import compose_recorded
from mics_ray.replay.run import replay_run
from mics_ray.runtime.monitor.latency import LATENCIES, find_bucket
from mics_ray.runtime.monitor.logs import case_line
from mics_ray.runtime.monitor.progress import Progress
from mics_ray.runtime.monitor.run_summary_view import print_run_summary
from mics_ray.runtime.monitor.watch_folder import FolderWatch
from tests.support.damage import flip
from tests.support.recorded_run import overrides, recorded_run
from tests.support.run_folders import job
from tests.support.version_2 import copy_run, rewrite_as_version_2
from train.export.export import write_export

pytestmark = pytest.mark.heavy  # a run is replayed, judged anew and exported

CASES = 6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    recorded_run(folder, CASES, loss=0.05)
    return folder


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    """One run with its rows in version 3 and in version 2; cases and pictures lie beside each."""
    three, two = (shutil.copytree(made, tmp_path / name) / "run" for name in ("three", "two"))
    for run in (three, two):
        config = run / "config.yaml"
        config.write_text(config.read_text().replace(str(made), str(run.parent)))
    rewrite_as_version_2(two)
    return three, two


def count_rows(run: Path) -> Counter[tuple[str, int]]:
    return Counter((row["case_id"], row["schema_version"]) for row in mics_ray.read_rows(run))


def test_both_versions_come_in_one_form(runs: tuple[Path, Path]) -> None:
    three, two = (list(mics_ray.read_rows(run)) for run in runs)
    assert len(three) == CASES + 1
    assert [row | {"schema_version": 2, "context_names_answer": None} for row in three] == two
    assert [case_line(row, 0.0) for row in three] == [case_line(row, 0.0) for row in two]


def test_summary_watch_and_closing_screen(runs: tuple[Path, Path]) -> None:
    three, two = (summarise_results(run / "results") for run in runs)
    assert three == two
    assert three["usage"]["judge"]["calls"] > 10
    tallies = [ResultsTally(run / "results") for run in runs]
    for tally in tallies:
        tally.update()
    assert tallies[0].usage == tallies[1].usage
    assert not tallies[1].damaged
    assert FolderWatch(runs[1]).read_view().models == FolderWatch(runs[0]).read_view().models
    screen = io.StringIO()
    more = {"simulated": True, "search_seconds": 1.0, "participation": {}}
    print_run_summary(Console(file=screen, width=120), RunFolder(runs[1]), two | more)
    assert "the chain" in screen.getvalue()


def test_verify_finds_them_sound_and_repairs_them(tmp_path: Path) -> None:
    recorded_run(tmp_path, CASES)  # without lost calls: which rows could be rebuilt beside them is chance
    run, console = tmp_path / "run", Console(file=io.StringIO())
    rewrite_as_version_2(run)
    before = {row["case_id"]: row["outcome"] for row in mics_ray.read_rows(run)}
    assert verify_run(run, False, console) == EXIT_OK
    flip(list_shards(run / "results")[0], "nodes")
    assert verify_run(run, False, console) == EXIT_CANNOT_WRITE
    verify_run(run, True, console)
    again = {row["case_id"]: row for row in mics_ray.read_rows(run)}
    assert len(again) == sum(count_rows(run).values())
    assert {row["schema_version"] for row in again.values()} == {2, 3}
    assert {name: row["outcome"] for name, row in again.items()} == before


def test_a_replay_finds_every_row_the_same(runs: tuple[Path, Path]) -> None:
    account = replay_run(compose_recorded(runs[1]), Progress(), StopSignal())
    assert (account.exit_code, account.changed) == (EXIT_OK, [])
    assert (account.comparison.same, account.comparison.differing) == (CASES + 1, 0)
    assert {row["schema_version"] for row in mics_ray.read_rows(account.folder)} == {3}


def test_export_and_failed_rows(runs: tuple[Path, Path], tmp_path: Path) -> None:
    for number, run in enumerate(runs):
        write_export(job(run, tmp_path / f"x{number}", "select.quality=[keep,flat,rise_fall,zero]"))
    first, second = ((tmp_path / name / "train.jsonl").read_text() for name in ("x0", "x1"))
    assert first == second != ""
    results = runs[1] / "results"
    failed = sum(row["outcome"] == "failed" for row in mics_ray.read_rows(runs[1]))
    assert failed
    assert len(unfailed_ids(results)) == CASES + 1 - failed
    assert set_failed_rows_aside(results, runs[1] / "superseded") == failed
    assert sum(1 for _ in mics_ray.read_rows(runs[1])) == CASES + 1 - failed


def test_another_judge(runs: tuple[Path, Path]) -> None:
    for run in runs:
        assert run_rejudge([f"run.dir={run}", "judge=local", "rejudge.name=other"]) == EXIT_OK
    three, two = (json.loads((run / "rejudge/other/report.json").read_text()) for run in runs)
    assert three == two
    assert three["votes"] > 10


def test_a_plan_goes_by_a_measured_run(runs: tuple[Path, Path]) -> None:
    models = [*summarise_results(runs[0] / "results")["usage"]]
    timed = {name: {find_bucket(2.0): 3} for name in models}
    bases = []
    for run in runs:
        (run / LATENCIES).write_text(json.dumps({"search_seconds": 1.0, "replicas": {}, "latencies": timed}))
        planned = compose_job("plan", PlanJob, ["mentors=local", "interns=tiny", "judge=local", f"plan.run={run}"])
        bases.append(load_basis(planned, planned.plan))
    assert bases[0] == bases[1]
    assert bases[0].calls["judge"].cost_usd == pytest.approx(0.01)


def test_a_run_that_was_begun_with_them_goes_on_with_one_row_a_case(runs: tuple[Path, Path]) -> None:
    run = runs[1]
    list_shards(run / "results")[1].unlink()
    with prepare_generation(compose_config(overrides(run.parent))) as waiting:
        assert waiting.pending == CASES + 1 - 5
    recorded_run(run.parent, CASES, loss=0.05)
    found = count_rows(run)
    assert len({case for case, _ in found}) == len(found) == sum(found.values()) == CASES + 1
    assert Counter(version for _, version in found) == {2: 5, 3: CASES + 1 - 5}
    assert check_results(run / "results", run.parent / "cases.jsonl").sound
    three, two = ({row["case_id"]: (row["outcome"], row["steps"]) for row in mics_ray.read_rows(one)} for one in runs)
    assert three == two


def test_without_its_identity_the_rows_tell_whether_a_run_goes_on(runs: tuple[Path, Path]) -> None:
    (runs[1] / IDENTITY).unlink()
    with prepare_generation(compose_config(overrides(runs[1].parent))) as done:
        assert not done.pending


def test_a_run_of_that_version_is_read_by_programs_of_this_one(tmp_path: Path) -> None:
    """Not one written after its form: the very files."""
    run = copy_run(tmp_path)
    assert verify_run(run, False, Console(file=io.StringIO())) == EXIT_OK
    assert write_export(job(run, tmp_path / "x"))["kept"] == 2
    assert run_rejudge([f"run.dir={run}", "judge=local"]) == EXIT_OK
    assert FolderWatch(run).read_view().outcomes == {"solved": 2, "dead_end": 2, "rejected": 1}
    assert summarise_results(run / "results")["usage"]["judge"]["calls"] == 95
