"""Nothing leaves: whole runs whose models are all served by vLLM, on a machine whose network is watched."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from eval.rows import ANSWERS
from mics_ray.config.compose import compose_config
from mics_ray.core.reading.words import matches_gold
from mics_ray.core.types import Verdict
from mics_ray.io.rows import read_trees
from mics_ray.io.shards.reading import iter_rows
from mics_ray.local.phantoms import write_cases
from tests.support.closed_network import WatchedRun, possible, run_watched
from tests.support.program import command, generate

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(not possible(), reason="needs root, ip and unshare to close the network"),
]
TINY = ("experiment=offline", "mentors=tiny", "interns=tiny", "judge=tiny")
CASES = 4
HERE = {"127.0.0.1", "::1", "localhost"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("offline")
    write_cases(made / "cases", CASES, seed=5)
    return made


@pytest.fixture(scope="module")
def arguments(folder: Path) -> list[str]:
    return [*TINY, f"data.cases={folder}/cases/cases.jsonl", f"run.dir={folder}/run", "ray.workers=1"]


@pytest.fixture(scope="module")
def watched(folder: Path, arguments: list[str]) -> WatchedRun:
    return run_watched(command(*arguments), folder, timeout=900)


@pytest.fixture(scope="module")
def searched(folder: Path, watched: WatchedRun) -> list[dict[str, Any]]:
    assert watched.code == 0, watched.output[-3000:]
    return list(iter_rows(folder / "run" / "results"))


def test_the_network_that_is_watched_sees_what_is_sent(tmp_path: Path) -> None:
    """The two guards see a connection and a datagram to another machine, and neither sees loopback as one."""
    program = "import socket; s = socket.socket(); s.settimeout(0.5); s.connect_ex(('198.51.100.7', 443))"
    seen = run_watched([sys.executable, "-c", program], tmp_path, timeout=60)
    assert seen.hosts == {"198.51.100.7"}
    assert seen.packets > 0


def test_no_connection_leaves_the_machine(watched: WatchedRun) -> None:
    assert watched.code == 0, watched.output[-3000:]
    assert watched.hosts <= HERE
    assert watched.packets == 0


def test_rows_are_as_always(searched: list[dict[str, Any]], folder: Path, arguments: list[str]) -> None:
    assert len({row["case_id"] for row in searched}) == len(searched) == CASES
    votes = [vote for row in searched for node in row["nodes"] for vote in node["votes"]]
    assert votes
    matched = [row["case_id"] for row in searched for tree in read_trees(row) for node in tree.nodes
               for vote in node.votes if vote.matched and not matches_gold(vote.answer, [row["answer"]])]  # fmt: skip
    assert not matched, "where the judge said nothing, the answer is the gold answer"
    replies = {vote["judge_reply"] for vote in votes if vote["verdict"] == "wrong" or vote["judge_reply"]}
    assert replies <= {"Yes", "No"}
    assert replies
    summary = json.loads((folder / "run" / "summary.json").read_text())
    config = compose_config(arguments)
    assert set(summary["usage"]) == {*config.mentors, *config.interns, "judge"}
    assert all(used["calls"] > 0 and used["completion_tokens"] > 0 for used in summary["usage"].values())
    assert (summary["cost_usd"], summary["simulated"]) == (0, False)


def test_a_judge_held_to_two_words_is_never_asked_twice(searched: list[dict[str, Any]], folder: Path) -> None:
    """So that its calls are the interns' texts with an answer, and no verdict is unknown for its words."""
    failures = {vote["failure"] for row in searched for node in row["nodes"] for vote in node["votes"]}
    assert not [failure for failure in failures if failure and "no_verdict" in failure]


def test_the_run_is_replayed_from_its_replies(searched: list[dict[str, Any]], arguments: list[str]) -> None:
    done = generate(*arguments, "replay=true")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_the_same_judge_asked_again_says_the_same(searched: list[dict[str, Any]], folder: Path) -> None:
    """`mics rejudge` with a judge that vLLM serves; with another limit, so that the store does not answer for it."""
    asked = ("judge=tiny", "judge.max_tokens=17", "rejudge.name=again", f"run.dir={folder}/run")
    noted = folder / "rejudged"
    noted.mkdir()
    done = run_watched([sys.executable, "-m", "mics_ray.cli", "rejudge", *asked], noted, timeout=600)
    assert done.code == 0, done.output[-3000:]
    assert done.hosts <= HERE
    assert done.packets == 0
    report = json.loads((folder / "run/rejudge/again/report.json").read_text())
    assert report["usage"]["calls"] > report["usage"]["cached_calls"] == 0
    assert report["spent_usd"] == 0


def test_an_evaluation_is_judged_here_too(folder: Path) -> None:
    write_cases(folder / "sets/phantom", 6, seed=9)
    asked = ["eval=phantom", "serve=tiny", "judge=tiny", "model=embedded:interns/internvl"]
    places = [f"eval.root={folder}/sets", f"eval.dir={folder}/answers"]
    noted = folder / "evaluated"
    noted.mkdir()
    done = run_watched([sys.executable, "-m", "mics_ray.cli", "evaluate", *asked, *places], noted, timeout=600)
    assert done.code == 0, done.output[-3000:]
    assert done.hosts <= HERE
    assert done.packets == 0
    answers = list(iter_rows(folder / "answers/results", kind=ANSWERS))
    assert len(answers) == 6
    # What is the gold answer word for word is right without the judge.
    judged = [row["judge_reply"] for row in answers if row["parsed"] and row["lenient"] != Verdict.RIGHT.value]
    assert judged
    assert set(judged) == {"No"}
    assert {row["judge_reply"] for row in answers if row["lenient"] == Verdict.RIGHT.value} <= {"Yes", ""}
