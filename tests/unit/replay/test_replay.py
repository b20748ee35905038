import asyncio
import json
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mics_ray.assemble.case_search import run_case
from mics_ray.assemble.panel import build_judge_template, find_room
from mics_ray.config.compose import compose_config
from mics_ray.config.schema import Config, ModelConfig
from mics_ray.core.ports import Panel, Strategy
from mics_ray.core.search import SearchResult
from mics_ray.core.types import Case, Failure, LostCall
from mics_ray.errors import EXIT_CANNOT_WRITE, EXIT_OK, LockedRun, RefusedRun, Stopped
from mics_ray.io.rows import read_usage
from mics_ray.io.shards.reading import iter_rows, list_shards
from mics_ray.jobs.lock import RunLock
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.models.replies.recorded_replies import RecordedReplies, ReplyNotRecorded
from mics_ray.models.replies.store_care import check_files
from mics_ray.models.roles import double_room
from mics_ray.replay import cases
from mics_ray.replay.account import Account, print_account
from mics_ray.replay.committed_rows import NOT_CANONICAL, digest_row
from mics_ray.replay.lost_calls import RecordedModel
from mics_ray.replay.replay_config import compose_job
from mics_ray.replay.run import ENDS, replay_run
from mics_ray.runtime.monitor.progress import Progress
from tests.support.recorded_run import flip, forget, overrides, recorded_run
from tests.unit.replay.conftest import CASES

pytestmark = pytest.mark.heavy  # whole replays of a run


def again(run: Path, *more: str) -> Account:
    return replay_run(compose_job(["replay=true", f"run.dir={run}", *more]), Progress(), StopSignal())


def files(folder: Path) -> dict[str, bytes]:
    """What lies there; SQLite's `-shm` is a place for readers' locks, so only its name counts."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(p.relative_to(folder)): b"" if p.name.endswith("-shm") else p.read_bytes() for p in paths}


def found(folder: Path) -> dict[str, dict[str, Any]]:
    """Rows by id, without what says how they were made."""
    return {
        row["case_id"]: {name: value for name, value in row.items() if name not in NOT_CANONICAL}
        for row in iter_rows(folder / "results")
    }


def test_the_run_s_own_configuration_gives_the_run_s_own_rows(run: Path) -> None:
    before = {name: files(run / name) for name in ("results", "cache")}
    account = again(run)
    assert (account.exit_code, account.changed, list(account.ends)) == (EXIT_OK, [], [])
    assert (account.completed, account.comparison.same, account.comparison.differing) == (CASES + 1, CASES + 1, 0)
    rows = found(run)
    assert found(account.folder) == rows
    assert len({row["rounds"] for row in rows.values()}) > 2  # searches of several lengths, and restarts
    assert {row["attempts"] for row in rows.values()} >= {0, 1, 2}
    assert {name: files(run / name) for name in before} == before
    assert not account.problems


def test_a_replayed_row_says_that_its_calls_cost_nothing(run: Path) -> None:
    rows = {row["case_id"]: read_usage(row) for row in iter_rows(again(run).folder / "results")}
    assert len(rows) == CASES + 1
    assert sum(not usage for usage in rows.values()) == 1, "only the record that cannot be used asks nobody"
    for usage in rows.values():
        assert {(used.cached_calls == used.calls > 0, used.cost_usd) for used in usage.values()} <= {(True, 0)}


def test_cut_replies_and_refused_room_come_about_again(tmp_path: Path) -> None:
    """A call for more room that the model refused has left no trace; the one after it is recorded."""
    run = recorded_run(tmp_path, CASES, cut=0.2)
    rows = list(iter_rows(run / "results"))
    votes = [vote for row in rows for node in row["nodes"] for vote in node["votes"]]
    assert {"wrong", "unknown"} <= {vote["verdict"] for vote in votes if vote["failure"] == "cut: hit max_tokens"}
    assert not [vote for vote in votes if vote["verdict"] == "right" and vote["failure"]]
    account = again(run)
    assert (account.exit_code, list(account.ends)) == (EXIT_OK, [])
    assert (account.comparison.same, account.comparison.differing) == (CASES + 1, 0)
    assert found(account.folder) == found(run)


async def test_only_a_call_for_more_room_is_taken_for_refused_where_nothing_is_recorded(tmp_path: Path) -> None:
    """Whatever the entry calls its room; any other call without a reply ends the record."""
    entry = ModelConfig(model="m", max_tokens=64, extra_body={"max_tokens": None, "max_completion_tokens": 100})
    config = compose_config(["experiment=demo", f"run.dir={tmp_path}"])
    asked = build_judge_template(replace(config, judge=entry))
    model = RecordedModel(RecordedReplies(tmp_path), find_room(entry))
    with pytest.raises(ReplyNotRecorded):
        await model.complete(asked, None)
    with pytest.raises(LostCall, match="too_much_room"):
        await model.complete(double_room(asked), None)


def test_calls_that_the_run_lost_are_lost_again(tmp_path: Path) -> None:
    run = recorded_run(tmp_path, CASES, loss=0.1)
    lost = Counter(
        "mentor" if thing is node else "judge" if thing["answer"] else "intern"
        for row in iter_rows(run / "results")
        for node in row["nodes"]
        for thing in (node, *node["votes"])
        if (thing["failure"] or "").startswith("timeout")
    )
    assert set(lost) == {"mentor", "intern", "judge"}
    account = again(run)
    assert (account.exit_code, account.comparison.same) == (EXIT_OK, CASES + 1)
    assert found(account.folder) == found(run)


def test_where_the_record_ends_is_told_with_the_round_and_the_other_cases_are_the_same(run: Path) -> None:
    assert forget(run, 0.02)
    account = again(run)
    assert account.exit_code == EXIT_CANNOT_WRITE
    assert 0 < len(account.ends) < CASES
    assert account.lacking == len(account.ends)
    assert account.comparison.same == account.completed == CASES + 1 - len(account.ends)
    rows = found(run)
    for end in account.ends:
        nodes = rows[end.case]["nodes"]
        rounds = {(node["attempt"], node["round"]) for node in nodes}
        assert (end.attempt, end.round) in rounds
    lines = [json.loads(line) for line in (account.folder / ENDS).read_text().splitlines()]
    assert [line["case"] for line in lines] == [end.case for end in account.ends]
    told = json.loads((account.folder / "summary.json").read_text())
    assert told["finished"] is False
    assert sum(row["cases"] for row in told["replay"]["record_ends"]) == told["replay"]["beyond_record"]


def test_a_reply_with_a_flipped_bit_ends_its_case_and_no_row_is_made_of_it(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flipped = flip(run, 0.02)
    assert flipped
    account = again(run)
    assert account.exit_code == EXIT_CANNOT_WRITE
    assert 0 < account.damaged == len(account.ends) < CASES
    assert account.comparison.differing == 0
    assert account.comparison.same == account.completed == CASES + 1 - len(account.ends)
    assert found(account.folder).keys().isdisjoint(end.case for end in account.ends)
    lines = [json.loads(line) for line in (account.folder / ENDS).read_text().splitlines()]
    assert {line["damaged"] for line in lines} == {True}
    assert json.loads((account.folder / "summary.json").read_text())["replay"]["damaged"] == account.damaged
    print_account(Console(highlight=False), account)
    told = f"{account.damaged} cases end at a reply that is not what was stored; scripts/cache.py verify run.dir={run}"
    assert told in capsys.readouterr().out
    assert sum(file.damaged for file in check_files(run / "cache")) == flipped
    assert again(run, "search.max_rounds=3").exit_code == EXIT_CANNOT_WRITE


def test_the_round_is_the_first_one_with_a_reply_missing(run: Path) -> None:
    forget(run, 1.0)
    account = again(run)
    assert account.completed == 1  # the record that cannot be used asks nobody
    assert account.count_by_round() == [{"attempt": 1, "round": 1, "cases": CASES}]


def test_a_shorter_search_is_evaluated_on_the_record_to_its_end(run: Path) -> None:
    account = again(run, "search.max_rounds=2")
    assert account.changed == ["search.max_rounds: 4 -> 2"]
    assert (account.exit_code, account.completed) == (EXIT_OK, CASES + 1)
    rows = found(account.folder)
    assert max(row["rounds"] for row in rows.values()) == 2
    longer = [row for row in iter_rows(run / "results") if any(node["round"] > 2 for node in row["nodes"])]
    assert account.comparison.differing == len(longer) > 0
    assert account.comparison.after.total() == account.comparison.before.total() == CASES + 1


def test_another_strategy_is_told_where_the_record_ends(run: Path) -> None:
    account = again(run, "search=best_of_n")
    assert (account.exit_code, account.count_by_round()) == (EXIT_OK, [{"attempt": 1, "round": 1, "cases": CASES}])
    assert {end.model for end in account.ends} <= {"tiny_internvl", "tiny_qwen25vl"}  # mentors wrote whole chains
    assert account.folder.parent == run / "replay"


def test_more_restarts_end_in_the_attempt_that_was_not_made(run: Path) -> None:
    account = again(run, "search.restarts=2")
    dead = [row["case_id"] for row in found(run).values() if row["outcome"] in ("dead_end", "failed")]
    assert dead
    assert sorted(end.case for end in account.ends) == sorted(dead)
    assert {(end.attempt, end.round) for end in account.ends} == {(3, 1)}


def test_each_configuration_has_a_folder_and_an_ended_replay_is_replaced_aloud(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, shorter = again(run), again(run, "search.max_rounds=1")
    assert own.folder != shorter.folder
    kept = files(own.folder)
    capsys.readouterr()
    assert again(run, "search.max_rounds=1").folder == shorter.folder
    assert "replaces the earlier replay" in capsys.readouterr().err.replace("\n", " ")
    assert files(own.folder) == kept
    assert oct(own.folder.stat().st_mode)[-3:] == "700"
    assert {oct(path.stat().st_mode)[-3:] for path in own.folder.rglob("*") if path.is_file()} == {"600"}


def test_a_stopped_replay_keeps_its_rows_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded_run(tmp_path, 12)
    real, stop = run_case, StopSignal()
    hanging: set[str] = set()

    async def hang(config: Config, strategy: Strategy, case: Case, panel: Panel) -> SearchResult:
        if int(case.id.removeprefix("case-")) >= 6:
            hanging.add(case.id)
            if len(hanging) == 4:  # every place of the window is taken: each earlier case has its row
                os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        return await real(config, strategy, case, panel)

    with monkeypatch.context() as patch:
        patch.setattr(cases, "run_case", hang)
        patch.setattr(cases, "OPEN_CASES", 4)
        with pytest.raises(Stopped), stop.handle_signals():
            replay_run(compose_job(["replay=true", f"run.dir={run}"]), Progress(), stop)
    stopped = next((run / "replay").iterdir())
    assert set(found(stopped)) == {f"case-{number}" for number in range(6)}
    assert not (stopped / "summary.json").exists()
    account = again(run)
    assert "7 of 13 cases" in capsys.readouterr().err
    assert (account.exit_code, account.comparison.same) == (EXIT_OK, 13)
    assert found(stopped) == found(run)


def test_a_row_that_differs_from_the_run_s_is_named(run: Path) -> None:
    from mics_ray.io.shards.store import ShardStore

    first = list_shards(run / "results")[0]
    rows = list(iter_rows(run / "results"))[:5]
    first.unlink()
    spoilt = next(row for row in rows if row["nodes"])
    spoilt["nodes"][0]["votes"][0]["text"] += "!"
    ShardStore(run / "results").commit(rows)
    account = again(run)
    assert (account.exit_code, account.comparison.examples) == (EXIT_CANNOT_WRITE, [spoilt["case_id"]])


def test_usage_and_time_are_no_part_of_the_canonical_result(run: Path) -> None:
    row = next(iter_rows(run / "results"))
    same = digest_row(row)
    assert digest_row(row | {"usage": [], "seconds": 9.0, "code_version": "x", "config_digest": "y"}) == same
    assert digest_row(row | {"reason": "other"}) != same


def test_what_holds_no_run_is_refused_and_made_nothing_of(tmp_path: Path) -> None:
    with pytest.raises(RefusedRun, match="no run in"):
        again(tmp_path / "none")
    with pytest.raises(RefusedRun, match="no run in"):
        replay_run(compose_job(["replay=true", *overrides(tmp_path)]), Progress(), StopSignal())
    with pytest.raises(RefusedRun, match=r"give run\.dir"):
        compose_job(["replay=true"])
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_being_written_is_left_alone(run: Path) -> None:
    with RunLock(run / ".lock"), pytest.raises(LockedRun):
        again(run)


def test_a_damaged_shard_is_refused_with_what_repairs_it(run: Path) -> None:
    list_shards(run / "results")[0].write_bytes(b"PAR1")
    with pytest.raises(RefusedRun, match=r"verify\.py run\.dir=… --repair"):
        again(run)


def test_an_unforeseen_error_fails_its_case_only(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = run_case

    async def breaks(config: object, strategy: object, case: Case, panel: object) -> object:
        if case.id == "case-3":
            raise ZeroDivisionError("What is shown?")
        if case.id == "case-4":
            raise LostCall(Failure("timeout", "outside of any search"))
        return await real(config, strategy, case, panel)

    monkeypatch.setattr(cases, "run_case", breaks)
    account = again(run)
    assert sorted(account.comparison.examples) == ["case-3", "case-4"]
    rows = found(account.folder)
    assert rows["case-3"]["reason"] == "internal error ZeroDivisionError, see logs/"
    assert "What is shown?" not in (run / "logs" / "replay.log").read_text()
