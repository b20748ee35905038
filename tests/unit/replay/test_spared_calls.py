"""Calls that a search spares: a replay makes the run's own rows again, those of runs before a setting came too."""

import re
from pathlib import Path
from zlib import crc32

import pytest
import yaml

from mics_ray.assemble import panel
from mics_ray.errors import EXIT_OK
from mics_ray.io.rows import read_trees, read_usage
from mics_ray.io.shards.reading import iter_rows
from mics_ray.jobs.stop_signal import StopSignal
from mics_ray.models.types import Request
from mics_ray.replay.account import Account
from mics_ray.replay.replay_config import compose_job
from mics_ray.replay.run import replay_run
from mics_ray.runtime.monitor.progress import Progress
from tests.support import recorded_run as made
from tests.support.recorded_run import recorded_run

SAID = ("gold", "Gold.", "the gold", "a nodule", "a nodule", "a cyst")
"""The interns' answers: some are the gold answer in other spellings, some are said by several."""


def again(run: Path, *more: str) -> Account:
    return replay_run(compose_job(["replay=true", f"run.dir={run}", *more]), Progress(), StopSignal())


@pytest.fixture
def alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interns say one of :data:`SAID`."""
    before = made._text

    def text(request: Request, chance: float) -> str:
        said = before(request, chance)
        drawn = SAID[crc32(request.key) % len(SAID)]
        return re.sub(r"(?<=answer is: )finding \w+", drawn, said) if request.entry.startswith("tiny") else said

    monkeypatch.setattr(made, "_text", text)


def count_calls(run: Path) -> tuple[int, int, int]:
    """Votes with an answer, those of them that were matched, and calls of the judge."""
    rows = list(iter_rows(run / "results"))
    votes = [v for row in rows for tree in read_trees(row) for node in tree.nodes for v in node.votes if v.answer]
    judged = sum(used.calls for row in rows for name, used in read_usage(row).items() if name == "judge")
    return len(votes), sum(vote.matched for vote in votes), judged


@pytest.mark.usefixtures("alike")
def test_matched_answers_are_matched_again(tmp_path: Path) -> None:
    run = recorded_run(tmp_path, 2)
    votes, matched, _ = count_calls(run)
    assert 0 < matched < votes
    account = again(run)
    assert (account.exit_code, account.changed, account.comparison.same) == (EXIT_OK, [], 3)


@pytest.mark.usefixtures("alike")
def test_a_run_that_did_not_know_the_setting_gives_its_own_rows_and_may_be_replayed_with_it(tmp_path: Path) -> None:
    run = recorded_run(tmp_path, 2, loss=0.05, more=["search.match_gold=false"])
    settings = yaml.safe_load((run / "config.yaml").read_text())
    del settings["search"]["match_gold"]
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    assert count_calls(run)[1] == 0
    account = again(run)
    assert (account.exit_code, account.changed, account.comparison.same) == (EXIT_OK, [], 3)
    other = again(run, "search.match_gold=true")
    assert other.changed == ["search.match_gold: (not there) -> True"]
    assert count_calls(other.folder)[1] > 0


@pytest.mark.usefixtures("alike")
def test_shared_verdicts_are_those_that_each_vote_would_have_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of a run whose votes were judged one by one, lost calls among them, come again; other seeds of votes
    would not matter, so it is the same run."""
    with monkeypatch.context() as patch:
        patch.setattr(panel, "SharedVerdicts", lambda judge: judge)
        run = recorded_run(tmp_path, 2, loss=0.05)
    votes, matched, judged = count_calls(run)
    assert judged >= (votes - matched) * 0.9, "each vote asked, but for lost calls"
    account = again(run)
    assert (account.exit_code, account.changed, account.comparison.same) == (EXIT_OK, [], 3)
    assert count_calls(account.folder)[2] < judged / 2


@pytest.mark.usefixtures("alike")
def test_a_run_with_shared_verdicts_and_lost_calls_is_replayed(tmp_path: Path) -> None:
    account = again(recorded_run(tmp_path, 2, loss=0.05))
    assert (account.exit_code, account.changed, account.comparison.same) == (EXIT_OK, [], 3)


def count_left_out(run: Path) -> dict[str, list[int]]:
    return {row["case_id"]: [node["unasked"] for node in row["nodes"]] for row in iter_rows(run / "results")}


@pytest.mark.usefixtures("alike")
def test_votes_that_were_left_out_are_left_out_again_and_where_all_are_wanted_the_record_ends(tmp_path: Path) -> None:
    run = recorded_run(tmp_path, 3, loss=0.05, more=["search.adaptive=true"])
    left = count_left_out(run)
    assert any(map(sum, left.values()))
    account = again(run)
    assert (account.exit_code, account.changed, account.comparison.same) == (EXIT_OK, [], 4)
    assert count_left_out(account.folder) == left
    whole = again(run, "search.adaptive=false")
    assert whole.changed == ["search.adaptive: True -> (not there)"]
    assert {end.model for end in whole.ends} in (
        {"tiny_internvl"},
        {"tiny_qwen25vl"},
        {"tiny_internvl", "tiny_qwen25vl"},
    )


@pytest.mark.usefixtures("alike")
def test_a_run_of_all_votes_is_replayed_with_fewer_and_chooses_the_same(tmp_path: Path) -> None:
    run = recorded_run(tmp_path, 3, loss=0.05)
    few = again(run, "search.adaptive=true")
    assert (few.changed, list(few.ends)) == (["search.adaptive: (not there) -> True"], [])
    names = ("outcome", "reason", "quality", "steps", "mentors", "rounds", "attempts")
    chosen = [
        {row["case_id"]: [row[name] for name in names] for row in iter_rows(folder / "results")}
        for folder in (run, few.folder)
    ]
    assert chosen[0] == chosen[1]
    assert any(map(sum, count_left_out(few.folder).values()))
