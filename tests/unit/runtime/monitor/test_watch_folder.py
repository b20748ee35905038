"""Watching a run by its folder: what is committed, whether it lives, what is read again."""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from mics_ray.core.types import Usage
from mics_ray.errors import RefusedRun
from mics_ray.io.shards.store import ShardStore
from mics_ray.runtime.monitor import scrape
from mics_ray.runtime.monitor.logs import CaseLog, modified_ns
from mics_ray.runtime.monitor.scrape import Sample
from mics_ray.runtime.monitor.watch_folder import SILENT_S, FolderWatch
from tests.support.run_folders import row

USED = {"model": "gpt", **asdict(Usage(3, 1, 9, 4, 0.5, 6, 2))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder named `first` that has begun."""
    root = tmp_path / "first"
    (root / "logs").mkdir(parents=True)
    (root / "identity.json").write_text("{}")
    return root


def commit(folder: Path, *names: str, failure: str | None = None) -> None:
    """Rows on the disk and in the case log, as the writer does it."""
    rows = [row(name) | {"usage": [USED]} for name in names]
    for one in rows:
        one["nodes"][0]["failure"] = failure
    ShardStore(folder / "results").commit(rows)
    CaseLog(folder / "logs").append_rows(rows)


def live(folder: Path, age_s: float = 0.0, metrics: tuple[str, ...] = ()) -> None:
    """The sign of life of a driver that begins where the folder stands."""
    path = folder / "live.json"
    path.write_text(json.dumps({"records": 9, "metrics": metrics, "summary": modified_ns(folder / "summary.json")}))
    os.utime(path, (time.time() - age_s,) * 2)


def test_no_run_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedRun, match="there is no run in"):
        FolderWatch(tmp_path)


def test_committed_rows_and_case_lines_are_summed_as_they_come(folder: Path) -> None:
    watched = FolderWatch(folder)
    assert watched.read_view().state == "not searching yet"
    live(folder)
    commit(folder, "a", "b", failure="timeout: in 3 s")
    first = watched.read_view()
    commit(folder, "c")
    second = watched.read_view()
    assert (first.done, second.done) == (2, 3), "a view does not change after it was taken"
    assert (second.run, second.state, second.total) == ("first", "running", 9)
    assert second.models["gpt"].replies == 9
    assert second.models["gpt"].failures is None, "the folder does not tell"
    assert second.cost_usd == 1.5
    assert second.models["gpt"].hit_share == pytest.approx(6 / 9), "as the provider told"
    assert second.lost == {"timeout": 2}
    assert [line["case"] for line in second.recent] == ["a", "b", "c"]


def test_a_line_that_is_being_written_is_read_when_it_is_whole(folder: Path) -> None:
    commit(folder, "a")
    path = folder / "logs/cases.jsonl"
    text = path.read_text()
    path.write_text(text + text[:20])
    watched = FolderWatch(folder)
    assert len(watched.read_view().recent) == 1
    path.write_text(text + text)
    assert len(watched.read_view().recent) == 2


def test_a_broken_line_and_a_damaged_shard_do_not_end_the_watching(folder: Path) -> None:
    commit(folder, "a")
    with (folder / "logs/cases.jsonl").open("a") as file:
        file.write("{cut\n")
    (folder / "results/part-000007.parquet").write_bytes(b"no")
    view = FolderWatch(folder).read_view()
    assert len(view.recent) == 1
    assert view.notes == ["part-000007.parquet is damaged: its rows are not counted"]


@pytest.mark.parametrize(
    ("finished", "words"), [(True, "finished"), (False, "stopped early; the same command goes on")]
)
def test_the_account_says_how_it_ended(folder: Path, finished: bool, words: str) -> None:
    live(folder, age_s=5)
    (folder / "summary.json").write_text(json.dumps({"finished": finished}))
    assert FolderWatch(folder).read_view().state == words


@pytest.mark.parametrize("moved_s", [-3600, 0, 3600])
def test_an_account_tells_of_its_own_session_however_the_clock_was_moved(folder: Path, moved_s: float) -> None:
    summary = folder / "summary.json"
    summary.write_text(json.dumps({"finished": False}))
    live(folder)
    assert FolderWatch(folder).read_view().state == "running", "that account is of an earlier session"
    summary.write_text(json.dumps({"finished": True}))
    os.utime(summary, (time.time() + moved_s + 1,) * 2)
    assert FolderWatch(folder).read_view().state == "finished"


def test_a_finished_run_in_which_a_model_took_no_part_says_so(folder: Path) -> None:
    live(folder)
    summary = {"finished": True, "doubts": ["judge (model j, https://a.example) never answered"]}
    (folder / "summary.json").write_text(json.dumps(summary))
    view = FolderWatch(folder).read_view()
    assert (view.state, view.notes) == ("finished", summary["doubts"])


def test_a_silent_driver_is_taken_for_dead(folder: Path) -> None:
    live(folder, age_s=SILENT_S + 120)
    assert FolderWatch(folder).read_view().state == "no sign of life for 3 min; see logs/driver.log"


@pytest.mark.parametrize("moved_s", [-3600, 3600])
def test_a_clock_that_is_moved_neither_kills_nor_revives_a_driver(
    folder: Path, moved_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, steady = time.time(), time.monotonic()
    live(folder)
    watched = FolderWatch(folder)
    assert watched.read_view().state == "running"
    monkeypatch.setattr(time, "time", lambda: now + moved_s)
    assert watched.read_view().state == "running"
    live(folder, age_s=-moved_s)
    monkeypatch.setattr(time, "monotonic", lambda: steady + SILENT_S)
    assert watched.read_view().state == "running", "it has given another sign"
    monkeypatch.setattr(time, "monotonic", lambda: steady + 2 * SILENT_S + 1)
    assert watched.read_view().state == "no sign of life for 1 min; see logs/driver.log"


def test_live_figures_come_from_the_metrics_of_this_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scraped(targets: list[str]) -> tuple[list[Sample], list[str]]:
        assert targets == ["10.0.0.1:5"]
        return [
            ("mics_open_searches", {"run": "first", "worker": "0"}, 4.0),
            ("mics_open_searches", {"run": "second", "worker": "0"}, 90.0),
            ("mics_calls_total", {"run": "first", "model": "gpt", "result": "timeout"}, 2.0),
            ("mics_limiter_queue", {"run": "first", "model": "gpt"}, 7.0),
        ], []

    monkeypatch.setattr(scrape, "read_targets_samples", scraped)
    live(folder, metrics=("10.0.0.1:5",))
    commit(folder, "a")
    view = FolderWatch(folder).read_view()
    assert view.open == 4
    gpt = view.models["gpt"]
    assert (gpt.replies, gpt.failures, gpt.queue) == (3, {"timeout": 2}, 7)


def test_metrics_that_cannot_be_reached_are_named_and_not_asked_every_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def nobody(targets: list[str]) -> tuple[list[Sample], list[str]]:
        asked.extend(targets)
        return [], targets

    monkeypatch.setattr(scrape, "read_targets_samples", nobody)
    live(folder, metrics=("10.0.0.1:5",))
    watched = FolderWatch(folder)
    assert (
        watched.read_view().notes == watched.read_view().notes == ["metrics that cannot be read from here: 10.0.0.1:5"]
    )
    assert len(asked) == 1
